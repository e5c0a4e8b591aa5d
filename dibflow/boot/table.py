"""Read from the first sectors of a disk how it is partitioned and what can start it.

Source: UEFI specification 2.10, section 5.2.1 (MBR) and 5.3 (GPT).
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from enum import Enum

_ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
_BIOS_BOOT = uuid.UUID("21686148-6449-6e6f-744e-656564454649")
_MBR_ESP = 0xEF
_SECTORS = (512, 4096)

NEEDED_BYTES = 64 * 1024
"""From the start of a disk: a GPT of 128 entries ends at 24 KiB with sectors of 4 KiB."""


class Label(Enum):
    """The kind of a partition table."""

    NONE = "none"
    MBR = "mbr"
    GPT = "gpt"


@dataclass(frozen=True, slots=True)
class Table:
    """What a disk offers to firmware."""

    label: Label
    sector_bytes: int
    has_esp: bool
    """An EFI system partition."""
    has_bios_code: bool
    """A boot sector with code in it; on a GPT also the partition that the code goes on in."""


def read_table(start: bytes) -> Table:
    """Read the table at the start of a disk; what is missing there counts as zeros."""
    start = start.ljust(NEEDED_BYTES, b"\0")
    signed = start[510:512] == b"\x55\xaa"
    code = signed and any(start[:440])
    for sector in _SECTORS:
        if start[sector : sector + 8] == b"EFI PART":
            types = _gpt_types(start, sector)
            return Table(Label.GPT, sector, _ESP in types, code and _BIOS_BOOT in types)
    if not signed:
        return Table(Label.NONE, 512, has_esp=False, has_bios_code=False)
    types_of_mbr = [start[446 + 16 * number + 4] for number in range(4)]
    return Table(
        Label.MBR if any(types_of_mbr) else Label.NONE, 512, _MBR_ESP in types_of_mbr, code
    )


def _gpt_types(start: bytes, sector: int) -> set[uuid.UUID]:
    first, count, size = struct.unpack_from("<QII", start, sector + 72)
    offsets = [first * sector + number * size for number in range(count)]
    return {
        uuid.UUID(bytes_le=start[offset : offset + 16])
        for offset in offsets
        if size >= 128 and offset + 16 <= len(start)
    }
