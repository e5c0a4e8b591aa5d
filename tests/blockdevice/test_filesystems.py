"""The commands that make filesystems."""

from __future__ import annotations

import dataclasses
import re

import pytest

from dibflow.blockdevice.filesystems import (
    TOOLS,
    filesystem_uuid,
    hash_seed,
    make_command,
)
from dibflow.blockdevice.labels import LABEL_LIMITS
from dibflow.blockdevice.nodes import Mkfs

MIB = 2**20
UUID = "c0ffee00-0000-4000-8000-000000000001"


def filesystem(fstype: str, *options: str, name: str = "mkfs_var") -> Mkfs:
    return Mkfs(name=name, base="x", fstype=fstype, label="label", options=options)


def command(mkfs: Mkfs, **more: object) -> str:
    return " ".join(make_command(mkfs, "/dev/x", uuid=UUID, **more))  # type: ignore[arg-type]


EXT = f"-q -F -L label -U {UUID} -b 4096 -I 256 -i 4096"


@pytest.mark.parametrize(
    ("mkfs", "expected"),
    [
        (filesystem("ext2"), f"mkfs.ext2 {EXT} /dev/x"),
        (filesystem("ext4"), f"mkfs.ext4 {EXT} /dev/x"),
        (filesystem("ext4", name="mkfs_root"), f"mkfs.ext4 {EXT} -J size=64 /dev/x"),
        (filesystem("ext3", name="mkfs_root"), f"mkfs.ext3 {EXT} /dev/x"),
        (filesystem("xfs", "-K"), f"mkfs.xfs -q -f -L label -m uuid={UUID} -K /dev/x"),
        (filesystem("btrfs"), f"mkfs.btrfs -q -f -L label -U {UUID} /dev/x"),
        (filesystem("swap"), f"mkswap -q -f -L label -U {UUID} /dev/x"),
    ],
)
def test_each_filesystem_has_label_uuid_and_its_options(mkfs: Mkfs, expected: str) -> None:
    assert command(mkfs) == expected


def test_vfat_has_a_number_and_no_time() -> None:
    made = make_command(filesystem("vfat", "-F", "32"), "/dev/x", uuid="1A2B-3C4D")

    assert " ".join(made) == "mkfs.vfat --invariant -n label -i 1A2B3C4D -F 32 /dev/x"


def test_large_sectors_are_said_where_a_file_cannot_tell() -> None:
    assert "-S 4096" in command(filesystem("vfat"), sector_size=4096)
    assert "-s size=4096" in command(filesystem("xfs"), sector_size=4096)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("-i", "8192"), "-b 4096 -I 256 -J size=64 -i 8192"),
        (("-qI128", "-N", "5000"), "-b 4096 -J size=64 -q -I 128 -N 5000"),
        (("-J", "size=8"), "-b 4096 -I 256 -i 4096 -J size=8"),
        (("-O", "^has_journal"), "-b 4096 -I 256 -i 4096 -O ^has_journal"),
    ],
)
def test_options_of_the_configuration_take_the_place_of_ours(
    options: tuple[str, ...], expected: str
) -> None:
    made = command(filesystem("ext4", *options, name="mkfs_root"))

    assert made == f"mkfs.ext4 -q -F -L label -U {UUID} {expected} /dev/x"


def test_the_seed_stands_beside_other_extended_options() -> None:
    plain = command(filesystem("ext4"), hash_seed="seed")
    beside = command(filesystem("ext4", "-E", "resize=9999999"), hash_seed="seed")

    assert "-E hash_seed=seed /dev/x" in plain
    assert "-E resize=9999999,hash_seed=seed /dev/x" in beside
    assert beside.count("-E") == 1


def test_the_journal_of_the_root_filesystem_can_be_chosen() -> None:
    made = command(filesystem("ext4", name="mkfs_root"), journal_bytes=16 * MIB)

    assert "-J size=16" in made


def test_uuids_are_derived_unless_configured() -> None:
    one, other = filesystem("ext4"), filesystem("ext4", name="mkfs_home")

    assert filesystem_uuid(one, identity="i") == filesystem_uuid(one, identity="i")
    assert filesystem_uuid(one, identity="i") != filesystem_uuid(one, identity="j")
    assert filesystem_uuid(one, identity="i") != filesystem_uuid(other, identity="i")
    assert filesystem_uuid(one, identity="i") != hash_seed(one, identity="i")
    assert filesystem_uuid(dataclasses.replace(one, uuid="own"), identity="i") == "own"
    assert re.fullmatch(
        "[0-9A-F]{4}-[0-9A-F]{4}", filesystem_uuid(filesystem("vfat"), identity="i")
    )


def test_there_is_a_tool_for_each_filesystem_that_can_be_configured() -> None:
    assert TOOLS.keys() == LABEL_LIMITS.keys()
