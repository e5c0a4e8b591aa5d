"""Reading configurations: what is taken from where, and what is refused with its place."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from dibflow.blockdevice.config import FALLBACK, Defaults, read_config
from dibflow.blockdevice.nodes import (
    Extents,
    Fstab,
    LocalLoop,
    LogicalVolume,
    Mkfs,
    Mount,
    Partition,
    Partitioning,
    PhysicalVolume,
    TableLabel,
    ThinType,
    VolumeGroup,
)
from dibflow.errors import DefinitionError, UsageError
from tests.blockdevice.layouts import (
    EFI,
    VAR_AND_SWAP,
    disk_with,
    graph_of,
    upstream,
    upstream_elements,
    upstream_text,
)


def refused(text: str, defaults: Defaults | None = None) -> DefinitionError:
    with pytest.raises(DefinitionError) as caught:
        read_config(text, source=Path("x.yaml"), defaults=defaults or Defaults())
    assert caught.value.message.startswith("x.yaml:")
    assert "\n" not in caught.value.message
    return caught.value


def test_the_fallback_is_one_filesystem_on_the_disk() -> None:
    assert graph_of(FALLBACK).nodes == (
        LocalLoop(name="image0"),
        Mkfs(name="mkfs_root", base="image0", fstype="ext4", label="cloudimg-rootfs"),
        Mount(name="mount_mkfs_root", base="mkfs_root", mount_point="/"),
        Fstab(name="fstab_mount_mkfs_root", base="mount_mkfs_root", fsck_pass=1),
    )


def test_the_root_filesystem_takes_what_the_command_line_says() -> None:
    defaults = Defaults(root_fstype="btrfs", root_label="top", root_options=("-q", "-M"))

    root = graph_of(FALLBACK, defaults).filesystems[0]

    assert (root.fstype, root.label, root.options) == ("btrfs", "top", ("-q", "-M"))


def test_the_configuration_wins_over_the_command_line() -> None:
    own = "name: mkfs_root\n      type: ext2\n      label: own\n      opts: '-m  1 '"
    defaults = Defaults(root_fstype="xfs", root_label="top", root_options=("-q",))

    root = graph_of(FALLBACK.replace("name: mkfs_root", own), defaults).filesystems[0]

    assert (root.fstype, root.label, root.options) == ("ext2", "own", ("-m", "1"))


def test_only_the_root_filesystem_takes_what_the_command_line_says() -> None:
    graph = graph_of(VAR_AND_SWAP, Defaults(root_fstype="xfs", root_label="top"))

    assert [mkfs.fstype for mkfs in graph.filesystems] == ["swap", "xfs", "ext4"]
    assert [mkfs.label for mkfs in graph.filesystems] == ["mkfs_swap", "top", "var"]


def test_partitions_keep_their_sizes_flags_and_types() -> None:
    assert graph_of(VAR_AND_SWAP).partitioning == Partitioning(
        base="image0",
        label=TableLabel.MBR,
        partitions=(
            Partition(name="swap", base="image0", size_bytes=2**28, primary=True, type="0x82"),
            Partition(
                name="root",
                base="image0",
                share=Fraction(3, 5),
                boot=True,
                primary=True,
                type="0x83",
            ),
            Partition(name="var", base="image0", share=Fraction(1), type="0x83"),
        ),
    )


def test_gpt_has_its_own_default_type_and_no_boot_flag() -> None:
    graph = graph_of(disk_with("size: 100%, flags: [boot]", label="gpt"))

    assert graph.partitioning is not None
    assert graph.partitioning.partitions[0].type == "8300"
    assert graph.partitioning.partitions[0].flags == ()


def test_numbers_need_no_quotes() -> None:
    graph = graph_of(disk_with("size: 1048576, type: 0x83", loop="block_size: 512, size: 99999744"))

    assert graph.partitioning is not None
    assert graph.partitioning.partitions[0].size_bytes == 1048576
    assert graph.disk.size_bytes == 99999744


def test_dib_block_size_wins() -> None:
    text = disk_with("size: 100%", label="gpt", loop="block_size: 512")

    assert graph_of(text, Defaults(block_size=4096)).disk.block_size == 4096
    with pytest.raises(UsageError, match="DIB_BLOCK_SIZE is 1000"):
        graph_of(text, Defaults(block_size=1000))


def test_volumes_of_lvm_keep_their_sizes_and_options() -> None:
    graph = upstream("lvm_tree_thin_provision")

    assert graph.physical_volumes == (PhysicalVolume(name="pv", base="root", options=("--force",)),)
    assert graph.volume_groups == (VolumeGroup(name="vg", bases=("pv",), options=("--force",)),)
    assert graph.logical_volumes[:2] == (
        LogicalVolume(
            name="lv_thinpool", base="vg", size_bytes=2800 * 2**20, type=ThinType.THIN_POOL
        ),
        LogicalVolume(
            name="lv_root",
            base="vg",
            size_bytes=1800 * 2**20,
            type=ThinType.THIN,
            thin_pool="lv_thinpool",
        ),
    )


def test_extents_are_read_as_lvcreate_takes_them() -> None:
    text = upstream_elements()["block-device-efi-lvm/block-device-default.yaml"]

    root, _, _ = graph_of(text).logical_volumes

    assert root.extents == Extents(text="23%VG", share=Fraction(23, 100), of="VG")


def test_swap_is_mounted_nowhere_and_may_be_there_twice() -> None:
    text = VAR_AND_SWAP.replace(
        "type: ext4\n          label: var", "type: swap\n          label: b"
    )

    assert graph_of(text).mount_points == ("none", "/", "none")


def test_fat_is_another_word_for_vfat_and_labels_are_capital() -> None:
    esp = graph_of(EFI.replace("type: vfat", "type: fat")).filesystems[0]

    assert (esp.fstype, esp.label) == ("vfat", "MKFS_ESP")


def test_a_filesystem_may_be_mounted_nowhere() -> None:
    text = EFI.replace("size: 8MiB", "size: 8MiB\n        mkfs: {type: ext2, name: spare}")

    assert [mkfs.name for mkfs in graph_of(text).filesystems] == ["mkfs_ESP", "spare", "mkfs_root"]


def test_the_upstream_layout_with_a_misspelt_key_is_refused_by_name() -> None:
    text = upstream_text("lvm_tree_multiple_partitions")
    mended = text.replace("'EF00'", "'0xef'").replace("'EF02'", "'0xda'")

    assert 'type": found "EF00", expected a type of mbr' in refused(text).message
    error = refused(mended)
    assert 'fck-passno": is not known here' in error.message
    assert error.hint == 'did you mean "fsck-passno"?'
    assert graph_of(mended.replace("fck-", "fsck-")).device_names[:2] == ("image0", "root")


MBR = 'key "partitioning.partitions'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: holds nothing"),
        ("a: b", ":1: found a mapping, expected a list"),
        ("- mkfs", ':1: found the text "mkfs", expected a mapping'),
        ("- {}", ":1: found the keys of nothing, expected a mapping with one key"),
        (upstream_text("bad_plugin"), ':2: key "this_is_not_a_plugin_name": is no block-device'),
        (
            upstream_text("multi_key_node"),
            "found the keys mkfs, mount, expected a mapping",
        ),
        (upstream_text("bad_edge_graph"), '"this_is_not_a_node", which is not defined (this_is'),
        (upstream_text("duplicate_name"), ':16: key "mount.name": the name "this_is_a_duplicate"'),
        (upstream_text("duplicate_fs_labels"), '"mkfs.label": label "duplicate" is used more than'),
        (upstream_text("too_long_fs_label"), "is too long for xfs: 39 bytes > 12"),
        ("- local_loop: {}", 'key "local_loop": lacks the key "name"'),
        ("- local_loop: {name: a, size: 3Q}", 'key "local_loop.size": found "3Q", whose unit "Q"'),
        ("- local_loop: {name: a, block_size: 4k}", 'found "4k", expected 512 or 4096'),
        ("- local_loop: {name: a}", 'the disk is called "a", but only "image0" is shipped'),
        ("- local_loop: {name: ''}", "found '', which is no name"),
        ("- partitioning: {base: a, label: mbr}", 'lacks the key "partitions"'),
        (
            "- partitioning: {base: a, label: dos}",
            '"partitioning.label": found "dos", expected',
        ),
        ("- partitioning: {label: mbr}", 'key "partitioning": lacks the key "base"'),
        ("- mkfs: {base: a, name: b}", 'key "mkfs": lacks the key "type"'),
        (
            "- mkfs: {base: a, type: ext5}",
            'key "mkfs.type": found "ext5", a filesystem that',
        ),
        ("- mkfs: {base: a, type: vfat, label: a+b}", 'label "A+B" has "+", which vfat does not'),
        ("- mkfs: {base: a, type: vfat, label: é}", 'label "É" has "É", which vfat does not take'),
        ("- mkfs: {base: a, type: ext4, label: ''}", 'label "" is empty'),
        ("- mkfs: {base: a, type: vfat, uuid: x}", "expected the eight hexadecimal digits of vfat"),
        ("- mkfs: {base: a, type: ext4, uuid: 'a b'}", 'key "mkfs.uuid": found "a b", expected'),
        ("- mount: {base: a}", 'key "mount": lacks the key "mount_point"'),
        ("- mount: {base: a, mount_point: var}", 'found "var", expected a plain absolute path'),
        ("- mount: {base: a, mount_point: /var/}", 'found "/var/", expected a plain absolute path'),
        ("- mount: {base: a, mount_point: /a/../b}", "expected a plain absolute path"),
        ("- mount: {base: a, mount_point: //a}", "expected a plain absolute path"),
        ("- fstab: {base: a, options: 'a b'}", 'key "fstab.options": found "a b", expected'),
        ("- fstab: {base: a, dump-freq: x}", 'key "fstab.dump-freq": found "x", expected a whole'),
        ("- fstab: {base: a, fsck-passno: -1}", 'found "-1", expected a whole number'),
    ],
)
def test_what_a_plugin_does_not_take_is_refused(text: str, message: str) -> None:
    assert message in refused(text).message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (disk_with("size: 120%"), f':6: {MBR}.size": found "120%", expected a share above'),
        (disk_with("size: 10Kb"), f':6: {MBR}.size": found "10Kb", whose unit'),
        (disk_with("size: 100"), 'found "100", less than 512 B'),
        (disk_with("size: 9KiB", label="gpt"), 'found "9KiB", less than 1.0 MiB'),
        (disk_with("size: 100%", "size: 1M"), f':7: {MBR}.name": nothing is left for "1": "0"'),
        (disk_with("flags: [boot]"), f':6: {MBR}": lacks the key "size"'),
        (disk_with("size: 1G, flags: [bot]"), 'found "bot", expected boot or primary'),
        (
            disk_with("size: 1G, flags: [primary]", label="gpt"),
            'the flag "primary" is for mbr only',
        ),
        (disk_with("size: 1G, type: '0x5'"), 'found "0x5", the type of an extended partition'),
        (disk_with("size: 1G, type: '0'"), 'found "0", expected a type of mbr'),
        (disk_with("size: 1G, type: EF99", label="gpt"), 'found "EF99", which is no type of gpt'),
        (disk_with("size: 1G, type: '0x8e00-'", label="gpt"), "which is no type of gpt"),
        (disk_with("size: 1G", "size: 1G, flags: [primary]"), '"1" is primary, but stands behind'),
        (disk_with(*["size: 1G, flags: [primary]"] * 5), "found 5 primary and 0 logical"),
        (
            disk_with(*["size: 1G, flags: [primary]"] * 4, "size: 1G"),
            ':4: key "partitioning.label": mbr has room for 4 primary partitions, one fewer',
        ),
        (disk_with(*["size: 1MiB"] * 129, label="gpt"), "gpt has room for 128 partitions"),
        (disk_with("size: 1G", loop="block_size: 4096"), "mbr is for sectors of 512 bytes"),
        (
            disk_with("size: 3GiB", "size: 1GiB", loop="size: 4GiB"),
            ':7: key "partitioning.partitions.name": "1" needs 1024 MiB, but 1021 MiB are left',
        ),
        (disk_with("size: 1G", root="2"), 'key "mkfs.base": "mkfs_root" stands on "2", which is'),
        (
            disk_with("size: 1G").replace("base: image0", "base: image0\n    align: 3K"),
            'key "partitioning.align": found "3K", expected a power of two',
        ),
        (disk_with("size: 1G") + "- mkfs: {name: b, base: '0', type: xfs}", 'stands on "0", which'),
        (disk_with("size: 1G") + "- mkfs: {name: b, base: image0, type: xfs}", "a partition table"),
        (disk_with("size: 1G") + "- local_loop: {name: image1}", 'is called "image1", but only'),
        (
            disk_with("size: 1G") + "- partitioning: {base: image0, label: gpt, partitions: []}",
            'the disk "image0" has a partition table already',
        ),
    ],
)
def test_partitions_that_cannot_be_are_refused(text: str, message: str) -> None:
    assert message in refused(text).message


def test_mbr_with_large_sectors_is_refused_for_the_variable_too() -> None:
    text = disk_with("size: 1G")

    assert "mbr is for sectors of 512" in refused(text, Defaults(block_size=4096)).message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- mkfs: {name: b, base: mount_mkfs_root, type: ext4}", '"mount_mkfs_root", a mount; exp'),
        ("- mkfs: {name: b, base: b, type: ext4}", 'stands on "b", a filesystem; expected a disk'),
        ("- mount: {name: m, base: image0, mount_point: /a}", "a disk; expected a filesystem"),
        ("- fstab: {name: f, base: mkfs_root}", "a filesystem; expected a mount"),
        (
            "- mount: {name: m, base: mkfs_root, mount_point: /a}",
            '"m" stands on "mkfs_root", which "mount_mkfs_root" takes already',
        ),
        (
            "- fstab: {name: f, base: mount_mkfs_root}",
            '"f" stands on "mount_mkfs_root", which "fstab_mount_mkfs_root" takes already',
        ),
    ],
)
def test_a_base_of_the_wrong_kind_or_taken_already_is_refused(text: str, message: str) -> None:
    assert message in refused(FALLBACK + text).message


def test_two_filesystems_that_stand_on_each_other_are_refused() -> None:
    ring = "- mkfs: {name: b, base: c, type: xfs}\n- mkfs: {name: c, base: b, type: xfs}\n"

    assert '"b" is a filesystem and stands on "c", a filesystem' in refused(FALLBACK + ring).message


def test_a_mount_point_taken_twice_is_refused_with_both_lines() -> None:
    text = VAR_AND_SWAP.replace("mount_point: /var", "mount_point: /")

    message = refused(text).message

    assert ':30: key "partitioning.partitions.mkfs.mount.mount_point": "/" is used' in message
    assert "more than once, first on line 21" in message


def test_a_configuration_without_a_root_filesystem_is_refused() -> None:
    text = FALLBACK.replace("mount_point: /", "mount_point: /mnt")

    assert 'mounts nothing on "/"' in refused(text).message


def test_a_filesystem_that_is_no_swap_is_mounted_somewhere() -> None:
    text = VAR_AND_SWAP.replace("mount_point: /var", "mount_point: none")

    assert 'mount_point": "none" is for swap only' in refused(text).message


def test_an_unknown_root_filesystem_is_the_caller_s_mistake() -> None:
    with pytest.raises(UsageError, match='FS_TYPE is "zfs"'):
        graph_of(FALLBACK, Defaults(root_fstype="zfs"))


def test_a_root_label_that_is_too_long_names_the_option() -> None:
    error = refused(FALLBACK, Defaults(root_label="a" * 17))

    assert "is too long for ext4: 17 bytes > 16" in error.message
    assert "--root-label" in error.hint


def lvm(pvs: str = "", vgs: str = "", lvs: str = "", more: str = "name: lvm") -> str:
    return (
        disk_with("size: 3G", "size: 1G", root="l")
        + f"- lvm:\n    {more}\n"
        + f"    pvs: [{pvs or '{name: p, base: 1}'}]\n"
        + f"    vgs: [{vgs or '{name: v, base: [p]}'}]\n"
        + f"    lvs: [{lvs or '{name: l, base: v, size: 1G}'}]\n"
    )


def test_lvm_needs_no_more_than_its_three_lists() -> None:
    assert graph_of(lvm()).device_names == ("image0", "0", "1", "l")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lvm(more="align: 1"), 'key "lvm.align": is not known here'),
        (lvm(more="base: ['1']"), 'key "lvm": lacks the key "name"'),
        (lvm(pvs="{name: p, base: 9}"), '"p" stands on "9", which is not defined'),
        (lvm(pvs="{name: p, base: mkfs_root}"), "a filesystem; expected a disk or a partition"),
        (lvm(vgs="{name: v, base: p}"), 'key "lvm.vgs.base": expected a list of physical volumes'),
        (lvm(vgs="{name: v, base: []}"), "names no physical volume"),
        (lvm(vgs="{name: v, base: [q]}"), '"v" stands on "q", which is not defined (q->v)'),
        (lvm(vgs="{name: v, base: [p]}, {name: w, base: [p]}"), '"p", which "v" takes already'),
        (lvm(vgs="{name: -v, base: [p]}"), 'found "-v", which is no name for LVM'),
        (lvm(lvs="{name: l, base: w, size: 1G}"), '"l" stands on "w", which is not defined'),
        (lvm(lvs="{name: l, base: p, size: 1G}"), "a physical volume; expected a volume group"),
        (lvm(lvs="{name: l, base: v}"), 'key "lvm.lvs": needs either "size" or "extents"'),
        (lvm(lvs="{name: l, base: v, size: 1G, extents: 3}"), 'needs either "size" or "extents"'),
        (lvm(lvs="{name: l, base: v, extents: 3%LV}"), 'found "3%LV", expected extents'),
        (lvm(lvs="{name: l, base: v, extents: 101%VG}"), 'found "101%VG", expected a share'),
        (lvm(lvs="{name: l, base: v, size: 1M}"), "is less than one extent of 4 MiB"),
        (
            lvm(lvs="{name: l, base: v, size: 1G, type: fat}"),
            'found "fat", expected thin or',
        ),
        (lvm(lvs="{name: l, base: v, size: 1G, type: thin}"), 'has both "type: thin" and'),
        (
            lvm(lvs="{name: l, base: v, size: 1G, type: thin, thin-pool: p}"),
            '"p", a physical volume; expected a thin pool',
        ),
        (
            lvm(lvs="{name: l, base: v, size: 1G, type: thin-pool}"),
            'stands on "l", a thin pool; expected a disk',
        ),
        (lvm(more="name: lvm\n    mkfs: {name: x, base: lvm, type: xfs}"), '"lvm", which is not'),
    ],
)
def test_lvm_that_cannot_be_is_refused(text: str, message: str) -> None:
    assert message in refused(text).message


def test_closest_names_are_offered() -> None:
    assert refused(disk_with("sise: 1G")).hint == 'did you mean "size"?'
    assert refused("- partioning: {}").hint == 'did you mean "partitioning"?'
    assert refused(EFI.replace("base: image0", "base: imag0")).hint == 'did you mean "image0"?'
    assert refused("- mkfs: {base: a, type: ex4}").hint == 'did you mean "ext4"?'
