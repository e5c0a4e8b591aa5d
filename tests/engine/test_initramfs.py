from __future__ import annotations

from pathlib import Path

import pytest

from dibflow.engine import initramfs
from dibflow.resources import initramfs_functions

FOLDER = "mnt/usr/share/initramfs-tools/conf-hooks.d"


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A build folder with a tree that has dpkg."""
    (tmp_path / "mnt/var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "mnt/usr/share").mkdir(parents=True)
    return tmp_path


def owns(build: Path, package: str, paths: str) -> None:
    info = build / "mnt/var/lib/dpkg/info"
    info.mkdir(exist_ok=True)
    (info / f"{package}.list").write_text(f"/.\n{paths}\n")


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_mkinitramfs_finds_the_functions(build: Path) -> None:
    initramfs.put_in(build)
    initramfs.put_in(build)

    (file,) = (build / FOLDER).iterdir()
    assert file.read_bytes() == initramfs_functions().read_bytes()


def test_a_tree_without_initramfs_tools_is_left_as_it_was(build: Path) -> None:
    before = names(build)

    initramfs.put_in(build)
    initramfs.take_out(build)
    initramfs.take_out(build)

    assert names(build) == before


def test_the_empty_folder_of_the_package_stays(build: Path) -> None:
    initramfs.put_in(build)
    (build / FOLDER).with_name("hook-functions").touch()
    owns(build, "initramfs-tools-core", "/usr/share/initramfs-tools/conf-hooks.d")
    initramfs.take_out(build)

    assert list((build / FOLDER).iterdir()) == []


def test_an_empty_folder_that_is_no_packages_goes(build: Path) -> None:
    initramfs.put_in(build)
    (build / FOLDER).with_name("hooks").mkdir()
    owns(build, "kmod", "/usr/share/initramfs-tools\n/usr/share/initramfs-tools/hooks")
    initramfs.take_out(build)

    assert [path.name for path in (build / FOLDER).parent.iterdir()] == ["hooks"]


@pytest.mark.parametrize("link", ["../../opt/it", "/opt/it"])
def test_a_folder_that_has_moved_since_is_found(build: Path, link: str) -> None:
    initramfs.put_in(build)
    (build / "mnt/opt").mkdir()
    (build / FOLDER).parent.rename(build / "mnt/opt/it")
    (build / FOLDER).parent.symlink_to(link)
    initramfs.take_out(build)

    assert not list((build / "mnt/opt").rglob("dibflow-*"))


def test_what_packages_put_there_stays(build: Path) -> None:
    initramfs.put_in(build)
    (build / FOLDER / "busybox").touch()
    initramfs.take_out(build)

    assert [path.name for path in (build / FOLDER).iterdir()] == ["busybox"]


def test_a_tree_without_dpkg_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mnt/usr/share").mkdir(parents=True)
    before = names(tmp_path)

    initramfs.put_in(tmp_path)
    initramfs.take_out(tmp_path)

    assert names(tmp_path) == before


def test_a_link_out_of_the_tree_is_not_followed(build: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (build / "mnt/usr/share/initramfs-tools").symlink_to(outside)

    initramfs.put_in(build)
    initramfs.take_out(build)

    assert list(outside.iterdir()) == []


def test_a_link_in_the_place_of_the_file_is_not_followed(build: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    (build / FOLDER).mkdir(parents=True)
    (build / FOLDER / "dibflow-modules-at-once").symlink_to(outside)

    initramfs.put_in(build)
    initramfs.take_out(build)

    assert outside.read_text() == "precious"
