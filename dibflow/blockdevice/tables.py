"""Give the bytes of a disk's partition table, whatever its kind."""

from __future__ import annotations

from dibflow.blockdevice import gpt, mbr
from dibflow.blockdevice.volumes import Geometry


def table_sectors(geometry: Geometry, *, identity: str) -> tuple[tuple[int, bytes], ...]:
    """Give what to write where, as pairs of an offset in bytes and whole sectors.

    The disk is expected to be empty; one without a table needs nothing.
    """
    match geometry.table:
        case "mbr":
            return mbr.sectors(geometry, identity=identity)
        case "gpt":
            return gpt.sectors(geometry, identity=identity)
        case _:
            return ()
