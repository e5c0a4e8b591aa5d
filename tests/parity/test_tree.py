"""Entries of a tar, as the comparison sees them."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from bench.parity.tree import Entry, Tree, read_tree


def tree_of(folder: Path, *members: tarfile.TarInfo, content: bytes = b"text\n") -> Tree:
    """Write a tar of `members`, each file with `content`, and read it."""
    path = folder / "root.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            if member.isreg():
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return read_tree(path)


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def test_a_file_has_size_and_digest(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, member("./etc/motd", mode=0o640, uid=1, gid=2))

    assert tree.entries == {
        "etc/motd": Entry(
            kind="file",
            mode=0o640,
            owner=(1, 2),
            size=5,
            digest=hashlib.sha256(b"text\n").hexdigest(),
        )
    }


@pytest.mark.parametrize("name", [".", "./"])
def test_the_root_is_a_dot(name: str, tmp_path: Path) -> None:
    assert list(tree_of(tmp_path, member(name, tarfile.DIRTYPE)).entries) == ["."]


def test_a_symlink_has_a_target(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, member("./bin", tarfile.SYMTYPE, linkname="usr/bin"))

    assert tree.entries["bin"].target == "usr/bin"


def test_a_device_has_numbers(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, member("./dev/null", tarfile.CHRTYPE, devmajor=1, devminor=3))

    assert (tree.entries["dev/null"].kind, tree.entries["dev/null"].device) == (
        "character device",
        (1, 3),
    )


def test_extended_attributes_count_and_times_do_not(tmp_path: Path) -> None:
    headers = {"SCHILY.xattr.security.capability": "yes", "atime": "12.5"}

    tree = tree_of(tmp_path, member("./bin/ping", pax_headers=headers, mtime=7))

    assert tree.entries["bin/ping"].xattrs == (("security.capability", "yes"),)


def test_hard_links_are_the_same_whichever_comes_first(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()

    first = tree_of(tmp_path / "1", member("./a"), member("./b", tarfile.LNKTYPE, linkname="./a"))
    second = tree_of(tmp_path / "2", member("./b"), member("./a", tarfile.LNKTYPE, linkname="./b"))

    assert first.entries == second.entries
    assert first.entries["a"].twins == ("b",)


def test_a_text_is_read_through_any_of_its_names(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, member("./a"), member("./b", tarfile.LNKTYPE, linkname="./a"))

    assert (tree.text("b"), tree.text("c")) == ("text\n", "")
