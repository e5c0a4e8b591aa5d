"""Disk images in the formats of virtual machines, each converted straight from the image.

Source: qemu-img(1), ``convert``; qemu-block-drivers(7).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dibflow.commands import run
from dibflow.outputs.source import DiskFile

_PARALLEL = ("-m", "16")
_OUT_OF_ORDER = "-W"

_DRIVERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "raw": ("raw", (*_PARALLEL, _OUT_OF_ORDER)),
    # With force_size the disk is as long as the image; else qemu rounds it up to whole cylinders.
    "vhd": ("vpc", (*_PARALLEL, _OUT_OF_ORDER, "-o", "subformat=dynamic,force_size=on")),
    "vhdx": ("vhdx", (*_PARALLEL, _OUT_OF_ORDER, "-o", "subformat=dynamic")),
    # A stream: its parts must come in order. VMware imports no other kind over the network.
    "vmdk": ("vmdk", (*_PARALLEL, "-o", "subformat=streamOptimized")),
    "vdi": ("vdi", (*_PARALLEL, _OUT_OF_ORDER)),
}


def write_disk(kind: str, disk: DiskFile, output: Path, options: Mapping[str, str]) -> None:
    """Convert `disk` to `kind`, reading what it holds once and leaving its holes as holes."""
    if kind == "raw" and disk.format == "raw":
        _copy(disk.path, output)
        return
    run(
        convert_command(kind, disk, output, options),
        doing=f"converting to {kind}",
        package="qemu-utils",
    )


def convert_command(
    kind: str, disk: DiskFile, output: Path, options: Mapping[str, str]
) -> tuple[str, ...]:
    """Give the command that converts `disk`, with the images that it builds on, to `kind`."""
    driver, arguments = _DRIVERS.get(kind, (kind, ()))
    if kind == "qcow2":
        arguments = _qcow2(options)
    return (
        *("qemu-img", "convert", "-f", disk.format, "-O", driver),
        *arguments,
        *(str(disk.path), str(output)),
    )


def _qcow2(options: Mapping[str, str]) -> tuple[str, ...]:
    """Give the arguments for qcow2: zstd, unless the user's options name or need something else.

    Version 2 of the format, ``compat=0.10``, knows only zlib. Source: qemu, docs/interop/qcow2.txt.
    """
    compressed = options.get("compressed") == "yes"
    given = options.get("qemu-img-options", "")
    wanted = [given] if given else []
    named = given.split(",")
    zlib = "compat=0.10" in named or "compat=v2" in named or "compression_type" in given
    if compressed and not zlib:
        wanted.append("compression_type=zstd")
    return (
        *(("-c",) if compressed else ()),
        *_PARALLEL,
        _OUT_OF_ORDER,
        *(("-o", ",".join(wanted)) if wanted else ()),
    )


def _copy(disk: Path, output: Path) -> None:
    """Copy an image as it is: shared blocks where the filesystem can, holes in any case."""
    run(
        ["cp", "--sparse=always", "--reflink=auto", str(disk), str(output)],
        doing="writing the raw image",
        package="coreutils",
    )
