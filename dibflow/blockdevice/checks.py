"""Refuse nodes that each are right but do not fit together."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dibflow.blockdevice.graph import DeviceGraph, in_creation_order
from dibflow.blockdevice.nodes import (
    DISK_NAME,
    NOT_MOUNTED,
    Fstab,
    LocalLoop,
    LogicalVolume,
    Mkfs,
    Mount,
    Node,
    Partition,
    Partitioning,
    PhysicalVolume,
    TableLabel,
    ThinType,
    VolumeGroup,
    bases_of,
)
from dibflow.blockdevice.placement import NoRoomError, place
from dibflow.blockdevice.sizes import at_least_mib, at_most_mib
from dibflow.yamlfile import YamlValue, did_you_mean

_MBR_SECTOR = 512
_MBR_PRIMARIES = 4
_GPT_PARTITIONS = 128

_CALLED: Mapping[type[Node], str] = {
    LocalLoop: "a disk",
    Partition: "a partition",
    PhysicalVolume: "a physical volume",
    VolumeGroup: "a volume group",
    LogicalVolume: "a logical volume",
    Mkfs: "a filesystem",
    Mount: "a mount",
    Fstab: "an fstab entry",
}
_STANDS_ON: Mapping[type[Node], tuple[type[Node], ...]] = {
    LocalLoop: (),
    Partition: (LocalLoop,),
    PhysicalVolume: (LocalLoop, Partition),
    VolumeGroup: (PhysicalVolume,),
    LogicalVolume: (VolumeGroup,),
    Mkfs: (LocalLoop, Partition, LogicalVolume),
    Mount: (Mkfs,),
    Fstab: (Mount,),
}


@dataclass(slots=True)
class Found:
    """What a file holds, in its order, with the place of each node's name, base, mount point."""

    nodes: list[Node] = field(default_factory=list)
    tables: list[Partitioning] = field(default_factory=list)
    named: dict[str, YamlValue] = field(default_factory=dict)
    based: dict[str, YamlValue] = field(default_factory=dict)
    pointed: dict[str, YamlValue] = field(default_factory=dict)


def line_of(value: YamlValue) -> int:
    """Give the line that a value stands on, from 1."""
    return value.node.start_mark.line + 1


def check_table(table: Partitioning, *, label: YamlValue, named: Mapping[str, YamlValue]) -> None:
    """Refuse a table that its format, or the order of its partitions, does not allow."""
    for before, partition in itertools.pairwise(table.partitions):
        if before.share == 1:
            named[partition.name].refuse(
                f'nothing is left for "{partition.name}": "{before.name}" takes 100 %',
                hint="a share is of the space that is free after the partitions before it",
            )
        if table.label is TableLabel.MBR and partition.primary and not before.primary:
            named[partition.name].refuse(
                f'"{partition.name}" is primary, but stands behind "{before.name}", which is not',
                hint="put primary partitions first",
            )
    if table.label is TableLabel.MBR:
        entries = sum(partition.primary for partition in table.partitions)
        logical = len(table.partitions) - entries
        if entries + bool(logical) > _MBR_PRIMARIES:
            label.refuse(
                f"mbr has room for {_MBR_PRIMARIES} primary partitions, one fewer beside logical "
                f"ones; found {entries} primary and {logical} logical",
                hint='leave out the flag "primary" of some, or use gpt',
            )
    elif len(table.partitions) > _GPT_PARTITIONS:
        label.refuse(f"gpt has room for {_GPT_PARTITIONS} partitions")


def joined(found: Found, whole: YamlValue) -> DeviceGraph:
    """Check that all nodes fit together and give them as a graph; `whole` is the file's list."""
    nodes = {node.name: node for node in found.nodes}
    for node in found.nodes:
        _check_bases(node, nodes, found.based[node.name])
    _check_nothing_is_shared(found)
    _check_disk(found, whole)
    mounts = _checked_mounts(found)
    points = tuple(mount.mount_point for mount in mounts.values())
    if "/" not in points:
        whole.refuse('mounts nothing on "/"', hint="one of the filesystems needs a mount: /")
    graph = DeviceGraph(
        nodes=in_creation_order(tuple(mounts.get(n.name, n) for n in found.nodes)),
        partitioning=found.tables[0] if found.tables else None,
        mount_points=points,
    )
    _check_room(graph, found)
    return graph


