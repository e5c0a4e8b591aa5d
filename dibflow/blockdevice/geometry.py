"""Decide how large a disk is and where everything on it lies.

Sizes come from what the trees need in their filesystems (`dibflow.blockdevice.capacity`), and room
to spare for the hooks that run on the disk and for the first start of the image: a filesystem whose
size is ours to choose gets the larger of 20 % of its content and a fixed amount, 256 MiB on ``/``,
64 MiB elsewhere, 16 MiB on vfat. GRUB and a new initramfs take less than 200 MiB.

The disk is the smallest, in whole MiB, on which each filesystem gets that. What has a size of its
own in the configuration keeps it, and must hold its tree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dibflow.blockdevice.capacity import Demand, Usage
from dibflow.blockdevice.ext import DEFAULT_JOURNAL_BYTES
from dibflow.blockdevice.graph import DeviceGraph
from dibflow.blockdevice.nodes import (
    NOT_MOUNTED,
    BlockDevice,
    LocalLoop,
    LogicalVolume,
    Mkfs,
    Partition,
    TableLabel,
    ThinType,
)
from dibflow.blockdevice.placement import NoRoomError, place
from dibflow.blockdevice.sizes import KIB, MIB, TIB, at_least_mib, at_most_mib, round_up
from dibflow.blockdevice.volumes import Geometry, LogicalSize, Volume, VolumeKind
from dibflow.errors import StepError

__all__ = ["Geometry", "LogicalSize", "Usage", "Volume", "VolumeKind", "Wish", "lay_out"]

_SPARE_SHARE = 5
_SPARE_ROOT = 256 * MIB
_SPARE_OTHER = 64 * MIB
_SPARE_FAT = 16 * MIB
_DISK_STEP = 64 * KIB
_MBR_LARGEST = 2 * TIB
_LARGEST = 64 * TIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user says about sizes.

    `image_size_bytes` (``DIB_IMAGE_SIZE``) is the size of the disk, rounded up to 64 KiB as in DIB;
    it wins over the configuration. `extra_bytes` (``DIB_IMAGE_EXTRA_SIZE``) is what to spare on
    the root filesystem. `journal_bytes` (``DIB_JOURNAL_SIZE``) is for the root filesystem as ext4.
    """

    image_size_bytes: int | None = None
    extra_bytes: int | None = None
    journal_bytes: int = DEFAULT_JOURNAL_BYTES


def lay_out(graph: DeviceGraph, *, usage: Mapping[str, Usage], wish: Wish) -> Geometry:
    """Give the disk on which each tree of `usage`, by mount point, fits.

    `usage` has every mount point of the graph but ``none``. Raises StepError, naming the
    filesystem, what it needs and what it has, if the sizes that are set do not allow it.
    """
    fixed_bytes = _fixed_bytes(graph, wish)
    if fixed_bytes is not None:
        if fixed_bytes > _largest(graph):
            raise StepError(
                f"laying out the disk: mbr ends at {at_most_mib(_MBR_LARGEST)}, but the disk is to "
                f"have {at_least_mib(fixed_bytes)}",
                hint="use gpt",
            )
        demands = _Demands(graph, usage, wish, sparing=False)
        problem = demands.problem(fixed_bytes)
        if problem is not None:
            raise _refusal(graph, problem, demands, wish)
        return place(graph, fixed_bytes)
    demands = _Demands(graph, usage, wish, sparing=True)
    size = _smallest_disk(graph, demands)
    problem = demands.problem(size)
    if problem is not None:
        raise _refusal(graph, problem, demands, wish)
    return place(graph, size)


def _fixed_bytes(graph: DeviceGraph, wish: Wish) -> int | None:
    if wish.image_size_bytes is not None:
        return round_up(wish.image_size_bytes, _DISK_STEP)
    if graph.disk.size_bytes is not None:
        return round_up(graph.disk.size_bytes, graph.disk.block_size)
    return None


