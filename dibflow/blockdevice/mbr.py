"""Write the partition table of mbr: the boot record, and a chain of them for logical partitions.

libfdisk and parted stop at some 60 partitions; the chain itself has no end, and DIB's has none.

A record is a sector: 440 bytes of code (left empty), the disk's number, four entries of 16 bytes
from offset 446 on, and the signature 55 AA. An entry has a flag (80: boot), the first sector as
cylinder/head/sector, the type, the last sector likewise, the first sector and the number of
sectors. The boot record of a logical partition says where that lies, counted from the record
itself, and where the next record lies, counted from the begin of the extended partition.

Cylinders, heads and sectors are those of a disk with 255 heads of 63 sectors; what lies beyond
cylinder 1023 is said as 1023/254/63 and found by its sector number.

Source: UEFI specification 2.10, section 5.2.1, "Legacy Master Boot Record (MBR)"; Microsoft,
"Partition Tables: Extended Boot Record".
"""

from __future__ import annotations

import struct

from dibflow.blockdevice.identity import derived_number
from dibflow.blockdevice.parttypes import EXTENDED, mbr_type
from dibflow.blockdevice.volumes import Geometry, Volume, VolumeKind

_SECTOR = 512
_NUMBER_OFFSET = 440
_ENTRIES_OFFSET = 446
_SIGNATURE = b"\x55\xaa"
_HEADS = 255
_SECTORS_PER_TRACK = 63
_LAST_CYLINDER = 1023
_NEXT_RECORD = 0x05
_BOOT = 0x80


def sectors(geometry: Geometry, *, identity: str) -> tuple[tuple[int, bytes], ...]:
    """Give what to write where, as pairs of an offset in bytes and one sector.

    The number of the disk (``PARTUUID`` in the kernel's words) is derived from `identity`.
    """
    number = derived_number(identity, "mbr")
    listed = [volume for volume in geometry.volumes if 0 < volume.number <= 4]
    entries = [_entry(volume, from_bytes=0) for volume in listed]
    master = _record(entries, number=number)
    return ((0, master), *_chain(geometry))


def _chain(geometry: Geometry) -> list[tuple[int, bytes]]:
    logical = [volume for volume in geometry.volumes if volume.kind is VolumeKind.LOGICAL]
    records = [volume.start_bytes - geometry.align_bytes for volume in logical]
    begin = records[0] if records else 0
    chain = []
    for at, (volume, record) in enumerate(zip(logical, records, strict=True)):
        entries = [_entry(volume, from_bytes=record)]
        if at + 1 < len(logical):
            following = records[at + 1]
            span = logical[at + 1].end_bytes - following
            entries.append(
                _packed(_NEXT_RECORD, start=following, size=span, from_bytes=begin, boot=False)
            )
        chain.append((record, _record(entries)))
    return chain


def _entry(volume: Volume, *, from_bytes: int) -> bytes:
    code = EXTENDED if volume.kind is VolumeKind.EXTENDED else mbr_type(volume.type)
    boot = "boot" in volume.flags
    return _packed(
        code, start=volume.start_bytes, size=volume.size_bytes, from_bytes=from_bytes, boot=boot
    )


def _packed(code: int, *, start: int, size: int, from_bytes: int, boot: bool) -> bytes:
    first, count = start // _SECTOR, size // _SECTOR
    return struct.pack(
        "<B3sB3sII",
        _BOOT if boot else 0,
        _chs(first),
        code,
        _chs(first + count - 1),
        first - from_bytes // _SECTOR,
        count,
    )


def _chs(sector: int) -> bytes:
    """Encode a sector's cylinder, head and sector: 8 bits head, 6 sector, 10 cylinder."""
    track, in_track = divmod(sector, _SECTORS_PER_TRACK)
    cylinder, head = divmod(track, _HEADS)
    if cylinder > _LAST_CYLINDER:
        cylinder, head, in_track = _LAST_CYLINDER, _HEADS - 1, _SECTORS_PER_TRACK - 1
    return bytes((head, (in_track + 1) | (cylinder >> 2 & 0xC0), cylinder & 0xFF))


def _record(entries: list[bytes], *, number: int = 0) -> bytes:
    record = bytearray(_SECTOR)
    record[_NUMBER_OFFSET : _NUMBER_OFFSET + 4] = struct.pack("<I", number)
    table = b"".join(entries)
    record[_ENTRIES_OFFSET : _ENTRIES_OFFSET + len(table)] = table
    record[-len(_SIGNATURE) :] = _SIGNATURE
    return bytes(record)
