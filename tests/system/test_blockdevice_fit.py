"""Real filesystems of the size that was computed: the tree fits, and little is wasted."""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dibflow.blockdevice.capacity import Demand, Usage
from dibflow.blockdevice.ext import ext_options, ext_room
from dibflow.blockdevice.filesystems import filesystem_uuid, make_command
from dibflow.blockdevice.nodes import Mkfs
from tests.capabilities import lacking

pytestmark = pytest.mark.needs("mkfs.ext4", "dumpe2fs")

MIB = 2**20
JOURNAL = 8 * MIB
TIGHT = JOURNAL + 18 * MIB
"""What may be left besides a twentieth: mke2fs wants as much room as its journal takes, and the
kernel keeps up to 16 MiB back."""


def usage_of(tree: Path) -> Usage:
    """Count a tree as `Usage` says it is to be counted."""
    parts = []
    linked: set[int] = set()
    for folder, folders, files in os.walk(tree):
        parts.append(Usage.of_folder(len(os.fsencode(name)) for name in folders + files))
        for name in files:
            path = Path(folder, name)
            status = path.lstat()
            if status.st_ino in linked:
                continue
            linked.add(status.st_ino)
            if path.is_symlink():
                parts.append(Usage.of_link(len(os.fsencode(path.readlink()))))
            else:
                allocated = min(status.st_blocks * 512, status.st_size)
                pieces = 20 if path.name.startswith("sparse") else 0
                parts.append(Usage.of_file(allocated, pieces=pieces))
    return Usage.total(parts)


def many_small_files(tree: Path) -> None:
    chance = random.Random(1)  # noqa: S311 - sizes of test files
    for at in range(6000):
        folder = tree / f"d{at % 97}" / f"e{at % 11}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file-{at}").write_bytes(b"x" * int(chance.expovariate(1 / 3000)))


def few_large_files(tree: Path) -> None:
    for at in range(3):
        (tree / f"large-{at}").write_bytes(os.urandom(50 * MIB))


def hard_links_and_symlinks(tree: Path) -> None:
    for at in range(500):
        (tree / f"one-{at}").write_bytes(b"y" * 9000)
        for more in range(5):
            (tree / f"link-{at}-{more}").hardlink_to(tree / f"one-{at}")
        (tree / f"short-{at}").symlink_to("target")
        (tree / f"long-{at}").symlink_to("t" * 100)


def deep_folders(tree: Path) -> None:
    for branch in range(40):
        folder = tree / str(branch)
        for depth in range(50):
            folder /= f"a-folder-with-quite-a-long-name-{depth}"
        folder.mkdir(parents=True)
        (folder / "leaf").touch()


def one_large_folder(tree: Path) -> None:
    for at in range(3000):
        (tree / f"an-entry-with-a-name-of-usual-length-{at:06}").touch()


def sparse_files(tree: Path) -> None:
    for at in range(20):
        with (tree / f"sparse-{at}").open("wb") as file:
            for hole in range(20):
                file.seek(hole * 4 * MIB)
                file.write(b"z" * 4096)


TREES = [
    *(many_small_files, few_large_files, hard_links_and_symlinks),
    *(deep_folders, one_large_folder, sparse_files),
]


def filesystem(fstype: str, *options: str) -> Mkfs:
    return Mkfs(name="mkfs_root", base="image0", fstype=fstype, label="l", options=options)


