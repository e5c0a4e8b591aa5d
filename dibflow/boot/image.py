"""Read what an image file is and how its disk is partitioned, without writing to it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from dibflow import commands
from dibflow.boot.table import NEEDED_BYTES, Table, read_table
from dibflow.errors import UsageError

_PACKAGE = "qemu-utils"
_BY_EXTENSION = {".vhd": "vpc"}
"""Formats that have no mark at their start: a VHD of fixed size has it at the end."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image file that a machine can have as its disk."""

    path: Path
    format: str
    """qemu's name of the format."""
    table: Table


def read_image(path: Path) -> Image:
    """Examine an image. Raises UsageError if there is no disk in it that firmware can start."""
    if not path.is_file():
        raise UsageError(f'there is no image "{path}"', hint="name a file, with its extension")
    format_ = _format(path)
    table = read_table(_first_bytes(path, format_))
    if not table.has_esp and not table.has_bios_code:
        raise UsageError(
            f'"{path}" ({format_}) has nothing that firmware starts: neither boot code nor an EFI '
            f"system partition (partition table: {table.label.value})",
            hint="build it with the element vm, and boot one of its disk formats",
        )
    return Image(path, format_, table)


def _format(path: Path) -> str:
    if path.suffix in _BY_EXTENSION:
        return _BY_EXTENSION[path.suffix]
    said = commands.run(
        ["qemu-img", "info", "--force-share", "--output=json", str(path)],
        doing=f'reading the format of "{path}"',
        package=_PACKAGE,
    )
    return str(json.loads(said)["format"])


def _first_bytes(path: Path, format_: str) -> bytes:
    # A file in memory is gone with us, however we end.
    descriptor = os.memfd_create("first-sectors", 0)
    try:
        file = f"/proc/{os.getpid()}/fd/{descriptor}"
        commands.run(
            [
                *("qemu-img", "dd", "-U", "-f", format_, "-O", "raw"),
                *("bs=64k", "count=1", f"if={path}", f"of={file}"),
            ],
            doing=f'reading the partition table of "{path}"',
            package=_PACKAGE,
        )
        return os.pread(descriptor, NEEDED_BYTES, 0)
    finally:
        os.close(descriptor)
