"""The nodes of a configuration and what follows from how they stand on each other.

What a node may stand on is decided by its kind (a filesystem on a device, a mount on a filesystem),
so a list sorted by kind is already in an order in which everything can be made. Ties go by the
order of the file, mounts by mount point: the tree and the graph form of one layout are equal.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dibflow.blockdevice.nodes import (
    NOT_MOUNTED,
    BlockDevice,
    Fstab,
    LocalLoop,
    LogicalVolume,
    Mkfs,
    Mount,
    Node,
    Partition,
    Partitioning,
    PhysicalVolume,
    VolumeGroup,
    bases_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import networkx as nx

_FSTAB_ESCAPES = str.maketrans({" ": r"\040", "\t": r"\011", "\n": r"\012", "\\": r"\134"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceGraph:
    """A whole layout, checked: every base exists and is of the right kind.

    `nodes` are in the order of creation. `mount_points` are in the order of the configuration,
    with ``none`` for swap. Made by `dibflow.blockdevice.config.read_config`.
    """

    nodes: tuple[Node, ...]
    partitioning: Partitioning | None
    mount_points: tuple[str, ...]

    @property
    def disk(self) -> LocalLoop:
        """Give the disk that is shipped."""
        return next(node for node in self.nodes if isinstance(node, LocalLoop))

    @property
    def devices(self) -> tuple[BlockDevice, ...]:
        """Give the nodes that there is a block device for, in the order of creation."""
        return tuple(node for node in self.nodes if isinstance(node, BlockDevice))

    @property
    def device_names(self) -> tuple[str, ...]:
        """Give the names that ``IMAGE_BLOCK_DEVICES`` lists: the disk, partitions, volumes."""
        return tuple(device.name for device in self.devices)

    @property
    def physical_volumes(self) -> tuple[PhysicalVolume, ...]:
        """Give what is handed to LVM, in the order of the file."""
        return tuple(node for node in self.nodes if isinstance(node, PhysicalVolume))

    @property
    def volume_groups(self) -> tuple[VolumeGroup, ...]:
        """Give LVM's groups, in the order of the file."""
        return tuple(node for node in self.nodes if isinstance(node, VolumeGroup))

    @property
    def logical_volumes(self) -> tuple[LogicalVolume, ...]:
        """Give LVM's volumes in the order of the file, thin pools before what lies in them."""
        return tuple(node for node in self.nodes if isinstance(node, LogicalVolume))

    @property
    def filesystems(self) -> tuple[Mkfs, ...]:
        """Give the filesystems and swap spaces, in the order of the file."""
        return tuple(node for node in self.nodes if isinstance(node, Mkfs))

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """Give the mounts in the order to make them: parents first, swap left out."""
        return tuple(mount for mount in self._all_mounts() if mount.mount_point != NOT_MOUNTED)

    @property
    def root_label(self) -> str:
        """Give the label of the filesystem on ``/``."""
        return self._root.label

    @property
    def root_fstype(self) -> str:
        """Give the type of the filesystem on ``/``."""
        return self._root.fstype

    @property
    def boot_label(self) -> str:
        """Give the label of the filesystem on ``/boot``, or nothing if it has none of its own."""
        for mount in self.mounts:
            if mount.mount_point == "/boot":
                return self.filesystem_of(mount).label
        return ""

    @property
    def fstab(self) -> str:
        """Give the text of ``/etc/fstab``: a line for each mount with an fstab node, swap last.

        Source: fstab(5), for the octal escapes too.
        """
        entries = {node.base: node for node in self.nodes if isinstance(node, Fstab)}
        return "".join(
            self._fstab_line(mount, entries[mount.name])
            for mount in self._all_mounts()
            if mount.name in entries
        )

    @property
    def has_partitions(self) -> bool:
        """Tell whether the disk has a partition table."""
        return self.partitioning is not None

    @property
    def has_lvm(self) -> bool:
        """Tell whether LVM is used."""
        return bool(self.physical_volumes)

    @property
    def is_plain(self) -> bool:
        """Tell whether the root filesystem lies on the disk itself, with nothing beside it."""
        return self.device_names == (self.disk.name,) and len(self.filesystems) == 1

    def filesystem_of(self, mount: Mount) -> Mkfs:
        """Give the filesystem that is mounted."""
        return next(node for node in self.filesystems if node.name == mount.base)

    def mount_of(self, filesystem: Mkfs) -> Mount | None:
        """Give where a filesystem is mounted, if it is."""
        return next((mount for mount in self._all_mounts() if mount.base == filesystem.name), None)

    def device_of(self, filesystem: Mkfs) -> BlockDevice:
        """Give the device that a filesystem is made on."""
        return next(node for node in self.devices if node.name == filesystem.base)

    def edges(self) -> tuple[tuple[str, str], ...]:
        """Give who must be made before whom, as pairs of names.

        Besides its bases a partition waits for the one before it, and a mount for the mount
        before it in mount order.
        """
        bases = [(base, node.name) for node in self.nodes for base in bases_of(node)]
        partitions = self.partitioning.partitions if self.partitioning else ()
        chains = (
            [node.name for node in partitions],
            [node.name for node in self._all_mounts()],
        )
        return (*bases, *(pair for chain in chains for pair in itertools.pairwise(chain)))

    def graph(self) -> nx.DiGraph[str]:
        """Give the layout as a graph for networkx: an edge leads to what stands on a node.

        Each node of the graph has the attribute ``node``, the value itself.
        """
        import networkx as nx  # noqa: PLC0415 - a quarter of a second to import

        graph: nx.DiGraph[str] = nx.DiGraph()
        for node in self.nodes:
            graph.add_node(node.name, node=node)
        graph.add_edges_from(self.edges())
        return graph

    @property
    def _root(self) -> Mkfs:
        return self.filesystem_of(next(m for m in self.mounts if m.mount_point == "/"))

    def _all_mounts(self) -> Iterator[Mount]:
        return (node for node in self.nodes if isinstance(node, Mount))

    def _fstab_line(self, mount: Mount, entry: Fstab) -> str:
        filesystem = self.filesystem_of(mount)
        label = filesystem.label.translate(_FSTAB_ESCAPES)
        mount_point = mount.mount_point.translate(_FSTAB_ESCAPES)
        fields = f"{entry.options} {entry.dump_frequency} {entry.fsck_pass}"
        if filesystem.fstype == "swap":
            fields = "sw 0 0"
        return f"LABEL={label} {mount_point} {filesystem.fstype} {fields}\n"


def in_creation_order(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """Sort nodes, given in the order of the file, so that each comes after what it stands on."""
    mounts = {node.name: node for node in nodes if isinstance(node, Mount)}

    def rank(node: Node) -> tuple[int, bool, tuple[bool, list[str]]]:
        mount = node if isinstance(node, Mount) else None
        if isinstance(node, Fstab):
            mount = mounts[node.base]
        in_pool = isinstance(node, LogicalVolume) and node.thin_pool is not None
        return _KINDS.index(type(node)), in_pool, _mount_order(mount.mount_point if mount else "")

    return tuple(sorted(nodes, key=rank))


_KINDS = (
    LocalLoop,
    Partition,
    PhysicalVolume,
    VolumeGroup,
    LogicalVolume,
    Mkfs,
    Mount,
    Fstab,
)


def _mount_order(mount_point: str) -> tuple[bool, list[str]]:
    """Give a key that puts parents before children, and what is not mounted last."""
    return mount_point == NOT_MOUNTED, mount_point.strip("/").split("/")