def _check_bases(node: Node, nodes: Mapping[str, Node], at: YamlValue) -> None:
    for base in bases_of(node):
        kinds = _STANDS_ON[type(node)]
        pool_wanted = isinstance(node, LogicalVolume) and base == node.thin_pool
        if pool_wanted:
            kinds = (LogicalVolume,)
        if base not in nodes:
            usable = [name for name, other in nodes.items() if isinstance(other, kinds)]
            close = did_you_mean(base, usable)
            at.refuse(
                f'"{node.name}" stands on "{base}", which is not defined ({base}->{node.name})',
                hint=close or (f"usable here: {', '.join(usable)}" if usable else ""),
            )
        found = nodes[base]
        if not isinstance(found, kinds) or _is_pool(found) is not pool_wanted:
            wanted = "a thin pool" if pool_wanted else " or ".join(_CALLED[kind] for kind in kinds)
            what = "a thin pool" if _is_pool(found) else _CALLED[type(found)]
            at.refuse(
                f'"{node.name}" is {_CALLED[type(node)]} and stands on "{base}", {what}; '
                f"expected {wanted}"
            )
        if pool_wanted and isinstance(found, LogicalVolume) and bases_of(node)[0] != found.base:
            at.refuse(f'"{node.name}" and its pool "{base}" are of different volume groups')


def _is_pool(node: Node) -> bool:
    return isinstance(node, LogicalVolume) and node.type is ThinType.THIN_POOL


def _check_nothing_is_shared(found: Found) -> None:
    """Refuse two nodes that each take all of a third."""
    users: dict[str, str] = {}
    for table in found.tables:
        users[table.base] = "a partition table"
    for node in found.nodes:
        if not isinstance(node, (Mkfs, PhysicalVolume, VolumeGroup, Mount, Fstab)):
            continue
        for base in bases_of(node):
            if base in users:
                found.based[node.name].refuse(
                    f'"{node.name}" stands on "{base}", which {users[base]} takes already'
                )
            users[base] = f'"{node.name}"'


def _check_disk(found: Found, whole: YamlValue) -> None:
    disks: Sequence[LocalLoop] = [node for node in found.nodes if isinstance(node, LocalLoop)]
    for disk in disks:
        if disk.name != DISK_NAME:
            found.named[disk.name].refuse(
                f'the disk is called "{disk.name}", but only "{DISK_NAME}" is shipped',
                hint=f'keep one local_loop, with the name "{DISK_NAME}"',
            )
    if not disks:
        whole.refuse(f'has no disk, a local_loop with the name "{DISK_NAME}"')
    sector = disks[0].block_size
    if sector != _MBR_SECTOR and any(table.label is TableLabel.MBR for table in found.tables):
        found.named[DISK_NAME].refuse(
            f"mbr is for sectors of {_MBR_SECTOR} bytes, found {sector}",
            hint="use gpt, or leave out block_size and DIB_BLOCK_SIZE",
        )


def _checked_mounts(found: Found) -> dict[str, Mount]:
    """Give the mounts by name, in the order of the file; swap is mounted nowhere, as in DIB."""
    swaps = {node.name for node in found.nodes if isinstance(node, Mkfs) and node.fstype == "swap"}
    mounts: dict[str, Mount] = {}
    first: dict[str, str] = {}
    for node in found.nodes:
        if not isinstance(node, Mount):
            continue
        if node.base in swaps:
            mounts[node.name] = Mount(name=node.name, base=node.base, mount_point=NOT_MOUNTED)
            continue
        place_of = found.pointed[node.name]
        if node.mount_point == NOT_MOUNTED:
            place_of.refuse(f'"{NOT_MOUNTED}" is for swap only')
        if node.mount_point in first:
            line = line_of(found.pointed[first[node.mount_point]])
            place_of.refuse(f'"{node.mount_point}" is used more than once, first on line {line}')
        first[node.mount_point] = node.name
        mounts[node.name] = node
    return mounts


def _check_room(graph: DeviceGraph, found: Found) -> None:
    """Refuse a configuration that does not fit on the disk it asks for itself."""
    size = graph.disk.size_bytes
    if size is None:
        return
    sector = graph.disk.block_size
    try:
        place(graph, size // sector * sector)
    except NoRoomError as error:
        found.named[error.name].refuse(
            f'"{error.name}" needs {at_least_mib(error.needed)}, but {at_most_mib(error.available)}'
            " are left for it",
            hint=f'make the "size" of {DISK_NAME} larger, or leave it out',
        )
