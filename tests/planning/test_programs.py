from __future__ import annotations

from pathlib import Path

import pytest

from dibflow.blockdevice.config import FALLBACK, Defaults, read_config
from dibflow.blockdevice.graph import DeviceGraph
from dibflow.errors import HostError
from dibflow.host.tools import read_tools
from dibflow.planning.formats import KNOWN_TYPES
from dibflow.planning.programs import check_programs, disk_programs
from dibflow.resources import elements_directory, host_tools_file


def layout_of(text: str) -> DeviceGraph:
    return read_config(text, source=Path("test.yaml"), defaults=Defaults())


def lvm_layout() -> DeviceGraph:
    file = elements_directory() / "block-device-efi-lvm" / "block-device-default.yaml"
    return layout_of(file.read_text(encoding="utf-8"))


def test_a_plain_disk_needs_only_what_makes_its_filesystem() -> None:
    programs = disk_programs(layout_of(FALLBACK), layered=False)

    assert [(program.name, program.package) for program in programs] == [("mkfs.ext4", "e2fsprogs")]


def test_a_disk_that_hooks_run_over_needs_what_shows_its_layers() -> None:
    names = {program.name for program in disk_programs(layout_of(FALLBACK), layered=True)}

    assert {"qemu-storage-daemon", "qemu-img"} <= names


def test_each_filesystem_and_lvm_are_counted_once() -> None:
    names = [program.name for program in disk_programs(lvm_layout(), layered=True)]

    assert sorted(names) == sorted(set(names))
    assert {"mkfs.vfat", "mkfs.xfs", "pvcreate", "dmsetup"} <= set(names)


def test_every_program_of_a_disk_is_in_the_list_of_host_tools() -> None:
    tools = read_tools(host_tools_file().read_text(encoding="utf-8"), source="host-tools")
    listed = {(tool.name, tool.package) for tool in tools}

    used = {(one.name, one.package) for one in disk_programs(lvm_layout(), layered=True)}

    assert used - listed == set()


def test_all_that_is_missing_is_said_at_once() -> None:
    with pytest.raises(HostError) as caught:
        check_programs(
            ("raw", "tar.zst", "squashfs", "erofs"),
            (),
            is_there=lambda name: name not in {"mksquashfs", "zstd"},
        )

    assert '"zstd", for tar.zst; "mksquashfs", for squashfs' in caught.value.message
    assert caught.value.hint == "apt-get install squashfs-tools zstd, or leave the type out"


def test_a_program_of_the_disk_cannot_be_left_out() -> None:
    with pytest.raises(HostError) as caught:
        check_programs(
            ("raw",),
            disk_programs(lvm_layout(), layered=True),
            is_there=lambda name: name not in {"mkfs.xfs", "qemu-img"},
        )

    assert '"mkfs.xfs", for the disk' in caught.value.message
    assert '"qemu-img", for the disk, raw' in caught.value.message
    assert caught.value.hint == "apt-get install qemu-utils xfsprogs"


def test_nothing_is_said_where_every_program_is_there() -> None:
    check_programs(KNOWN_TYPES, disk_programs(lvm_layout(), layered=True), is_there=lambda _: True)
