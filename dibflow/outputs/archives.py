"""Archives of a tree: tar, as it is or compressed, aci, and cpio.

The same tree gives the same archive: names are sorted, and nothing of the host goes in.

Source: tar(1); cpio(1); the App Container specification, "Image Archives" and "Image Manifest".
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from dibflow.commands import Command, stream
from dibflow.outputs.checksums import write_digested
from dibflow.outputs.compressors import gzip_command, zstd_command

_TAR = (
    "tar",
    "--create",
    "--format=posix",
    # atime and ctime are of the filesystem that the tree lay on; the other names would hold a pid.
    "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
    "--numeric-owner",
    "--xattrs",
    "--xattrs-include=*",
    "--xattrs-exclude=trusted.SGI_ACL_*",  # xfs's second name for an ACL
    "--acls",
    "--sparse",
    "--sort=name",
)

_ACI_ARCHITECTURES = {
    "arm64": "aarch64",
    "armhf": "armv7l",
    "ppc64el": "ppc64le",
    "x86_64": "amd64",
}


def write_archive(
    kind: str, tree: Path, output: Path, options: Mapping[str, str], names: tuple[str, ...]
) -> dict[str, str]:
    """Write `tree` as an archive of `kind` and give its digests for the algorithms `names`."""
    if kind == "aci":
        chunks = _aci(tree, options)
    elif kind == "cpio":
        chunks = _cpio(tree)
    else:
        compressors = {
            "tar": (),
            "tgz": (gzip_command(options.get("gzip", "")),),
            "tar.zst": (zstd_command(),),
        }[kind]
        command = Command((*_TAR, f"--directory={tree}", "."), "tar")
        chunks = stream(command, *compressors, doing=f"writing the {kind}")
    return write_digested(chunks, output, names)


def _aci(tree: Path, options: Mapping[str, str]) -> Iterator[bytes]:
    """Give a tar with a manifest and, under ``rootfs/``, the tree; links in it stay as they are."""
    with tempfile.TemporaryDirectory(prefix="dibflow-") as folder:
        manifest = Path(folder, "manifest")
        given = options.get("aci-manifest", "")
        manifest.write_bytes(Path(given).read_bytes() if given else aci_manifest(options))
        manifest.chmod(0o644)
        os.utime(manifest, (0, 0))
        command = Command(
            (
                *_TAR,
                r"--transform=s,^\.,rootfs,S",
                *(f"--directory={folder}", "manifest"),
                *(f"--directory={tree}", "."),
            ),
            "tar",
        )
        yield from stream(command, doing="writing the aci")


def aci_manifest(options: Mapping[str, str]) -> bytes:
    """Give the least manifest that the App Container specification takes."""
    name = re.sub(r"[^a-z0-9]+", "-", options.get("image-name", "").lower()).strip("-") or "image"
    architecture = options.get("architecture", "")
    value = {
        "acKind": "ImageManifest",
        "acVersion": "0.8.11",
        "name": name,
        "labels": [
            {"name": "arch", "value": _ACI_ARCHITECTURES.get(architecture, architecture)},
            {"name": "os", "value": "linux"},
        ],
    }
    return json.dumps(value, indent=2).encode() + b"\n"


def _cpio(tree: Path) -> Iterator[bytes]:
    """Give the tree in the format of initramfs archives, which knows neither xattrs nor holes."""
    command = Command(
        ("cpio", "--create", "--format=newc", "--null", "--reproducible", "--quiet"), "cpio"
    )
    feed = (name + b"\0" for name in names_below(os.fsencode(tree)))
    yield from stream(command, doing="writing the cpio", feed=feed, folder=tree)


def names_below(folder: bytes) -> Iterator[bytes]:
    """Give the name of each entry of a tree, ``.`` first, folders before what is in them."""
    yield b"."
    yield from _names(folder, b"")


def _names(folder: bytes, prefix: bytes) -> Iterator[bytes]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        yield prefix + entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _names(entry.path, prefix + entry.name + b"/")
