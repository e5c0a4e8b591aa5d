"""The options that say which image is meant, shared by the commands that plan one."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from dibflow.engine.build import BuildRequest
from dibflow.errors import UsageError
from dibflow.planning.definition import ImageDefinition
from dibflow.planning.imagefile import read_image_file
from dibflow.store.location import store_location

_YAML = (".yaml", ".yml")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the elements or the definition file, and the options of an image."""
    parser.add_argument(
        "what",
        nargs="+",
        metavar="ELEMENT|FILE.yaml",
        help="names of elements, or files that describe images",
    )
    parser.add_argument(
        "-o", "--name", metavar="NAME", help="path of the outputs without extension"
    )
    parser.add_argument("-t", "--types", metavar="TYPE,...", help="output types (default: qcow2)")
    parser.add_argument("-a", "--arch", metavar="ARCH", help="architecture")
    parser.add_argument("-n", "--skip-base", action="store_true", help="leave out the element base")
    parser.add_argument(
        "-p", "--packages", metavar="PACKAGE,...", action="append", help="extra packages"
    )
    parser.add_argument("-u", "--uncompressed", action="store_true", help="no qcow2 compression")
    parser.add_argument("--image-size", type=float, metavar="GiB", help="size of the image")
    parser.add_argument(
        "--image-extra-size", type=int, metavar="MiB", help="room beyond what the tree takes"
    )
    parser.add_argument(
        "--max-online-resize", type=int, metavar="N", help="blocks the root filesystem can grow to"
    )
    parser.add_argument(
        "--mkfs-journal-size", type=int, metavar="MiB", help="journal of the root filesystem"
    )
    parser.add_argument("--root-label", metavar="LABEL", help="label of the root filesystem")
    parser.add_argument("--mkfs-options", default="", metavar="OPTIONS", help="for the root's mkfs")
    parser.add_argument("--qemu-img-options", default="", metavar="K=V,...", help="for qcow2")
    parser.add_argument(
        "--checksum", action="store_true", help="write NAME.TYPE.md5 and .sha256 beside each output"
    )
    parser.add_argument(
        "--docker-target", metavar="NAME[:TAG]", help="name of the image in oci and docker outputs"
    )
    parser.add_argument(
        "--install-type", metavar="TYPE", help="source or package (default: source)"
    )
    parser.add_argument("--image-cache", metavar="FOLDER", help="where elements keep downloads")
    parser.add_argument("--offline", action="store_true", help="ask no mirror anything")
    parser.add_argument("--refresh", action="store_true", help="take all downloads as stale")
    parser.add_argument("-x", dest="trace", action="count", default=0, help="trace hooks (set -x)")
    add_store_option(parser)


def add_store_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--store``."""
    parser.add_argument("--store", default="", metavar="FOLDER", help="folder of the store")


def store_of(arguments: argparse.Namespace) -> Path:
    """Give the folder of the store that the arguments mean."""
    return store_location(arguments.store, os.environ, uid=os.geteuid())


def requests_of(arguments: argparse.Namespace) -> tuple[BuildRequest, ...]:
    """Give what the arguments ask for, one request an image. Raises UsageError."""
    return tuple(
        BuildRequest(
            definition=definition,
            store=store_of(arguments),
            folder=Path.cwd(),
            environment=dict(os.environ),
            refresh=arguments.refresh,
        )
        for definition in _definitions(arguments)
    )


def _definitions(arguments: argparse.Namespace) -> tuple[ImageDefinition, ...]:
    if arguments.what[0].endswith(_YAML):
        for other in arguments.what:
            if not other.endswith(_YAML):
                raise UsageError(
                    f'"{arguments.what[0]}" describes images, "{other}" cannot be added',
                    hint="give either files or names of elements",
                )
        definitions = read_image_file(*map(Path, arguments.what))
        chosen = [one for one in definitions if arguments.name in {None, one.name}]
        if not chosen:
            names = ", ".join(one.name for one in definitions)
            raise UsageError(
                f'"{" ".join(arguments.what)}" describes no image "{arguments.name}"',
                hint=f"it describes {names}",
            )
        return tuple(chosen)
    return (
        ImageDefinition(
            elements=tuple(arguments.what),
            name=arguments.name or "image",
            types=_words([arguments.types or "qcow2"]),
            arch=arguments.arch,
            packages=_words(arguments.packages or []),
            skip_base=arguments.skip_base,
            uncompressed=arguments.uncompressed,
            image_size_gib=arguments.image_size,
            image_extra_size_mib=arguments.image_extra_size,
            max_online_resize=arguments.max_online_resize,
            mkfs_journal_size_mib=arguments.mkfs_journal_size,
            install_type=arguments.install_type,
            image_cache=arguments.image_cache,
            root_label=arguments.root_label,
            mkfs_options=arguments.mkfs_options,
            qemu_img_options=arguments.qemu_img_options,
            checksum=arguments.checksum,
            docker_target=arguments.docker_target,
            offline=arguments.offline,
            debug_trace=arguments.trace,
        ),
    )


def _words(texts: list[str]) -> tuple[str, ...]:
    return tuple(word.strip() for text in texts for word in text.split(",") if word.strip())