def make(mkfs: Mkfs, image: Path, size: int, tree: Path | None = None) -> bool:
    with image.open("wb") as file:
        file.truncate(size)
    arguments = ext_options(mkfs, journal_bytes=JOURNAL).arguments()
    source = ["-d", str(tree)] if tree else []
    command = [f"mkfs.{mkfs.fstype}", "-q", "-F", *arguments, *mkfs.options, *source, str(image)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def header(image: Path) -> dict[str, int]:
    text = subprocess.run(
        ["dumpe2fs", "-h", image], capture_output=True, text=True, check=True
    ).stdout
    return {
        key: int(value) for key, value in re.findall(r"^([A-Z].*?):\s+(\d+)$", text, re.MULTILINE)
    }


@pytest.mark.parametrize("fstype", ["ext4", "ext2"])
@pytest.mark.parametrize("grow", TREES, ids=lambda grow: grow.__name__)
def test_a_tree_fits_in_the_size_computed_for_it(
    tmp_path: Path, grow: Callable[[Path], None], fstype: str
) -> None:
    tree, image = tmp_path / "tree", tmp_path / "image"
    tree.mkdir()
    grow(tree)
    mkfs = filesystem(fstype)
    demand = Demand(mkfs=mkfs, usage=usage_of(tree), journal_bytes=JOURNAL)

    size = demand.smallest()

    assert make(mkfs, image, size, tree)
    found = header(image)
    assert found["Free blocks"] * 4096 <= size // 20 + TIGHT or found["Free inodes"] <= 600


@pytest.mark.parametrize("grow", [many_small_files, few_large_files])
def test_what_is_to_be_spared_can_be_filled_by_anyone(
    tmp_path: Path, grow: Callable[[Path], None]
) -> None:
    tree, image = tmp_path / "tree", tmp_path / "image"
    tree.mkdir()
    grow(tree)
    mkfs = filesystem("ext4")
    spare = 100 * MIB

    size = Demand(
        mkfs=mkfs, usage=usage_of(tree), journal_bytes=JOURNAL, spare_bytes=spare
    ).smallest()

    assert make(mkfs, image, size, tree)
    found = header(image)
    free = (found["Free blocks"] - found["Reserved block count"]) * 4096
    assert spare <= free <= spare + TIGHT + size // 20


OPTIONS = [(), ("-i", "16384"), ("-b", "1024"), ("-N5000",), ("-m", "0"), ("-J", "size=4")]


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
@pytest.mark.parametrize("fstype", ["ext2", "ext3", "ext4"])
def test_the_room_of_an_empty_filesystem_is_known(
    tmp_path: Path, fstype: str, options: tuple[str, ...]
) -> None:
    mkfs, image = filesystem(fstype, *options), tmp_path / "image"
    for size in (100 * MIB, 127 * MIB, 300 * MIB, 513 * MIB, 1024 * MIB, 3000 * MIB, 20000 * MIB):
        assert make(mkfs, image, size)

        room = ext_room(ext_options(mkfs, journal_bytes=JOURNAL), size)

        found = header(image)
        assert 0 <= found["Free blocks"] - room.blocks <= 64 + found["Block count"] // 1000
        assert found["Free inodes"] >= room.inodes
        assert found["Reserved block count"] <= room.reserved_blocks
        assert found["Block size"] == room.block_size


FILL = """
mount -o loop "$1" "$2" && cp -r "$3/." "$2" && sync -f "$2" && stat -f -c '%a %S' "$2"
"""


@pytest.mark.thorough
@pytest.mark.needs("root-namespaces", "loop")
@pytest.mark.parametrize("fstype", ["ext3", "ext4", "xfs", "btrfs"])
@pytest.mark.parametrize("spare", [0, 100 * MIB])
def test_the_kernel_too_finds_room_for_the_tree_and_what_is_to_be_spared(
    tmp_path: Path, fstype: str, spare: int
) -> None:
    if reason := lacking(f"mkfs.{fstype}"):
        pytest.skip(reason)
    tree, image, mount_point = (tmp_path / name for name in ("tree", "image", "mnt"))
    tree.mkdir()
    mount_point.mkdir()
    many_small_files(tree)
    few_large_files(tree)
    mkfs = filesystem(fstype)
    size = Demand(mkfs=mkfs, usage=usage_of(tree), spare_bytes=spare).smallest()
    with image.open("wb") as file:
        file.truncate(size)
    identity = filesystem_uuid(mkfs, identity="test")
    subprocess.run(make_command(mkfs, str(image), uuid=identity), check=True, capture_output=True)

    # The mount ends with the namespace, the loop device with the mount.
    filled = subprocess.run(
        ["unshare", "--mount", "sh", "-c", FILL, "sh", image, mount_point, tree],
        capture_output=True,
        text=True,
        check=False,
    )

    if "unknown filesystem type" in filled.stderr:
        pytest.skip(filled.stderr.strip())
    assert filled.returncode == 0, filled.stderr
    blocks, block_size = map(int, filled.stdout.split())
    assert blocks * block_size >= spare
