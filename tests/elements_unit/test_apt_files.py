"""What apt-sources, apt-conf and apt-preferences bring from the host."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from .running import Run

SOURCES = "apt-sources/extra-data.d/99-override-default-apt-sources"
CONF = "apt-conf/extra-data.d/99-override-default-apt-conf"
PINS = "apt-preferences/extra-data.d/99-set-apt-package-pins"


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    folder = tmp_path / "root" / "etc" / "apt"
    (folder / "sources.list.d").mkdir(parents=True)
    for name in ("default", "updates", "theirs"):
        (folder / "sources.list.d" / f"{name}.list").touch()
    return folder


@pytest.fixture
def host_file(tmp_path: Path) -> Path:
    file = tmp_path / "of-the-host"
    file.write_text("deb http://mirror.example x main\n")
    file.chmod(0o600)
    return file


def test_the_file_replaces_the_sources_of_the_operating_system_and_no_others(
    run: Run, apt: Path, host_file: Path
) -> None:
    done = run(
        SOURCES,
        TMP_MOUNT_PATH=str(apt.parents[1]),
        DIB_APT_SOURCES=str(host_file),
        DIB_APT_SOURCES_CONF="default:deb a b c\nupdates:deb d e f",
    )

    assert done.returncode == 0, done.stderr
    assert (apt / "sources.list").read_text() == host_file.read_text()
    assert (apt / "sources.list").stat().st_mode & 0o777 == 0o644
    assert [file.name for file in (apt / "sources.list.d").iterdir()] == ["theirs.list"]


def test_apt_conf_is_readable_for_everybody(run: Run, apt: Path, host_file: Path) -> None:
    done = run(CONF, TMP_MOUNT_PATH=str(apt.parents[1]), DIB_APT_CONF=str(host_file))

    assert done.returncode == 0, done.stderr
    assert (apt / "apt.conf").read_text() == host_file.read_text()
    assert (apt / "apt.conf").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("hook", [SOURCES, CONF, PINS])
def test_without_a_variable_nothing_changes(run: Run, apt: Path, hook: str) -> None:
    before = sorted(apt.rglob("*"))

    done = run(hook, TMP_MOUNT_PATH=str(apt.parents[1]))

    assert done.returncode == 0, done.stderr
    assert sorted(apt.rglob("*")) == before


@pytest.mark.parametrize(
    ("hook", "variable"),
    [(SOURCES, "DIB_APT_SOURCES"), (CONF, "DIB_APT_CONF"), (PINS, "DIB_DPKG_MANIFEST")],
)
def test_a_file_that_is_not_there_ends_the_build(
    run: Run, apt: Path, hook: str, variable: str
) -> None:
    done = run(hook, TMP_MOUNT_PATH=str(apt.parents[1]), **{variable: "/no/such/file"})

    assert done.returncode == 1
    assert variable in done.stderr
    assert "/no/such/file" in done.stderr


def test_packages_are_pinned_to_the_versions_of_the_manifest(
    run: Run, apt: Path, tmp_path: Path
) -> None:
    packages = [
        {"package": "zlib1g:amd64", "arch": "amd64", "version": "1:1.2", "status": "ii "},
        {"package": "apt", "arch": "amd64", "version": "2.6", "status": "ii "},
    ]
    (tmp_path / "manifest").write_text(json.dumps({"packages": packages}))

    done = run(
        PINS, TMP_MOUNT_PATH=str(apt.parents[1]), DIB_DPKG_MANIFEST=str(tmp_path / "manifest")
    )

    assert done.returncode == 0, done.stderr
    assert (apt / "preferences").read_text() == (
        "Package: apt\nPin: version 2.6\nPin-Priority: 1001\n\n"
        "Package: zlib1g:amd64\nPin: version 1:1.2\nPin-Priority: 1001\n"
    )


@pytest.mark.parametrize("text", ["", "[]", '{"packages": [{"package": "apt"}]}', "no json"])
def test_a_file_that_is_no_manifest_ends_the_build(
    run: Run, apt: Path, tmp_path: Path, text: str
) -> None:
    (tmp_path / "manifest").write_text(text)

    done = run(
        PINS, TMP_MOUNT_PATH=str(apt.parents[1]), DIB_DPKG_MANIFEST=str(tmp_path / "manifest")
    )

    assert done.returncode == 1
    assert "is no manifest of packages" in done.stderr
    assert not (apt / "preferences").exists()
