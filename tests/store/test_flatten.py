from __future__ import annotations

import os
from pathlib import Path

import pytest

from dibflow.store.flatten import chain_ids, flatten


def layer(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    folder.mkdir(exist_ok=True)
    return folder


def content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_chain_id_names_a_prefix() -> None:
    assert chain_ids(["a", "b"]) == chain_ids(["a", "b", "c"])[:2]
    assert chain_ids(["a", "b"]) != chain_ids(["b", "a"])


def test_later_layers_win(tmp_path: Path) -> None:
    base = layer(tmp_path / "base", {"etc/motd": "old", "etc/issue": "stays"})
    top = layer(tmp_path / "top", {"etc/motd": "new"})
    target = tmp_path / "target"
    target.mkdir()

    flatten([base, top], target)

    assert content(target) == {"etc/motd": "new", "etc/issue": "stays"}


def test_files_are_not_copied(tmp_path: Path) -> None:
    base = layer(tmp_path / "base", {"etc/motd": "old"})
    target = tmp_path / "target"
    target.mkdir()

    flatten([base], target)

    assert (target / "etc" / "motd").samefile(base / "etc" / "motd")


def test_a_file_may_take_a_folders_place(tmp_path: Path) -> None:
    base = layer(tmp_path / "base", {"run/lock/held": "x"})
    top = layer(tmp_path / "top", {"run/lock": "file"})
    target = tmp_path / "target"
    target.mkdir()

    flatten([base, top], target)

    assert content(target) == {"run/lock": "file"}


@pytest.mark.needs("mknod", "trusted-xattrs")
def test_whiteouts_and_opaque_folders_are_carried_out(tmp_path: Path) -> None:
    base = layer(tmp_path / "base", {"etc/motd": "x", "var/cache/a": "x", "var/cache/b": "x"})
    top = layer(tmp_path / "top", {"var/cache/c": "new"})
    (top / "etc").mkdir()
    os.mknod(top / "etc" / "motd", 0o020000, os.makedev(0, 0))
    os.setxattr(top / "var" / "cache", "trusted.overlay.opaque", b"y")
    target = tmp_path / "target"
    target.mkdir()

    flatten([base, top], target)

    assert content(target) == {"var/cache/c": "new"}
    assert os.listxattr(target / "var" / "cache") == []
