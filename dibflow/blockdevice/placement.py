"""Place the volumes of a layout on a disk of a given size.

The offsets are DIB's, so that an image laid out by either looks the same:

mbr: the first partition starts at the alignment. A share is taken of the disk behind the last
partition, less one alignment unit. What is not primary is logical: it follows its boot record by
one alignment unit, in an extended partition that reaches to the end of the disk.

gpt: partitions are whole MiB and follow each other from 1 MiB on; 2 MiB of the disk are kept for
the table and its copy at the end (UEFI specification 2.10, section 5.3.1).

LVM: extents of 4 MiB, the first 1 MiB into a physical volume (pvcreate(8), vgcreate(8)). A thin
pool also takes its metadata, twice: 64 bytes for each chunk of 64 KiB, 2 MiB at least
(lvmthin(7), "Metadata space").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dibflow.blockdevice.nodes import LogicalVolume, Partition, TableLabel, ThinType
from dibflow.blockdevice.sizes import KIB, MIB, round_up
from dibflow.blockdevice.volumes import Geometry, LogicalSize, Volume, VolumeKind

if TYPE_CHECKING:
    from dibflow.blockdevice.graph import DeviceGraph
    from dibflow.blockdevice.nodes import Partitioning, VolumeGroup

EXTENT_BYTES = 4 * MIB
FIRST_LOGICAL = 5
_LVM_HEADER = 1 * MIB
_GPT_START = 1 * MIB
_GPT_KEPT = 2 * MIB
_POOL_CHUNK = 64 * KIB
_POOL_ENTRY = 64
_POOL_METADATA_MIN = 2 * MIB


class NoRoomError(Exception):
    """A device does not get the size it asks for; sizes in bytes, `available` never negative."""

    def __init__(self, name: str, *, needed: int, available: int) -> None:
        super().__init__(f"{name}: needs {needed}, has {max(available, 0)}")
        self.name = name
        self.needed = needed
        self.available = max(available, 0)


def place(graph: DeviceGraph, size_bytes: int) -> Geometry:
    """Give where everything lies on a disk of `size_bytes`, a multiple of its sectors.

    Raises NoRoomError for the first device that does not get what it asks for.
    """
    disk = graph.disk
    whole = Volume(
        number=0, name=disk.name, kind=VolumeKind.DISK, start_bytes=0, size_bytes=size_bytes
    )
    table = graph.partitioning
    partitions: tuple[Volume, ...] = ()
    if table is not None:
        by_label = {TableLabel.MBR: _place_mbr, TableLabel.GPT: _place_gpt}
        partitions = by_label[table.label](table, size_bytes, disk.block_size)
    bare = Geometry(
        size_bytes=size_bytes,
        sector_size=disk.block_size,
        table=table.label.value if table else "",
        align_bytes=table.align_bytes if table else MIB,
        volumes=(whole, *partitions),
    )
    logical = tuple(size for group in graph.volume_groups for size in _fill(graph, bare, group))
    return Geometry(
        size_bytes=bare.size_bytes,
        sector_size=bare.sector_size,
        table=bare.table,
        align_bytes=bare.align_bytes,
        volumes=bare.volumes,
        logical_volumes=logical,
    )


def _place_mbr(table: Partitioning, disk_bytes: int, sector: int) -> tuple[Volume, ...]:
    align = table.align_bytes
    volumes: list[Volume] = []
    free_from = align
    logical_number = FIRST_LOGICAL
    for partition in table.partitions:
        if not partition.primary and logical_number == FIRST_LOGICAL:
            volumes.append(
                Volume(
                    number=len(volumes) + 1,
                    name="",
                    kind=VolumeKind.EXTENDED,
                    start_bytes=free_from,
                    size_bytes=max(disk_bytes - free_from, 0),
                )
            )
        start = free_from if partition.primary else free_from + align
        size = _wanted_bytes(partition, disk_bytes - free_from - align) // sector * sector
        if size < sector:
            raise NoRoomError(partition.name, needed=sector, available=size)
        if start + size > disk_bytes:
            raise NoRoomError(partition.name, needed=size, available=disk_bytes - start)
        volumes.append(
            Volume(
                number=len(volumes) + 1 if partition.primary else logical_number,
                name=partition.name,
                kind=VolumeKind.PARTITION if partition.primary else VolumeKind.LOGICAL,
                start_bytes=start,
                size_bytes=size,
                type=partition.type,
                flags=partition.flags,
            )
        )
        logical_number += not partition.primary
        free_from = round_up(start + size, align)
    return tuple(volumes)


def _place_gpt(table: Partitioning, disk_bytes: int, _sector: int) -> tuple[Volume, ...]:
    volumes: list[Volume] = []
    free = disk_bytes - _GPT_KEPT
    start = _GPT_START
    for number, partition in enumerate(table.partitions, start=1):
        wanted = _wanted_bytes(partition, free)
        size = wanted // MIB * MIB
        if size < MIB:
            raise NoRoomError(partition.name, needed=MIB, available=wanted)
        if wanted > free:
            raise NoRoomError(partition.name, needed=wanted, available=free)
        volumes.append(
            Volume(
                number=number,
                name=partition.name,
                kind=VolumeKind.PARTITION,
                start_bytes=start,
                size_bytes=size,
                type=partition.type,
                flags=partition.flags,
            )
        )
        free -= wanted
        start += size
    return tuple(volumes)


def _wanted_bytes(partition: Partition, free: int) -> int:
    if partition.share is not None:
        return int(partition.share * max(free, 0))
    return partition.size_bytes or 0


def _fill(graph: DeviceGraph, disk: Geometry, group: VolumeGroup) -> list[LogicalSize]:
    """Give the sizes of a group's volumes, in the order they are made."""
    bases = [volume.base for volume in graph.physical_volumes if volume.name in group.bases]
    total = sum(max(disk.size_of(base) - _LVM_HEADER, 0) // EXTENT_BYTES for base in bases)
    free = total
    sizes: list[LogicalSize] = []
    for volume in graph.logical_volumes:
        if volume.base != group.name:
            continue
        extents = _wanted_extents(volume, total=total, free=free)
        taken = extents
        if volume.type is ThinType.THIN:
            taken = 0
        elif volume.type is ThinType.THIN_POOL:
            metadata = 2 * _pool_metadata_extents(extents)
            if volume.extents is not None and volume.extents.share is not None:
                extents = max(min(extents, free - metadata), 0)
            taken = extents + metadata
        if extents < 1:
            raise NoRoomError(volume.name, needed=EXTENT_BYTES, available=0)
        if taken > free:
            needed, available = taken * EXTENT_BYTES, free * EXTENT_BYTES
            raise NoRoomError(volume.name, needed=needed, available=available)
        free -= taken
        size = extents * EXTENT_BYTES
        sizes.append(LogicalSize(name=volume.name, group=group.name, size_bytes=size))
    return sizes


def _wanted_extents(volume: LogicalVolume, *, total: int, free: int) -> int:
    if volume.size_bytes is not None:
        return volume.size_bytes // EXTENT_BYTES
    extents = volume.extents
    if extents is None or extents.share is None:
        return (extents.count or 0) if extents else 0
    return int(extents.share * (free if extents.of == "FREE" else total))


def _pool_metadata_extents(extents: int) -> int:
    entries = extents * EXTENT_BYTES // _POOL_CHUNK
    return -(-max(entries * _POOL_ENTRY, _POOL_METADATA_MIN) // EXTENT_BYTES)
