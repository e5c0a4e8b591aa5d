"""Where volumes lie and how large disks get."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibflow.blockdevice.capacity import Demand
from dibflow.blockdevice.config import FALLBACK, Defaults
from dibflow.blockdevice.geometry import Geometry, Usage, VolumeKind, Wish, lay_out
from dibflow.blockdevice.graph import DeviceGraph
from dibflow.blockdevice.placement import NoRoomError, place
from dibflow.errors import StepError
from tests.blockdevice.layouts import (
    EFI,
    VAR_AND_SWAP,
    disk_with,
    graph_of,
    upstream,
    upstream_elements,
    upstream_text,
)

MIB = 2**20
GIB = 2**30
SECTOR = 512

SYSTEM = Usage(
    content_bytes_4k=900 * MIB, inodes=30000, directories=3000, directory_bytes_4k=3100 * 4096
)
NOTHING = Usage.of_folder([])


def usages(graph: DeviceGraph, root: Usage = SYSTEM, other: Usage = NOTHING) -> dict[str, Usage]:
    return {
        mount.mount_point: root if mount.mount_point == "/" else other for mount in graph.mounts
    }


def laid_out(text: str, wish: Wish | None = None, root: Usage = SYSTEM) -> Geometry:
    graph = graph_of(text)
    return lay_out(graph, usage=usages(graph, root), wish=wish or Wish())


def sectors(geometry: Geometry) -> list[tuple[int, int, int]]:
    """Give number, first and last sector of each partition, as partx does."""
    return [
        (volume.number, volume.start_bytes // SECTOR, volume.end_bytes // SECTOR - 1)
        for volume in geometry.volumes[1:]
    ]


PRIMARY = "size: 10MiB, flags: [primary]"
LOGICAL = "size: 10MiB"


@pytest.mark.parametrize(
    ("partitions", "expected"),
    [
        ([], []),
        ([LOGICAL], [(1, 2048, 2097151), (5, 4096, 24575)]),
        ([PRIMARY], [(1, 2048, 22527)]),
        ([PRIMARY] * 3, [(1, 2048, 22527), (2, 22528, 43007), (3, 43008, 63487)]),
        (
            [PRIMARY] * 3 + [LOGICAL] * 7,
            [
                *((1, 2048, 22527), (2, 22528, 43007), (3, 43008, 63487), (4, 63488, 2097151)),
                *((5, 65536, 86015), (6, 88064, 108543), (7, 110592, 131071)),
                *((8, 133120, 153599), (9, 155648, 176127), (10, 178176, 198655)),
                (11, 200704, 221183),
            ],
        ),
        (
            [LOGICAL] * 64,
            [
                (1, 2048, 2097151),
                *((5 + n, 4096 + n * 22528, 24575 + n * 22528) for n in range(64)),
            ],
        ),
    ],
)
def test_mbr_lies_where_dib_puts_it(
    partitions: list[str], expected: list[tuple[int, int, int]]
) -> None:
    text = disk_with(*partitions).partition("- mkfs")[0]
    mount = "- mkfs: {name: mkfs_root, base: '0', mount: {mount_point: /}}"
    if not partitions:
        mount = "- local_loop: {name: image0, mkfs: {name: mkfs_root, mount: {mount_point: /}}}"
        text = ""

    geometry = place(graph_of(text + mount), GIB)

    assert sectors(geometry) == expected


def test_gpt_lies_where_dib_puts_it() -> None:
    geometry = place(upstream("gpt_efi"), GIB)

    assert [(v.name, v.start_bytes // MIB, v.size_bytes / MIB) for v in geometry.volumes] == [
        *(("image0", 0, 1024), ("ESP", 1, 8), ("BSP", 9, 8), ("Root Part", 17, 1006)),
    ]


def test_sizes_of_gpt_are_rounded_down_to_whole_mib() -> None:
    text = disk_with("size: 10M", "size: 50%", "size: 100%", label="gpt")

    geometry = place(graph_of(text), GIB)

    # 1022 MiB are free, 10^7 bytes of them wanted; half of the rest is 506.2 MiB, the rest as much
    assert [volume.size_bytes / MIB for volume in geometry.partitions] == [9, 506, 506]


def test_a_share_of_mbr_leaves_one_alignment_unit_at_the_end() -> None:
    geometry = place(graph_of(disk_with("size: 100%, flags: [primary]")), GIB)

    assert sectors(geometry) == [(1, 2048, 2048 + 1022 * 2048 - 1)]


def test_another_alignment_moves_partitions_and_boot_records() -> None:
    text = disk_with("size: 3MiB, flags: [primary]", "size: 3MiB", "size: 3MiB")
    text = text.replace("base: image0\n", "base: image0\n    align: 4MiB\n")

    geometry = place(graph_of(text), GIB)

    assert [v.start_bytes // MIB for v in geometry.volumes[1:]] == [4, 8, 12, 20]


def test_extents_of_lvm_are_four_mib_behind_a_header() -> None:
    geometry = place(upstream("lvm_tree"), 4 * GIB)

    assert [size.size_bytes for size in geometry.logical_volumes][:3] == [
        *(1799356416, 96468992, 499122176)
    ]
    assert geometry.size_of("lv_root") == 1799356416


def test_shares_of_a_volume_group_are_of_all_its_extents_or_of_the_free_ones() -> None:
    text = upstream_elements()["block-device-efi-lvm/block-device-default.yaml"]
    free = text.replace("extents: 57%VG", "extents: 50%FREE").replace("20%VG", "100%FREE")
    extents = (40 * 10**9 // MIB - 1) // 4

    shares = [
        size.size_bytes // MIB // 4 for size in place(graph_of(text), 80 * GIB).logical_volumes
    ]
    rest = [size.size_bytes // MIB // 4 for size in place(graph_of(free), 80 * GIB).logical_volumes]

    root = extents * 23 // 100
    assert shares == [root, extents * 57 // 100, extents * 20 // 100]
    half = (extents - root) // 2
    assert rest == [root, half, extents - root - half]


def test_a_thin_pool_takes_its_metadata_too() -> None:
    graph = upstream("lvm_tree_thin_provision")

    assert place(graph, 3 * GIB).size_of("lv_thinpool") == 2800 * MIB
    # 3 GB hold 714 extents: 700 are the pool's, so that 15 for metadata are one too many
    larger = graph_of(
        disk_with("size: 2806MiB", root="thin")
        + "- lvm:\n    name: lvm\n    pvs: [{name: pv, base: '0'}]\n"
        + "    vgs: [{name: vg, base: [pv]}]\n    lvs:\n"
        + "      - {name: pool, base: vg, type: thin-pool, size: 2800MiB}\n"
        + "      - {name: thin, base: vg, type: thin, thin-pool: pool, size: 5GiB}\n"
    )
    with pytest.raises(NoRoomError) as caught:
        place(larger, 3 * GIB)
    assert (caught.value.name, caught.value.needed) == ("pool", 2808 * MIB)


def test_volumes_beyond_their_group_are_named() -> None:
    text = upstream_text("lvm_tree_multiple_pv_vg").replace("size: 500M", "size: 700M")

    with pytest.raises(NoRoomError) as caught:
        place(graph_of(text), 5 * GIB)

    # 10^9 bytes are 238 extents: 166 are lv_var's, 23 each the log's and audit's
    assert caught.value.name == "lv_home"
    assert (caught.value.needed, caught.value.available) == (47 * 4 * MIB, 26 * 4 * MIB)


def placed_or_refused(text: str, size: int) -> tuple[Geometry | None, NoRoomError | None]:
    try:
        return place(graph_of(text), size), None
    except NoRoomError as error:
        return None, error


sizes = st.sampled_from(["1%", "7%", "33.3%", "50%", "99%", "1MiB", "5M", "123456789", "1GiB"])


@given(
    st.lists(sizes, min_size=1, max_size=12),
    st.sampled_from(["mbr", "gpt"]),
    st.integers(min_value=0, max_value=3),
    st.integers(min_value=1, max_value=40 * 1024),
    st.sampled_from(["1MiB", "4KiB", "16MiB"]),
)
def test_volumes_are_aligned_on_the_disk_and_never_overlap(
    wanted: list[str], label: str, primaries: int, disk_mib: int, align: str
) -> None:
    flags = ["flags: [primary]" if n < primaries and label == "mbr" else "" for n in range(12)]
    items = [f"size: {size}, {flag}" for size, flag in zip(wanted, flags, strict=False)]
    text = disk_with(*items, label=label).replace(
        "base: image0\n", f"base: image0\n    align: {align}\n"
    )
    geometry, refusal = placed_or_refused(text, disk_mib * MIB)
    if geometry is None:
        assert refusal is not None
        assert refusal.needed > refusal.available
        return

    disk, *rest = geometry.volumes
    taken = [volume for volume in rest if volume.kind is not VolumeKind.EXTENDED]
    assert len(taken) == len(wanted)
    records = geometry.align_bytes
    free_from = 0
    for volume in taken:
        record = records if volume.kind is VolumeKind.LOGICAL else 0
        assert volume.start_bytes % geometry.align_bytes == 0
        assert volume.start_bytes - record >= free_from
        assert volume.size_bytes > 0
        assert volume.size_bytes % SECTOR == 0
        free_from = volume.end_bytes
    assert free_from <= disk.size_bytes
    if label == "gpt":
        assert geometry.align_bytes <= taken[0].start_bytes
        assert free_from <= disk.size_bytes - MIB
    logical = [volume for volume in rest if volume.kind is VolumeKind.LOGICAL]
    extended = [volume for volume in rest if volume.kind is VolumeKind.EXTENDED]
    assert len(extended) == bool(logical)
    for outer in extended:
        assert all(
            outer.start_bytes < v.start_bytes < v.end_bytes <= outer.end_bytes for v in logical
        )
    assert Geometry.from_json(json.loads(json.dumps(geometry.to_json()))) == geometry


@given(
    st.integers(min_value=0, max_value=4000),
    st.sampled_from(["ext2", "ext3", "ext4", "xfs", "btrfs"]),
    st.sampled_from([FALLBACK, EFI, VAR_AND_SWAP]),
)
def test_the_computed_disk_holds_its_trees(content_mib: int, fstype: str, text: str) -> None:
    graph = graph_of(text, Defaults(root_fstype=fstype))
    tree = Usage(
        content_bytes_4k=content_mib * MIB,
        inodes=content_mib * 30 + 1,
        directories=content_mib * 3 + 1,
        directory_bytes_4k=(content_mib * 3 + 1) * 4096,
    )
    usage = usages(graph, tree)

    geometry = lay_out(graph, usage=usage, wish=Wish())

    assert geometry.size_bytes % MIB == 0
    root = next(mkfs for mkfs in graph.filesystems if mkfs.name == "mkfs_root")
    spare = max(256 * MIB, tree.content_bytes_4k // 5)
    demand = Demand(mkfs=root, usage=tree, spare_bytes=spare)
    assert demand.fits(geometry.size_of(root.base))
    assert lay_out(graph, usage=usage, wish=Wish(image_size_bytes=geometry.size_bytes)) == geometry


def test_the_disk_is_the_smallest_that_will_do() -> None:
    graph = graph_of(FALLBACK)
    geometry = lay_out(graph, usage=usages(graph), wish=Wish())
    demand = Demand(mkfs=graph.filesystems[0], usage=SYSTEM, spare_bytes=256 * MIB)

    assert demand.fits(geometry.size_bytes)
    assert not demand.fits(geometry.size_bytes - MIB)
    assert geometry.size_bytes < SYSTEM.content_bytes_4k / 0.6


def test_extra_size_takes_the_place_of_the_room_to_spare() -> None:
    none = laid_out(FALLBACK, Wish(extra_bytes=0)).size_bytes
    usual = laid_out(FALLBACK).size_bytes
    much = laid_out(FALLBACK, Wish(extra_bytes=GIB)).size_bytes

    assert none + 256 * MIB < usual < none + 400 * MIB
    assert none + GIB < much < none + 1.3 * GIB


def test_a_fixed_image_size_is_kept_whatever_the_configuration_says() -> None:
    text = disk_with("size: 100%", loop="size: 9G")

    assert laid_out(text).size_bytes == 9 * 10**9
    assert laid_out(text, Wish(image_size_bytes=2 * GIB)).size_bytes == 2 * GIB
    assert laid_out(text, Wish(image_size_bytes=2 * GIB + 1)).size_bytes == 2 * GIB + 64 * 1024


def test_a_smaller_journal_leaves_more_room() -> None:
    small = laid_out(FALLBACK, Wish(journal_bytes=4 * MIB)).size_bytes

    assert laid_out(FALLBACK).size_bytes - small >= 60 * MIB


def test_shares_make_the_disk_grow_until_each_has_what_it_needs() -> None:
    graph = graph_of(VAR_AND_SWAP)
    usage = {"/": SYSTEM, "/var": SYSTEM}

    geometry = lay_out(graph, usage=usage, wish=Wish())

    root, var = geometry.size_of("root"), geometry.size_of("var")
    assert math.isclose(root / var, 0.6 / 0.4, rel_tol=0.01)
    spare = Demand(mkfs=graph.filesystems[2], usage=SYSTEM, spare_bytes=180 * MIB)
    assert spare.fits(var)
    assert geometry.size_of("swap") == 256 * MIB


def test_a_group_by_shares_on_a_share_grows_with_the_disk() -> None:
    text = upstream_elements()["block-device-efi-lvm/block-device-default.yaml"]
    fixed, growing = graph_of(text), graph_of(text.replace("size: 40G", "size: 100%"))

    assert lay_out(fixed, usage=usages(fixed), wish=Wish()).size_bytes > 40 * 10**9
    geometry = lay_out(growing, usage=usages(growing), wish=Wish())
    assert geometry.size_bytes < 10 * GIB
    demand = Demand(mkfs=growing.filesystems[1], usage=SYSTEM, spare_bytes=256 * MIB)
    assert demand.fits(geometry.size_of("lv_root"))


@pytest.mark.parametrize(
    ("text", "wish", "message", "hint"),
    [
        (
            FALLBACK,
            Wish(image_size_bytes=GIB),
            'laying out the disk: the ext4 filesystem of "/" on "image0" needs 1063 MiB, but has '
            "1024 MiB",
            "raise --image-size (DIB_IMAGE_SIZE) or leave it out; 1063 MiB would be enough",
        ),
        (
            disk_with("size: 100%", loop="size: 1GiB"),
            Wish(),
            'the ext4 filesystem of "/" on "0" needs 1063 MiB, but has 1022 MiB',
            'raise the "size" of image0 or give --image-size; 1065 MiB would be enough',
        ),
        (
            disk_with("size: 500MiB"),
            Wish(),
            'the ext4 filesystem of "/" on "0" needs 1063 MiB, but has 500 MiB',
            "make its size in the block-device configuration larger, or give it a share",
        ),
        (
            disk_with("size: 4GiB"),
            Wish(image_size_bytes=2 * GIB),
            '"0" needs 4096 MiB, but has 2046 MiB',
            "would be enough",
        ),
        (
            VAR_AND_SWAP.replace("size: 256MiB", "size: 512"),
            Wish(),
            'the swap filesystem on "swap" needs 1 MiB, but has 0 MiB',
            "make its size",
        ),
    ],
)
def test_what_cannot_fit_is_named_with_what_would_be_enough(
    text: str, wish: Wish, message: str, hint: str
) -> None:
    with pytest.raises(StepError) as caught:
        laid_out(text, wish)

    assert message in caught.value.message
    assert hint in caught.value.hint


def test_filesystems_in_a_thin_pool_together_must_fit() -> None:
    text = (
        disk_with("size: 3GiB", root="a")
        + "- lvm:\n    name: lvm\n    pvs: [{name: pv, base: '0'}]\n"
        + "    vgs: [{name: vg, base: [pv]}]\n    lvs:\n"
        + "      - {name: pool, base: vg, type: thin-pool, size: 1100MiB}\n"
        + "      - {name: a, base: vg, type: thin, thin-pool: pool, size: 5GiB}\n"
        + "      - {name: b, base: vg, type: thin, thin-pool: pool, size: 5GiB}\n"
        + "- mkfs: {name: b_fs, base: b, type: xfs, mount: {mount_point: /b}}\n"
    )

    with pytest.raises(StepError, match='"pool" needs 1363 MiB, but has 1100 MiB'):
        laid_out(text)


ADDING: list[Callable[[], Usage]] = [
    lambda: Usage.of_file(0),
    lambda: Usage.of_file(4097, pieces=2, attributes=True),
    lambda: Usage.of_link(59),
    lambda: Usage.of_link(60),
    lambda: Usage.of_folder([255] * 20),
]


def test_usage_is_counted_per_entry_and_adds_up() -> None:
    total = Usage.total(part() for part in ADDING)

    assert total == Usage(
        content_bytes_4k=8192 + 4096,
        inodes=5,
        directories=1,
        directory_bytes_4k=8192,
        attribute_inodes=1,
        pieces=2,
    )
    assert Usage.from_json(json.loads(json.dumps(total.to_json()))) == total
