"""Give the commands that make and release the volumes of LVM, in DIB's words and order.

Sizes are rounded down to whole extents. Source: lvm(8), pvcreate(8), vgcreate(8), lvcreate(8),
lvmthin(7).
"""

from __future__ import annotations

from collections.abc import Mapping

from dibflow.blockdevice.graph import DeviceGraph
from dibflow.blockdevice.nodes import LogicalVolume, ThinType
from dibflow.blockdevice.placement import EXTENT_BYTES

Command = tuple[str, ...]


def create_commands(graph: DeviceGraph, devices: Mapping[str, str]) -> tuple[Command, ...]:
    """Give what to run to make all volumes; `devices` has the path of each base, by its name."""
    paths = {volume.name: devices[volume.base] for volume in graph.physical_volumes}
    return (
        *(("pvcreate", paths[pv.name], *pv.options) for pv in graph.physical_volumes),
        *(
            ("vgcreate", group.name, *(paths[base] for base in group.bases), *group.options)
            for group in graph.volume_groups
        ),
        *(_create_volume(volume) for volume in graph.logical_volumes),
    )


def remove_commands(graph: DeviceGraph) -> tuple[Command, ...]:
    """Give what to run so that nothing of the volumes is held any longer; they stay on the disk.

    The last command is for when the disk itself is gone: it makes LVM forget it.
    """
    return (*release_commands(graph), FORGET_COMMAND)


def release_commands(graph: DeviceGraph) -> tuple[Command, ...]:
    """Give the part of `remove_commands` that comes before the disk is detached."""
    return (
        *(("lvchange", "-an", device_path(v.base, v.name)) for v in graph.logical_volumes),
        *(("vgchange", "-an", group.name) for group in graph.volume_groups),
        ("udevadm", "settle"),
    )


FORGET_COMMAND: Command = ("pvscan", "--cache")


def device_path(group: str, volume: str) -> str:
    """Give the path of a volume's device, the link that LVM keeps."""
    return f"/dev/{group}/{volume}"


def mapper_name(group: str, volume: str) -> str:
    """Give a volume's name in ``/dev/mapper``: a hyphen in either part is doubled."""
    return f"{group.replace('-', '--')}-{volume.replace('-', '--')}"


def _create_volume(volume: LogicalVolume) -> Command:
    command = ["lvcreate", "--name", volume.name]
    if volume.type is not None:
        command += ["--type", volume.type.value]
    if volume.thin_pool is not None:
        command += ["--thin-pool", volume.thin_pool]
    if volume.size_bytes is not None:
        size = volume.size_bytes // EXTENT_BYTES * EXTENT_BYTES
        command += ["-V" if volume.type is ThinType.THIN else "-L", f"{size}B"]
    elif volume.extents is not None:
        command += ["-l", volume.extents.text]
    return (*command, *volume.options, volume.base)
