"""The types of outputs: the one list that the command line, the plan and the writers go by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from dibflow.errors import UsageError

CHECKSUMS = ("md5", "sha256")
"""The checksums that can be written beside an output, in the order they are named."""


class MadeFrom(Enum):
    """What a type is written from."""

    DISK = "disk"
    """The disk image: a filesystem, or partitions."""
    TREE = "tree"
    """The image's finished tree."""
    LAYERS = "layers"
    """The layers of that tree, each for itself."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program of the host, and the Debian package that brings it."""

    name: str
    package: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One type of output.

    `extension` is that of its files, where DIB makes the type the same as DIB's. `options` name
    what its bytes depend on beside the tree: they are parameters of its step. `folder` tells that
    the output is a folder, which has no checksum of its own.
    """

    name: str
    extension: str
    made_from: MadeFrom
    programs: tuple[Program, ...]
    options: tuple[str, ...] = ()
    folder: bool = False


_QEMU_IMG = (Program("qemu-img", "qemu-utils"),)
_TAR = (Program("tar", "tar"),)
_GZIP = (Program("gzip", "gzip"),)

FORMATS: Mapping[str, Format] = {
    made.name: made
    for made in (
        Format(name="raw", extension="raw", made_from=MadeFrom.DISK, programs=_QEMU_IMG),
        Format(
            name="qcow2",
            extension="qcow2",
            made_from=MadeFrom.DISK,
            programs=_QEMU_IMG,
            options=("compressed", "qemu-img-options"),
        ),
        Format(name="vhd", extension="vhd", made_from=MadeFrom.DISK, programs=_QEMU_IMG),
        Format(name="vhdx", extension="vhdx", made_from=MadeFrom.DISK, programs=_QEMU_IMG),
        Format(name="vmdk", extension="vmdk", made_from=MadeFrom.DISK, programs=_QEMU_IMG),
        Format(name="vdi", extension="vdi", made_from=MadeFrom.DISK, programs=_QEMU_IMG),
        Format(name="tar", extension="tar", made_from=MadeFrom.TREE, programs=_TAR),
        Format(
            name="tgz",
            extension="tgz",
            made_from=MadeFrom.TREE,
            programs=(*_TAR, *_GZIP),
            options=("gzip",),
        ),
        Format(
            name="tar.zst",
            extension="tar.zst",
            made_from=MadeFrom.TREE,
            programs=(*_TAR, Program("zstd", "zstd")),
        ),
        Format(
            name="squashfs",
            extension="squash",
            made_from=MadeFrom.TREE,
            programs=(Program("mksquashfs", "squashfs-tools"),),
            options=("epoch",),
        ),
        Format(
            name="erofs",
            extension="erofs",
            made_from=MadeFrom.TREE,
            programs=(Program("mkfs.erofs", "erofs-utils"),),
        ),
        Format(
            name="cpio",
            extension="cpio",
            made_from=MadeFrom.TREE,
            programs=(Program("cpio", "cpio"),),
        ),
        Format(
            name="oci",
            extension="oci",
            made_from=MadeFrom.LAYERS,
            programs=_GZIP,
            options=("architecture", "docker-target", "epoch"),
            folder=True,
        ),
        Format(
            name="docker",
            extension="docker",
            made_from=MadeFrom.LAYERS,
            programs=_GZIP,
            options=("architecture", "docker-target", "epoch"),
        ),
        Format(
            name="aci",
            extension="aci",
            made_from=MadeFrom.TREE,
            programs=_TAR,
            options=("architecture", "aci-manifest", "image-name"),
        ),
    )
}

KNOWN_TYPES = tuple(FORMATS)
"""The names of all types."""


def needs_disk(types: Iterable[str]) -> bool:
    """Tell whether one of `types` is written from the disk image."""
    return any(FORMATS[name].made_from is MadeFrom.DISK for name in types)


def wanted_checksums(text: str) -> tuple[str, ...]:
    """Read a value of ``DIB_CHECKSUM``: ``1`` for all, or a text that names some."""
    if text == "1":
        return CHECKSUMS
    return tuple(name for name in CHECKSUMS if name in text)


def check_epoch(text: str) -> str:
    """Give a value of ``SOURCE_DATE_EPOCH`` back; raise UsageError if it is no time.

    Source: reproducible-builds.org, the specification of ``SOURCE_DATE_EPOCH``.
    """
    if text and not (text.isascii() and text.isdigit()):
        raise UsageError(
            f'the variable SOURCE_DATE_EPOCH is "{text}", expected seconds since 1970',
            hint="for example: SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)",
        )
    return text
