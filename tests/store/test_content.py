from __future__ import annotations

import os
from pathlib import Path

import pytest

from dibflow.errors import StoreError
from dibflow.store.content import content_of


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc" / "motd").write_text("hello\n")
    (tree / "etc" / "motd").chmod(0o644)
    (tree / "etc" / "issue").symlink_to("motd")
    (tree / "etc").chmod(0o755)
    return tree


def test_an_empty_tree_is_empty(tmp_path: Path) -> None:
    assert content_of(tmp_path).empty


def test_times_do_not_count(tree: Path) -> None:
    before = content_of(tree)

    os.utime(tree / "etc" / "motd", (1, 1))

    assert content_of(tree) == before


def test_where_the_tree_lies_does_not_count(tree: Path) -> None:
    before = content_of(tree)

    assert content_of(tree.rename(tree.with_name("a-longer-name"))) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / "etc" / "motd").write_text("HELLO\n"),
        lambda tree: (tree / "etc" / "motd").chmod(0o600),
        lambda tree: (tree / "etc" / "motd").rename(tree / "etc" / "motd2"),
        lambda tree: (tree / "etc").chmod(0o700),
        lambda tree: ((tree / "etc" / "issue").unlink(), (tree / "etc" / "issue").symlink_to("m")),
        lambda tree: (tree / "etc" / "new").mkdir(),
        lambda tree: os.mkfifo(tree / "etc" / "pipe"),
    ],
    ids=["content", "mode", "name", "folder mode", "link target", "folder", "fifo"],
)
def test_whatever_an_image_shows_counts(tree: Path, change: object) -> None:
    before = content_of(tree)

    assert callable(change)
    change(tree)

    assert content_of(tree).id != before.id


def test_a_hard_link_is_not_a_copy(tree: Path) -> None:
    (tree / "etc" / "twin").write_text("hello\n")
    (tree / "etc" / "twin").chmod(0o644)
    copied = content_of(tree)

    (tree / "etc" / "twin").unlink()
    os.link(tree / "etc" / "motd", tree / "etc" / "twin")

    assert content_of(tree).id != copied.id


def test_names_that_are_no_text_count(tree: Path) -> None:
    before = content_of(tree)

    Path(os.fsdecode(os.fsencode(tree) + b"/\xff\xfe")).touch()

    assert content_of(tree).entries == before.entries + 1


def test_the_size_is_that_of_the_files(tree: Path) -> None:
    assert content_of(tree).size_bytes == 6


@pytest.mark.needs("trusted-xattrs")
def test_an_opaque_mark_counts(tree: Path) -> None:
    before = content_of(tree)

    os.setxattr(tree / "etc", "trusted.overlay.opaque", b"y")

    assert content_of(tree).id != before.id


@pytest.mark.needs("trusted-xattrs")
@pytest.mark.parametrize("mark", ["origin", "impure", "uuid", "nlink"])
def test_what_overlayfs_notes_for_itself_does_not_count(tree: Path, mark: str) -> None:
    before = content_of(tree)

    os.setxattr(tree / "etc", f"trusted.overlay.{mark}", b"of this disk")

    assert content_of(tree) == before


@pytest.mark.needs("trusted-xattrs")
@pytest.mark.parametrize("mark", ["redirect", "metacopy"])
def test_a_layer_that_needs_its_lowers_to_be_read_is_refused(tree: Path, mark: str) -> None:
    os.setxattr(tree / "etc", f"trusted.overlay.{mark}", b"/elsewhere")

    with pytest.raises(StoreError, match=f'etc" with "{mark}"'):
        content_of(tree)


@pytest.mark.needs("trusted-xattrs")
def test_attributes_of_an_overlay_inside_the_image_count(tree: Path) -> None:
    before = content_of(tree)

    os.setxattr(tree / "etc", "trusted.overlay.overlay.opaque", b"y")

    assert content_of(tree).id != before.id


@pytest.mark.skipif(os.geteuid() != 0, reason="owners other than root's would change the id")
def test_a_content_id_is_what_it_was(tree: Path) -> None:
    # Pinned on purpose: a change here makes every store forget what it knows. Say so in CHANGELOG.
    assert content_of(tree).id == "cd4728dc98f07183754a90f8f2bd8d7f"
