from __future__ import annotations

import os
from pathlib import Path

import pytest

from dibflow.store.prune import prune_unchanged_folders


def layer(folder: Path, *files: str) -> Path:
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    folder.mkdir(exist_ok=True)
    return folder


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_folders_that_are_as_below_are_removed(tmp_path: Path) -> None:
    base = layer(tmp_path / "base", "etc/apt/sources.list")
    diff = tmp_path / "diff"
    (diff / "etc" / "apt").mkdir(parents=True)

    prune_unchanged_folders(diff, [base])

    assert names(diff) == set()


def test_new_changed_and_filled_folders_stay(tmp_path: Path) -> None:
    base = layer(tmp_path / "base", "etc/apt/sources.list", "etc/ssl/cert")
    diff = layer(tmp_path / "diff", "etc/apt/keys")
    (diff / "etc" / "ssl").mkdir()
    (diff / "etc" / "ssl").chmod(0o700)
    (diff / "srv").mkdir()

    prune_unchanged_folders(diff, [base])

    assert names(diff) == {"etc", "etc/apt", "etc/apt/keys", "etc/ssl", "srv"}


def test_a_folder_is_compared_with_the_topmost_below_it(tmp_path: Path) -> None:
    base = layer(tmp_path / "base", "srv/file")
    top = layer(tmp_path / "top", "srv/other")
    (top / "srv").chmod(0o700)
    diff = tmp_path / "diff"
    (diff / "srv").mkdir(parents=True)

    prune_unchanged_folders(diff, [top, base])

    assert names(diff) == {"srv"}


def test_a_link_to_a_folder_is_no_folder(tmp_path: Path) -> None:
    base = layer(tmp_path / "base", "usr/lib/file")
    diff = layer(tmp_path / "diff")
    (diff / "usr").symlink_to(base / "usr")

    prune_unchanged_folders(diff, [base])

    assert names(diff) == {"usr"}


@pytest.mark.needs("trusted-xattrs")
def test_what_an_opaque_folder_holds_stays(tmp_path: Path) -> None:
    # "rm -r cache; mkdir -p cache/archives/partial": the same folders again, and no files.
    base = layer(tmp_path / "base", "cache/archives/partial/file")
    diff = tmp_path / "diff"
    (diff / "cache" / "archives" / "partial").mkdir(parents=True)
    os.setxattr(diff / "cache", "trusted.overlay.opaque", b"y")

    prune_unchanged_folders(diff, [base])

    assert names(diff) == {"cache", "cache/archives", "cache/archives/partial"}


@pytest.mark.needs("mknod")
def test_a_folder_made_again_after_a_layer_removed_it_stays(tmp_path: Path) -> None:
    base = layer(tmp_path / "base", "srv/www/file")
    top = layer(tmp_path / "top", "srv/ftp/file")
    os.mknod(top / "srv" / "www", 0o020000, os.makedev(0, 0))
    diff = tmp_path / "diff"
    (diff / "srv" / "www").mkdir(parents=True)

    prune_unchanged_folders(diff, [top, base])

    assert names(diff) == {"srv", "srv/www"}
