from __future__ import annotations

from pathlib import Path

import pytest

from dibflow.engine import acts
from dibflow.engine.resolver import PLACEHOLDER
from dibflow.errors import StepError


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A build folder after root.d."""
    for name in ("mnt/etc", "mnt/tmp", "mnt/var/log", "mnt/root", "hooks/environment.d"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def test_an_empty_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mnt" / "tmp").mkdir(parents=True)

    with pytest.raises(StepError, match=r"root\.d left nothing in it but"):
        acts.prepare_root(tmp_path, install_type="source")


def test_preparing_twice_is_preparing_once(build: Path) -> None:
    (build / "mnt/etc/resolv.conf").write_text("mine\n")

    acts.prepare_root(build, install_type="source")
    acts.prepare_root(build, install_type="source")

    assert (build / "mnt/etc/resolv.conf.ORIG").read_text() == "mine\n"
    assert (build / "mnt/etc/resolv.conf").read_bytes() == PLACEHOLDER


def test_the_default_install_type_is_a_default(build: Path) -> None:
    acts.prepare_root(build, install_type="package")

    text = (build / "hooks/environment.d/11-dib-install-type.bash").read_text()
    assert text == "export DIB_DEFAULT_INSTALLTYPE=${DIB_DEFAULT_INSTALLTYPE:-package}\n"


def test_settled_hooks_are_listed_in_the_order_they_run(build: Path) -> None:
    folder = build / "hooks/install.d"
    folder.mkdir()
    for name in ("100-late", "10-early", "20-data"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o644 if name == "20-data" else 0o755)

    listing = acts.settle_hooks(build)

    assert isinstance(listing, dict)
    assert [name for name, _ in listing["install.d"]] == ["10-early", "100-late"]


def test_finishing_makes_mount_points_and_the_table_of_filesystems(build: Path) -> None:
    acts.finish_root(build, fstab="LABEL=x / ext4\n", mount_points=["/", "/boot/efi"])

    assert (build / "mnt/boot/efi").is_dir()
    assert (build / "mnt/etc/fstab").read_text() == "LABEL=x / ext4\n"


def test_a_link_cannot_be_a_mount_point(build: Path) -> None:
    (build / "mnt/boot").symlink_to("/elsewhere")

    with pytest.raises(StepError, match='making the mount point "/boot/efi": "boot" in the tree'):
        acts.finish_root(build, fstab="", mount_points=["/", "/boot/efi"])


def test_cleaning_up_keeps_the_names_of_logs(build: Path) -> None:
    (build / "mnt/var/log/dpkg.log").write_text("text")
    (build / "mnt/root/install.log").write_text("text")
    (build / "mnt/tmp/folder").mkdir()

    acts.clean_up(build)

    assert (build / "mnt/var/log/dpkg.log").read_text() == ""
    assert not (build / "mnt/root/install.log").exists()
    assert list((build / "mnt/tmp").iterdir()) == []