class _Demands:
    """What each device of a layout must hold."""

    def __init__(
        self, graph: DeviceGraph, usage: Mapping[str, Usage], wish: Wish, *, sparing: bool
    ) -> None:
        self._graph = graph
        self._by_device: dict[str, Demand] = {}
        for mkfs in graph.filesystems:
            mount = graph.mount_of(mkfs)
            point = mount.mount_point if mount else NOT_MOUNTED
            tree = usage[point] if point != NOT_MOUNTED else Usage()
            spare = 0
            if sparing and _grows(graph, graph.device_of(mkfs)) and point != NOT_MOUNTED:
                spare = _spare_bytes(mkfs, point, tree, wish)
            self._by_device[mkfs.base] = Demand(
                mkfs=mkfs, usage=tree, spare_bytes=spare, journal_bytes=wish.journal_bytes
            )

    def filesystem(self, device: str) -> Mkfs | None:
        """Give the filesystem on a device, if there is one."""
        demand = self._by_device.get(device)
        return demand.mkfs if demand else None

    def problem(self, size_bytes: int) -> NoRoomError | None:
        """Give what does not fit on a disk of a size, or None if all does."""
        try:
            geometry = place(self._graph, size_bytes)
        except NoRoomError as error:
            return error
        for device, demand in self._by_device.items():
            available = geometry.size_of(device)
            if not demand.fits(available):
                return NoRoomError(device, needed=demand.smallest(), available=available)
        return self._pool_problem(geometry)

    def _pool_problem(self, geometry: Geometry) -> NoRoomError | None:
        """Give a thin pool that is smaller than the filesystems in it together."""
        for pool in self._graph.logical_volumes:
            if pool.type is not ThinType.THIN_POOL:
                continue
            needed = sum(
                self._by_device[volume.name].smallest()
                for volume in self._graph.logical_volumes
                if volume.thin_pool == pool.name and volume.name in self._by_device
            )
            available = geometry.size_of(pool.name)
            if needed > available:
                return NoRoomError(pool.name, needed=needed, available=available)
        return None


def _spare_bytes(mkfs: Mkfs, mount_point: str, tree: Usage, wish: Wish) -> int:
    if mount_point == "/" and wish.extra_bytes is not None:
        return wish.extra_bytes
    least = _SPARE_ROOT if mount_point == "/" else _SPARE_OTHER
    if mkfs.fstype == "vfat":
        least = _SPARE_FAT
    return max(least, tree.content_bytes_4k // _SPARE_SHARE)


def _grows(graph: DeviceGraph, device: BlockDevice) -> bool:
    """Tell whether a larger disk makes a device larger."""
    match device:
        case LocalLoop():
            return True
        case Partition():
            return device.share is not None
        case LogicalVolume():
            if device.extents is None or device.extents.share is None:
                return False
    group = next(group for group in graph.volume_groups if group.name == device.base)
    bases = {volume.base for volume in graph.physical_volumes if volume.name in group.bases}
    return any(_grows(graph, below) for below in graph.devices if below.name in bases)


def _smallest_disk(graph: DeviceGraph, demands: _Demands) -> int:
    """Give the smallest disk that will do, or the largest there can be if none does."""
    table = graph.partitioning
    step = math.lcm(MIB, table.align_bytes) if table else MIB
    return _bisect(lambda size: demands.problem(size) is None, step=step, largest=_largest(graph))


def _largest(graph: DeviceGraph) -> int:
    table = graph.partitioning
    return _MBR_LARGEST if table and table.label is TableLabel.MBR else _LARGEST


def _bisect(is_enough: Callable[[int], bool], *, step: int, largest: int) -> int:
    too_small, enough = 0, 1
    while not is_enough(enough * step):
        too_small, enough = enough, enough * 2
        if enough * step > largest:
            return largest // step * step
    while enough - too_small > 1:
        middle = (too_small + enough) // 2
        if is_enough(middle * step):
            enough = middle
        else:
            too_small = middle
    return enough * step


def _refusal(graph: DeviceGraph, problem: NoRoomError, demands: _Demands, wish: Wish) -> StepError:
    mkfs = demands.filesystem(problem.name)
    what = f'"{problem.name}"'
    if mkfs is not None:
        mount = graph.mount_of(mkfs)
        on = f' of "{mount.mount_point}"' if mount and mount.mount_point != NOT_MOUNTED else ""
        what = f'the {mkfs.fstype} filesystem{on} on "{problem.name}"'
    return StepError(
        f"laying out the disk: {what} needs {at_least_mib(problem.needed)}, but has "
        f"{at_most_mib(problem.available)}",
        hint=_hint(graph, demands, wish),
    )


def _hint(graph: DeviceGraph, demands: _Demands, wish: Wish) -> str:
    """Say which size to change: the disk's if that helps, else one in the configuration."""
    smallest = _smallest_disk(graph, demands)
    if demands.problem(smallest) is not None:
        return "make its size in the block-device configuration larger, or give it a share"
    enough = f"{at_least_mib(smallest)} would be enough"
    if wish.image_size_bytes is not None:
        return f"raise --image-size (DIB_IMAGE_SIZE) or leave it out; {enough}"
    return f'raise the "size" of {graph.disk.name} or give --image-size; {enough}'
