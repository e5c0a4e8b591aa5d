"""The commands of LVM, as DIB's own tests state them."""

from __future__ import annotations

import pytest

from dibflow.blockdevice.lvm import (
    create_commands,
    device_path,
    mapper_name,
    release_commands,
    remove_commands,
)
from tests.blockdevice.layouts import graph_of, upstream, upstream_elements

DEVICES = {name: f"/dev/fake/{name}" for name in ("root", "data", "data1", "data2")}


def lines(commands: tuple[tuple[str, ...], ...]) -> list[str]:
    return [" ".join(command) for command in commands]


VOLUMES = [("lv_root", 1799356416), ("lv_tmp", 96468992), ("lv_var", 499122176)]
VOLUMES += [("lv_log", 96468992), ("lv_audit", 96468992), ("lv_home", 197132288)]


def test_several_physical_volumes_make_one_group() -> None:
    assert lines(create_commands(upstream("lvm_tree_multiple_pv"), DEVICES)) == [
        "pvcreate /dev/fake/root --force",
        "pvcreate /dev/fake/data --force",
        "vgcreate vg /dev/fake/root /dev/fake/data --force",
        *(f"lvcreate --name {name} -L {size}B vg" for name, size in VOLUMES),
    ]


def test_several_groups_are_made_and_released_in_order() -> None:
    graph = upstream("lvm_tree_multiple_pv_vg")
    groups = ["vg1", "vg1", "vg2", "vg2", "vg2", "vg2"]

    assert lines(create_commands(graph, DEVICES)) == [
        "pvcreate /dev/fake/root --force",
        "pvcreate /dev/fake/data --force",
        "vgcreate vg1 /dev/fake/root --force",
        "vgcreate vg2 /dev/fake/data --force",
        *(
            f"lvcreate --name {name} -L {size}B {group}"
            for (name, size), group in zip(VOLUMES, groups, strict=True)
        ),
    ]
    assert lines(remove_commands(graph)) == [
        *(
            f"lvchange -an /dev/{group}/{name}"
            for (name, _), group in zip(VOLUMES, groups, strict=True)
        ),
        *("vgchange -an vg1", "vgchange -an vg2", "udevadm settle", "pvscan --cache"),
    ]
    assert release_commands(graph) == remove_commands(graph)[:-1]


def test_a_group_spans_physical_volumes() -> None:
    assert lines(create_commands(upstream("lvm_tree_spanned_vg"), DEVICES))[3:] == [
        "vgcreate vg_root /dev/fake/root --force",
        "vgcreate vg_data /dev/fake/data1 /dev/fake/data2 --force",
        "lvcreate --name lv_root -L 1799356416B vg_root",
        "lvcreate --name lv_data -L 1996488704B vg_data",
    ]


def test_thin_volumes_have_a_virtual_size_and_a_pool() -> None:
    commands = lines(create_commands(upstream("lvm_tree_thin_provision"), DEVICES))

    assert commands[2:4] == [
        f"lvcreate --name lv_thinpool --type thin-pool -L {2800 * 2**20}B vg",
        f"lvcreate --name lv_root --type thin --thin-pool lv_thinpool -V {1800 * 2**20}B vg",
    ]


def test_extents_are_passed_as_they_are_written() -> None:
    text = upstream_elements()["block-device-efi-lvm/block-device-default.yaml"]

    assert lines(create_commands(graph_of(text), DEVICES))[2:] == [
        "lvcreate --name lv_root -l 23%VG vg",
        "lvcreate --name lv_var -l 57%VG vg",
        "lvcreate --name lv_home -l 20%VG vg",
    ]


@pytest.mark.parametrize(
    ("group", "volume", "mapper"), [("vg", "root", "vg-root"), ("my-vg", "a-b", "my--vg-a--b")]
)
def test_hyphens_are_doubled_by_the_device_mapper_only(
    group: str, volume: str, mapper: str
) -> None:
    assert device_path(group, volume) == f"/dev/{group}/{volume}"
    assert mapper_name(group, volume) == mapper
