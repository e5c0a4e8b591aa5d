"""The layout as a graph, checked against the facts that DIB's own tests state."""

from __future__ import annotations

import networkx as nx
import pytest

from dibflow.blockdevice.config import FALLBACK, Defaults
from dibflow.blockdevice.nodes import Mount
from tests.blockdevice.layouts import (
    EFI,
    VAR_AND_SWAP,
    graph_of,
    upstream,
    upstream_elements,
    upstream_text,
)

LAYOUTS = {
    "fallback": FALLBACK,
    "efi": EFI,
    "var and swap": VAR_AND_SWAP,
    **{
        name: upstream_text(name)
        for name in (
            *("deep_graph", "deep_tree", "multiple_partitions_graph", "gpt_efi", "lvm_tree"),
            *("lvm_tree_multiple_pv_vg", "lvm_tree_partition_ordering", "lvm_tree_spanned_vg"),
            "lvm_tree_thin_provision",
        )
    },
    **upstream_elements(),
}


@pytest.mark.parametrize(
    ("tree", "graph"),
    [
        ("deep_tree", "deep_graph"),
        ("multiple_partitions_tree", "multiple_partitions_graph"),
        ("lvm_tree", "lvm_graph"),
    ],
)
def test_the_tree_and_the_graph_form_are_equal(tree: str, graph: str) -> None:
    assert upstream(tree) == upstream(graph)


def test_the_short_tree_and_graph_are_equal_on_a_disk() -> None:
    texts = [
        "- local_loop: {name: image0}\n"
        + upstream_text(name).replace("base: root_part", "base: image0")
        for name in ("simple_tree", "simple_graph")
    ]

    assert graph_of(texts[0]) == graph_of(texts[1])


def test_deep_graph_is_made_in_the_order_that_dib_states() -> None:
    assert [node.name for node in upstream("deep_graph").nodes] == [
        *("image0", "root", "mkfs_root", "mount_mkfs_root", "fstab_mount_mkfs_root")
    ]


def test_partitions_come_in_order_and_before_their_filesystems() -> None:
    names = [node.name for node in upstream("multiple_partitions_graph").nodes]

    assert names.index("root") < names.index("var") < names.index("var_log")
    assert all(names.index(name) < names.index(f"mkfs_{name}") for name in ("root", "var", "swap"))


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_a_graph_whose_edges_lead_forward(name: str) -> None:
    layout = graph_of(LAYOUTS[name])

    graph = layout.graph()

    assert nx.is_directed_acyclic_graph(graph)
    assert set(graph) == {node.name for node in layout.nodes}
    order = {node.name: at for at, node in enumerate(layout.nodes)}
    assert all(order[before] < order[after] for before, after in graph.edges)
    assert all(graph.nodes[node.name]["node"] is node for node in layout.nodes)


def test_each_mount_waits_for_its_filesystem_and_for_the_mount_before() -> None:
    edges = upstream("multiple_partitions_graph").edges()

    assert ("mkfs_var", "mount_mkfs_var") in edges
    assert ("mount_mkfs_root", "mount_mkfs_var") in edges
    assert ("mount_mkfs_var", "mount_mkfs_var_log") in edges


@pytest.mark.parametrize(
    ("name", "order", "points"),
    [
        (
            "multiple_partitions_graph",
            ["/", "/var", "/var/log"],
            ("/", "/var", "/var/log", "none"),
        ),
        ("lvm_tree_partition_ordering", ["/", "/boot", "/var"], ("/boot", "/", "/var", "none")),
    ],
)
def test_parents_are_mounted_first_whatever_the_order_of_the_file(
    name: str, order: list[str], points: tuple[str, ...]
) -> None:
    layout = upstream(name)

    assert [mount.mount_point for mount in layout.mounts] == order
    assert layout.mount_points == points
    swap = [node for node in layout.nodes if isinstance(node, Mount)][-1]
    assert swap.mount_point == "none"


def test_fstab_finds_filesystems_by_label_in_mount_order() -> None:
    assert graph_of(EFI).fstab == (
        "LABEL=cloudimg-rootfs / ext4 defaults 0 1\nLABEL=MKFS_ESP /boot/efi vfat umask=0077 0 2\n"
    )


def test_fstab_has_swap_last_with_its_fixed_fields() -> None:
    assert upstream("multiple_partitions_graph").fstab == (
        "LABEL=img-rootfs / xfs defaults 0 1\n"
        "LABEL=mkfs_var /var xfs defaults 0 1\n"
        "LABEL=VARLOG /var/log vfat defaults 0 1\n"
        "LABEL=mkfs_swap none swap sw 0 0\n"
    )


def test_a_mount_without_an_fstab_node_is_left_out() -> None:
    text = FALLBACK.partition("        fstab:")[0]

    assert graph_of(text).fstab == ""


def test_blanks_in_labels_and_mount_points_are_escaped() -> None:
    text = FALLBACK.replace("name: mkfs_root", "name: mkfs_root\n      label: my root")

    assert graph_of(text).fstab == "LABEL=my\\040root / ext4 defaults 0 1\n"


def test_labels_of_root_and_boot() -> None:
    layout = upstream("lvm_tree_partition_ordering")

    assert (layout.root_label, layout.root_fstype) == ("img-rootfs", "ext4")
    assert layout.boot_label == "mkfs_boot"
    assert graph_of(EFI).boot_label == ""


def test_the_fallback_is_plain() -> None:
    layout = graph_of(FALLBACK, Defaults(root_fstype="xfs"))

    assert layout.is_plain
    assert not layout.has_partitions
    assert not layout.has_lvm
    assert (layout.root_label, layout.root_fstype) == ("img-rootfs", "xfs")
    assert layout.device_names == ("image0",)


def test_block_devices_are_the_disk_partitions_and_volumes() -> None:
    layout = upstream("lvm_tree_spanned_vg")

    assert layout.device_names == ("image0", "root", "data1", "data2", "lv_root", "lv_data")
    assert layout.has_partitions
    assert layout.has_lvm
    assert not layout.is_plain


def test_a_filesystem_knows_its_device_and_its_mount() -> None:
    layout = graph_of(VAR_AND_SWAP)
    swap, root, var = layout.filesystems

    assert [layout.device_of(mkfs).name for mkfs in (swap, root, var)] == ["swap", "root", "var"]
    points = [mount.mount_point for mkfs in (swap, root) if (mount := layout.mount_of(mkfs))]
    assert points == ["none", "/"]


def test_a_thin_pool_is_made_before_what_lies_in_it() -> None:
    text = upstream_text("lvm_tree_thin_provision")
    head, pool, others = (part for part in text.split("      - name: lv_", 2))
    volumes, rest = others.split("- mkfs:\n", 1)
    item = "      - name: lv_"
    moved = f"{head}{item}{volumes}{item}{pool}- mkfs:\n{rest}"

    assert graph_of(moved).logical_volumes[0].name == "lv_thinpool"
