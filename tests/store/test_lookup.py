from __future__ import annotations

import os
from pathlib import Path, PurePath

import pytest

from dibflow.store.lookup import listdir, lookup


def layer(folder: Path, *files: str) -> Path:
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return layer(tmp_path / "base", "etc/motd", "etc/issue", "srv/file")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return layer(tmp_path / "top", "etc/motd", "srv")


def test_the_topmost_entry_is_found(base: Path, top: Path) -> None:
    assert lookup([top, base], PurePath("etc/motd")) == top / "etc" / "motd"
    assert lookup([top, base], PurePath("etc/issue")) == base / "etc" / "issue"
    assert lookup([top, base], PurePath("etc")) == top / "etc"
    assert lookup([top, base], PurePath()) == top


def test_what_no_layer_has_is_not_found(base: Path, top: Path) -> None:
    assert lookup([top, base], PurePath("etc/passwd")) is None


def test_a_file_hides_the_folder_below_it(base: Path, top: Path) -> None:
    assert lookup([top, base], PurePath("srv/file")) is None


def test_a_link_on_the_way_is_not_followed(base: Path, top: Path) -> None:
    (top / "lib").symlink_to("etc")

    assert lookup([top, base], PurePath("lib/motd")) is None
    assert lookup([top, base], PurePath("lib")) == top / "lib"


@pytest.mark.parametrize("path", ["../secret", "etc/../../secret", "/etc/motd"])
def test_paths_that_leave_the_layers_are_refused(base: Path, path: str) -> None:
    with pytest.raises(ValueError, match="not a path inside a layer"):
        lookup([base], PurePath(path))


def test_a_folder_shows_the_entries_of_all_layers(base: Path, top: Path) -> None:
    assert listdir([top, base], PurePath("etc")) == {
        "issue": base / "etc" / "issue",
        "motd": top / "etc" / "motd",
    }


def test_listing_a_file_or_nothing_fails_as_os_listdir_does(base: Path) -> None:
    with pytest.raises(NotADirectoryError):
        listdir([base], PurePath("etc/motd"))
    with pytest.raises(FileNotFoundError):
        listdir([base], PurePath("home"))


@pytest.mark.needs("mknod")
def test_a_whiteout_hides_its_name_in_the_layers_below(base: Path, top: Path) -> None:
    os.mknod(top / "etc" / "issue", 0o020000, os.makedev(0, 0))

    assert lookup([top, base], PurePath("etc/issue")) is None
    assert list(listdir([top, base], PurePath("etc"))) == ["motd"]


@pytest.mark.needs("mknod")
def test_a_layer_may_bring_back_what_one_below_it_removed(base: Path, tmp_path: Path) -> None:
    middle = layer(tmp_path / "middle", "etc/hosts")
    os.mknod(middle / "etc" / "issue", 0o020000, os.makedev(0, 0))
    top = layer(tmp_path / "new", "etc/issue")

    assert listdir([top, middle, base], PurePath("etc"))["issue"] == top / "etc" / "issue"


@pytest.mark.needs("trusted-xattrs")
def test_an_opaque_folder_hides_those_below_it(base: Path, top: Path) -> None:
    os.setxattr(top / "etc", "trusted.overlay.opaque", b"y")

    assert lookup([top, base], PurePath("etc/issue")) is None
    assert list(listdir([top, base], PurePath("etc"))) == ["motd"]
