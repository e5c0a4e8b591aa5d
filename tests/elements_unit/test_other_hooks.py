"""What the hooks of the smaller elements do."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from .running import ELEMENTS, Run, Target

if TYPE_CHECKING:
    from pathlib import Path


def test_manifests_records_the_settings_copies_all_and_closes_the_image_s(
    run: Run, tmp_path: Path
) -> None:
    records = tmp_path / "root" / "etc" / "dib-manifests"
    records.mkdir(parents=True)
    (records / "of an element").write_text("x")
    saved = tmp_path / "demo.d"
    variables = {
        "TMP_MOUNT_PATH": str(tmp_path / "root"),
        "DIB_MANIFEST_IMAGE_DIR": "/etc/dib-manifests",
        "DIB_MANIFEST_SAVE_DIR": f"{saved}/",
        "DIB_ENV": 'declare -x DIB_RELEASE="1"',
        "DIB_ARGS": "-o demo debian-minimal",
    }

    for _ in range(2):
        done = run("manifests/cleanup.d/01-copy-manifests-dir", **variables)
        assert done.returncode == 0, done.stderr

    assert (saved / "dib-manifests" / "dib_arguments").read_text() == "-o demo debian-minimal\n"
    assert (saved / "dib-manifests" / "dib_environment").read_text().startswith("declare -x")
    assert (saved / "dib-manifests" / "of an element").read_text() == "x"
    assert {file.stat().st_mode & 0o777 for file in records.iterdir()} == {0o600}


def test_the_settings_are_found_in_etc_as_links_to_the_records(run: Run, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()

    for _ in range(2):
        done = run(
            "manifests/extra-data.d/50-store-build-settings",
            TMP_MOUNT_PATH=str(tmp_path),
            DIB_MANIFEST_IMAGE_DIR="/etc/dib-manifests",
        )
        assert done.returncode == 0, done.stderr

    links = {file.name: str(file.readlink()) for file in (tmp_path / "etc").iterdir()}
    assert links == {
        "dib_environment": "/etc/dib-manifests/dib_environment",
        "dib_arguments": "/etc/dib-manifests/dib_arguments",
    }


@pytest.mark.parametrize("path", ["", "/var/lib/elements"])
def test_the_elements_are_recorded_sorted(run: Run, tmp_path: Path, path: str) -> None:
    done = run(
        "element-manifest/extra-data.d/75-inject-element-manifest",
        TMP_MOUNT_PATH=str(tmp_path),
        IMAGE_ELEMENT="vm base dpkg",
        DIB_MANIFEST_IMAGE_DIR="/etc/dib-manifests",
        DIB_ELEMENT_MANIFEST_PATH=path,
    )

    assert done.returncode == 0, done.stderr
    record = tmp_path / (path or "/etc/dib-manifests/dib-element-manifest").lstrip("/")
    assert record.read_text() == "base\ndpkg\nvm\n"


def test_modprobe_copies_the_settings_of_elements(run: Run, tmp_path: Path) -> None:
    (tmp_path / "net" / "modprobe.d").mkdir(parents=True)
    (tmp_path / "net" / "modprobe.d" / "net.conf").write_text("options e1000e x=1\n")
    (tmp_path / "net" / "modprobe.d" / "README").touch()
    (tmp_path / "plain" / "modprobe.d").mkdir(parents=True)
    function = f"() {{ echo '[net]={tmp_path}/net [plain]={tmp_path}/plain '; }}"

    done = run(
        "modprobe/extra-data.d/50-modprobe-blacklist",
        TMP_MOUNT_PATH=str(tmp_path / "root"),
        **{"BASH_FUNC_get_image_element_array%%": function},
    )

    assert done.returncode == 0, done.stderr
    assert [file.name for file in (tmp_path / "root/etc/modprobe.d").iterdir()] == ["net.conf"]


@pytest.mark.needs("user-mounts")
def test_sysprep_has_each_machine_find_an_id(target: Target) -> None:
    target.add("sysprep")
    target.write("etc/machine-id", "0123456789abcdef0123456789abcdef\n")

    target.succeed("finalise.d/99-clear-machine-id")

    assert target.read("etc/machine-id") == ""
    assert not target.own("var/lib/dbus").exists()


@pytest.mark.needs("user-mounts")
def test_modprobe_blacklists_each_module_once(target: Target) -> None:
    target.add("modprobe")
    target.write("etc/modprobe.d/blacklist.conf", "blacklist pcspkr\n")

    target.succeed("install.d/80-modprobe-blacklist", DIB_MODPROBE_BLACKLIST="pcspkr nouveau")

    assert target.read("etc/modprobe.d/blacklist.conf") == "blacklist pcspkr\nblacklist nouveau\n"


@pytest.mark.parametrize("init", ["systemd", "openrc", "upstart", "sysv"])
def test_a_known_init_system_is_accepted(init: str) -> None:
    assert source_init_check(init) == (0, "")


@pytest.mark.parametrize(
    ("init", "message"), [("", "is not set"), ("launchd", '"launchd", none of upstart')]
)
def test_another_init_system_ends_the_build(init: str, message: str) -> None:
    status, said = source_init_check(init)

    assert status == 1
    assert message in said


def source_init_check(init: str) -> tuple[int, str]:
    file = ELEMENTS / "dib-init-system" / "environment.d" / "99-dib-init-system"
    done = subprocess.run(
        ["/bin/bash", "-c", f"set -ue; . {file}"],
        env={"DIB_INIT_SYSTEM": init},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr
