"""The programs of the host that disk and outputs are made with, looked for before a build starts.

Hours of hooks lie between the start of a build and its disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from dibflow.blockdevice.filesystems import TOOLS
from dibflow.blockdevice.graph import DeviceGraph
from dibflow.errors import HostError
from dibflow.planning.formats import FORMATS, Program

_LAYERS = (
    Program("qemu-storage-daemon", "qemu-system-common"),
    Program("qemu-img", "qemu-utils"),
)
_LVM = (Program("pvcreate", "lvm2"), Program("dmsetup", "dmsetup"))
_DISK = "the disk"


def disk_programs(layout: DeviceGraph, *, layered: bool) -> tuple[Program, ...]:
    """Give what the disk of a layout is made with; `layered` tells that hooks run over it."""
    tools = dict.fromkeys(TOOLS[filesystem.fstype] for filesystem in layout.filesystems)
    return (
        *(Program(*tool) for tool in tools),
        *(_LAYERS if layered else ()),
        *(_LVM if layout.has_lvm else ()),
    )


def check_programs(
    types: Iterable[str], disk: Sequence[Program], *, is_there: Callable[[str], bool]
) -> None:
    """Raise HostError if the machine lacks a program for one of `types`, or one of `disk`."""
    lacking: dict[Program, list[str]] = {
        program: [_DISK] for program in disk if not is_there(program.name)
    }
    for name in types:
        for program in FORMATS[name].programs:
            if not is_there(program.name):
                lacking.setdefault(program, []).append(name)
    if not lacking:
        return
    said = "; ".join(
        f'"{program.name}", for {", ".join(names)}' for program, names in lacking.items()
    )
    packages = " ".join(sorted({program.package for program in lacking}))
    by_disk = any(_DISK in names for names in lacking.values())
    raise HostError(
        f"looking for the programs that make the image: not installed are {said}",
        hint=f"apt-get install {packages}" + ("" if by_disk else ", or leave the type out"),
    )
