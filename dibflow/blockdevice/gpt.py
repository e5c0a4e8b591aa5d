"""Write the partition table of gpt, with its copy at the end of the disk and the protective mbr.

sfdisk takes the sector size from the device, so it cannot write a table for sectors of 4096 bytes
into a file. The format is small: a header and 128 entries of 128 bytes, both with a CRC-32, at the
begin from sector 1 on, at the end the other way round.

A header has, from its begin: ``EFI PART``, the revision, its size, its CRC (over itself with this
field empty), nothing, its own sector and that of the other header, the first and the last sector
for partitions, the GUID of the disk, the sector of the entries, their number, size and CRC. An
entry has the GUIDs of type and partition, first and last sector, flags, and the name in UTF-16.
GUIDs are stored with their first three parts little-endian.

Source: UEFI specification 2.10, sections 5.2.3 and 5.3.
"""

from __future__ import annotations

import struct
import uuid
import zlib

from dibflow.blockdevice.identity import derived_uuid
from dibflow.blockdevice.parttypes import gpt_type
from dibflow.blockdevice.volumes import Geometry, Volume

_ENTRIES = 128
_ENTRY = struct.Struct("<16s16sQQQ72s")
_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
_REVISION = 0x00010000
_PROTECTIVE = struct.Struct("<446xB3sB3sII48x2s")
_PROTECTIVE_TYPE = 0xEE


def sectors(geometry: Geometry, *, identity: str) -> tuple[tuple[int, bytes], ...]:
    """Give what to write where, as pairs of an offset in bytes and whole sectors.

    The GUIDs of the disk and its partitions are derived from `identity`.
    """
    sector = geometry.sector_size
    entries = b"".join(_entry(volume, sector, identity) for volume in geometry.partitions)
    entries = entries.ljust(_ENTRIES * _ENTRY.size, b"\0")
    table_sectors = len(entries) // sector
    last = geometry.size_bytes // sector - 1

    def header(own: int, other: int, entries_at: int) -> bytes:
        fields = (
            *(b"EFI PART", _REVISION, _HEADER.size),
            *(0, own, other, 2 + table_sectors, last - table_sectors - 1),
            *(derived_uuid(identity, "gpt").bytes_le, entries_at),
            *(_ENTRIES, _ENTRY.size, zlib.crc32(entries)),
        )
        crc = zlib.crc32(_HEADER.pack(*fields[:3], 0, *fields[3:]))
        return _HEADER.pack(*fields[:3], crc, *fields[3:]).ljust(sector, b"\0")

    return (
        (0, _protective(last).ljust(sector, b"\0")),
        (sector, header(1, last, 2)),
        (2 * sector, entries),
        ((last - table_sectors) * sector, entries),
        (last * sector, header(last, 1, last - table_sectors)),
    )


def _entry(volume: Volume, sector: int, identity: str) -> bytes:
    return _ENTRY.pack(
        uuid.UUID(gpt_type(volume.type)).bytes_le,
        derived_uuid(identity, "gpt", str(volume.number)).bytes_le,
        volume.start_bytes // sector,
        volume.end_bytes // sector - 1,
        0,
        volume.name.encode("utf-16-le"),
    )


def _protective(last: int) -> bytes:
    """Give the mbr that tells old programs that all of the disk is taken."""
    count = min(last, 0xFFFFFFFF)
    ends = (b"\x00\x02\x00", b"\xff\xff\xff")
    return _PROTECTIVE.pack(0, ends[0], _PROTECTIVE_TYPE, ends[1], 1, count, b"\x55\xaa")
