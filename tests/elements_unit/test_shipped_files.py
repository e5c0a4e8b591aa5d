"""What every shipped element, hook and program has to look like."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dibflow.resources import library_directory

from .running import ELEMENTS

TEST_ELEMENTS = Path(__file__).parents[1] / "elements"
FOLDERS = sorted(
    folder for path in (ELEMENTS, TEST_ELEMENTS) for folder in path.iterdir() if folder.is_dir()
)
FILES = sorted(file for folder in FOLDERS for file in folder.rglob("*") if file.is_file())
PHASES = [
    "root.d",
    "extra-data.d",
    "pre-install.d",
    "install.d",
    "post-install.d",
    "post-root.d",
    "block-device.d",
    "pre-finalise.d",
    "finalise.d",
    "cleanup.d",
]

# Names, numbers and phases of hooks are interface: other elements are written around them.
INTERFACE = {
    "apt-conf": "extra-data.d/99-override-default-apt-conf",
    "apt-preferences": "extra-data.d/99-set-apt-package-pins",
    "apt-sources": "extra-data.d/99-override-default-apt-sources "
    "pre-install.d/03-fetch-package-lists",
    "autoupdates": "root.d/61-create-update-config post-install.d/82-enable-autoupdate",
    "baremetal": "cleanup.d/99-extract-kernel-and-ramdisk",
    "base": "environment.d/10-base-defaults pre-install.d/03-baseline-tools "
    "install.d/00-baseline-environment install.d/00-up-to-date install.d/10-cloud-init",
    "block-device-efi": "environment.d/15-block-device.bash",
    "block-device-efi-4k": "environment.d/15-block-device.bash",
    "block-device-efi-lvm": "environment.d/15-block-device.bash",
    "block-device-gpt": "environment.d/15-block-device.bash",
    "block-device-mbr": "environment.d/15-block-device.bash",
    "bootloader": "environment.d/10-bootloader-default-cmdline pre-install.d/50-grub-answers "
    "finalise.d/50-bootloader",
    "cache-url": "bin/cache-url",
    "cleanup-kernel-initrd": "cleanup.d/99-cleanup-kernel-initrd",
    "cloud-init": "install.d/60-cloud-init-network post-install.d/20-enable-cloud-init "
    "post-install.d/21-cloud-init-allow-password-auth "
    "post-install.d/22-cloud-init-ssh_genkeytypes",
    "cloud-init-datasources": "install.d/05-set-cloud-init-sources",
    "cloud-init-growpart": "post-install.d/55-growpart",
    "cloud-init-nocloud": "environment.d/10-cloud-init-nocloud.bash "
    "install.d/05-inject-local-source-data",
    "debian": "environment.d/11-debian-netplan install.d/10-cloud-opinions",
    "debian-minimal": "environment.d/10-debian-minimal.bash root.d/75-debian-minimal-baseinstall",
    "debootstrap": "environment.d/10-debootstrap-default-locale "
    "environment.d/20-network-interface-names root.d/08-debootstrap "
    "install.d/10-debian-networking install.d/12-debian-locale-gen "
    "install.d/15-cleanup-debootstrap cleanup.d/99-clean-up-cache",
    "devuser": "environment.d/50-devuser extra-data.d/50-devuser install.d/50-devuser",
    "dhcp-all-interfaces": "install.d/50-dhcp-all-interfaces "
    "install.d/60-remove-cloud-image-interfaces",
    "dib-init-system": "environment.d/99-dib-init-system pre-install.d/04-dib-init-system "
    "install.d/20-install-init-scripts post-install.d/10-enable-init-scripts",
    "dib-python": "environment.d/50-dib-python-version pre-install.d/01-dib-python "
    "cleanup.d/50-dib-python",
    "dkms": "post-install.d/97-dkms",
    "dpkg": "environment.d/05-host-mirrors.bash environment.d/10-dpkg.bash bin/install-packages "
    "root.d/09-apt-keyring root.d/50-block-apt-translations root.d/50-block-daemons "
    "root.d/50-build-with-http-cache root.d/50-shared-apt-cache root.d/50-trim-dpkg "
    "extra-data.d/01-copy-apt-keys pre-install.d/00-disable-apt-recommends "
    "pre-install.d/02-add-apt-keys pre-install.d/99-apt-get-update "
    "finalise.d/99-clean-up-cache finalise.d/99-write-dpkg-manifest "
    "cleanup.d/40-unblock-daemons cleanup.d/50-remove-img-build-proxy "
    "cleanup.d/60-untrim-dpkg",
    "dynamic-login": "bin/dynamic-login install.d/70-enable-dynamic-login-services",
    "element-manifest": "extra-data.d/75-inject-element-manifest",
    "enable-serial-console": "install.d/20-stty install.d/serial-console-udev.rules",
    "ensure-venv": "",
    "fail2ban": "root.d/60-copy-fail2ban-config post-install.d/80-enable-fail2ban-service",
    "growroot": "install.d/50-growroot post-install.d/80-growroot",
    "install-bin": "pre-install.d/01-install-bin",
    "install-static": "install.d/10-install-static-files",
    "install-types": "extra-data.d/99-enable-install-types",
    "journal-to-console": "post-install.d/30-journal-to-console",
    "local-config": "environment.d/62-ssh-key extra-data.d/62-ssh-key install.d/62-ssh-key "
    "pre-install.d/02-proxy-settings",
    "lvm": "root.d/10-lvm-check-distro finalise.d/60-bootloader",
    "manifests": "environment.d/14-manifests extra-data.d/20-manifest-dir "
    "extra-data.d/50-store-build-settings cleanup.d/01-copy-manifests-dir",
    "modprobe": "extra-data.d/50-modprobe-blacklist install.d/80-modprobe-blacklist",
    "no-final-image": "",
    "openssh-server": "post-install.d/80-enable-sshd-service post-install.d/99-harden-sshd-config",
    "package-installs": "bin/package-installs bin/package-installs-squash bin/package-installs-v2 "
    "bin/package-uninstalls extra-data.d/99-squash-package-install "
    "pre-install.d/10-package-installs pre-install.d/99-package-uninstalls "
    "install.d/01-package-installs install.d/99-package-uninstalls "
    "post-install.d/00-package-installs post-install.d/95-package-uninstalls",
    "pip-and-virtualenv": "environment.d/51-pip-and-virtualenv-default.bash "
    "post-install.d/89-clean-up-pip-cache",
    "pkg-map": "bin/pkg-map extra-data.d/10-create-pkg-map-dir",
    "runtime-ssh-host-keys": "post-install.d/80-ssh-keygen cleanup.d/90-remove-ssh-host-keys",
    "select-boot-kernel-initrd": "bin/select-boot-kernel-initrd "
    "extra-data.d/99-copy-dib-img-functions cleanup.d/99-remove-dib-img-functions",
    "simple-init": "environment.d/15-simple-init-networkmanager "
    "environment.d/16-simple-init-glean environment.d/50-disable-cloud-init "
    "install.d/50-simple-init "
    "install.d/60-simple-init-remove-interfaces post-install.d/80-simple-init",
    "source-repositories": "extra-data.d/98-source-repositories",
    "svc-map": "bin/svc-map extra-data.d/10-merge-svc-map-files extra-data.d/11-copy-svc-map-file",
    "sysctl": "bin/sysctl-set-value bin/sysctl-write-value",
    "sysprep": "bin/extract-image finalise.d/99-clear-machine-id",
    "ubuntu": "environment.d/99-cloud-init-datasources.bash root.d/10-cache-ubuntu-tarball "
    "pre-install.d/00-remove-apt-xapian-index pre-install.d/01-set-ubuntu-mirror",
    "ubuntu-common": "environment.d/10-ubuntu-distro-name.bash "
    "environment.d/11-ubuntu-init-system.bash install.d/80-disable-rfc3041 "
    "post-install.d/99-autoremove",
    "ubuntu-minimal": "environment.d/11-ubuntu-kernel.bash environment.d/12-ubuntu-repo-dists.bash "
    "root.d/75-ubuntu-minimal-baseinstall",
    "vm": "",
}


def is_executable(file: Path) -> bool:
    return os.access(file, os.X_OK)


HOOKS = [file for file in FILES if file.parent.name in PHASES and is_executable(file)]
PROGRAMS = [file for file in FILES if is_executable(file) and file not in HOOKS]
ENVIRONMENT = [file for file in FILES if file.parent.name == "environment.d"]
PYTHON = [file for file in PROGRAMS if file.read_bytes().startswith(b"#!/usr/bin/env python3")]
BASH = [file for file in HOOKS + PROGRAMS if file not in PYTHON]


def name(path: Path) -> str:
    return "/".join(path.parts[-3:])


def tool(program: str) -> str:
    """Find a linter; without it the test is skipped on a laptop and fails in CI."""
    found = shutil.which(program, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        message = f'linter "{program}" is not installed'
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


def assert_silent(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize(("element", "expected"), INTERFACE.items())
def test_hooks_and_programs_have_the_names_that_are_interface(element: str, expected: str) -> None:
    parts = {
        f"{file.parent.name}/{file.name}"
        for file in FILES
        if file.is_relative_to(ELEMENTS / element)
        and file.parent.name in [*PHASES, "bin", "environment.d"]
    }

    assert parts == set(expected.split())


def test_every_shipped_element_has_its_interface_listed_here() -> None:
    assert {path.name for path in ELEMENTS.iterdir()} == set(INTERFACE)


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_an_element_says_what_it_is(folder: Path) -> None:
    summary = yaml.safe_load((folder / "element.yaml").read_text())["summary"]

    assert 0 < len(summary) <= 80
    assert "\n" not in summary
    assert (folder / "README.md").read_text().startswith(f"# {folder.name}\n")


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_a_readme_names_every_variable_that_a_user_sets(folder: Path) -> None:
    readme = (folder / "README.md").read_text()
    defaulted = {
        variable
        for file in folder.rglob("*")
        if file.is_file()
        for variable in re.findall(r"\b(DIB_\w+):?-", file.read_text(errors="replace"))
    }
    engine = {"DIB_DEBUG_TRACE", "DIB_PYTHON_EXEC", "DIB_DEBIAN_COMPONENTS_WS"}

    assert {variable for variable in defaulted - engine if variable not in readme} == set()


def test_nothing_is_in_an_element_that_a_wheel_would_lose_or_change() -> None:
    paths = [path for folder in FOLDERS for path in folder.rglob("*")]

    assert [path for path in paths if path.is_symlink() or path.suffix in (".py", ".pyc")] == []
    assert [path for path in paths if path.is_dir() and not any(path.iterdir())] == []


@pytest.mark.parametrize("hook", HOOKS, ids=name)
def test_a_hook_is_named_and_headed_as_agreed(hook: Path) -> None:
    text = hook.read_text()

    assert re.fullmatch(r"\d{2,3}-[a-z0-9_-]+", hook.name)
    assert re.match(r"#!/bin/bash\n# [A-Z]", text)
    phase = hook.parent.name.removesuffix(".d")
    side = r"\((inside|outside)\)"
    assert re.search(
        rf"^# Phase:  {phase} {side}\n(#.*\n)*# Reads:  (.*\n#)*.*\n# Writes: ", text, re.MULTILINE
    )
    assert (
        "\nset -euo pipefail\nif [[ ${DIB_DEBUG_TRACE:-0} -gt 0 ]]; then\n    set -x\nfi\n" in text
    )


@pytest.mark.parametrize("file", FILES, ids=name)
def test_what_is_started_is_executable_and_nothing_else_is(file: Path) -> None:
    assert is_executable(file) == file.read_bytes().startswith(b"#!")
    assert file.stat().st_mode & 0o022 == 0


def test_shellcheck_finds_nothing() -> None:
    library = sorted(library_directory().iterdir())

    # Hooks name files of the library from the project's folder on.
    with contextlib.chdir(ELEMENTS.parent):
        assert_silent(
            *(tool("shellcheck"), "--shell=bash", "--external-sources"),
            *(*BASH, *ENVIRONMENT, *library),
        )


def test_shfmt_would_change_nothing() -> None:
    assert_silent(
        tool("shfmt"), "-i", "4", "-d", *BASH, *ENVIRONMENT, *library_directory().iterdir()
    )


def test_ruff_finds_nothing_and_would_change_nothing() -> None:
    # They are programs: they print, and they are in no package.
    assert_silent(tool("ruff"), "check", "--quiet", "--ignore", "T201,INP001", *PYTHON)
    assert_silent(tool("ruff"), "format", "--quiet", "--check", *PYTHON)
