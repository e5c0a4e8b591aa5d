"""Ubuntu, built from an archive that calls itself so, and again from the tarball of that build."""

from __future__ import annotations

import gzip
import json
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from tests.system import machine
from tests.system.archive import POCKETS, SUITE, served
from tests.system.conftest import UbuntuMirror
from tests.system.harness import Ended, Workshop

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.needs(
        *("root-namespaces", "overlay", "loop", "fuse", "debian-mirror", "mmdebstrap"),
        *("gpg", "dpkg-scanpackages", "qemu-img", "qemu-storage-daemon", "mkfs.ext4"),
    ),
]

_PATIENCE_SECONDS = 900


@dataclass(frozen=True)
class Built:
    """An image of Ubuntu as a tar, and how it came about."""

    workshop: Workshop
    ended: Ended

    def text(self, path: str) -> str:
        return self.workshop.text(path)

    def names(self) -> set[str]:
        with tarfile.open(self.workshop.folder / "demo.tar") as archive:
            return set(archive.getnames())

    def packages(self) -> dict[str, str]:
        manifest = json.loads(
            (self.workshop.folder / "demo.d/dib-manifests/dib-manifest-dpkg-demo").read_text()
        )
        return {
            package["package"]: package["version"]
            for package in manifest["packages"]
            if package["status"].startswith("ii")
        }


def build(workshop: Workshop, *elements: str, types: str = "tar") -> Ended:
    command = ["dibflow", "build", *elements, "-t", types, "-o", "demo", "--strict-inputs"]
    return workshop.run(*command, patience_seconds=_PATIENCE_SECONDS)


def ubuntu(folder: Path, mirror: UbuntuMirror) -> Workshop:
    variables = {
        "DIB_DISTRIBUTION_MIRROR": mirror.url,
        "DIB_APT_KEYRING": str(mirror.key.file),
        "DIB_RELEASE": SUITE,
        "no_proxy": "127.0.0.1",
    }
    return Workshop(folder, variables)


@pytest.fixture(scope="module")
def minimal(tmp_path_factory: pytest.TempPathFactory, ubuntu_mirror: UbuntuMirror) -> Built:
    workshop = ubuntu(tmp_path_factory.mktemp("minimal"), ubuntu_mirror)
    workshop.variables["DIB_GRUB_TIMEOUT"] = "0"
    ended = build(workshop, "vm", "ubuntu-minimal", types="tar,qcow2")
    assert ended.status == 0, ended.output[-4000:]
    return Built(workshop, ended)


def test_the_sources_are_the_mirror_s_release_and_pockets(
    minimal: Built, ubuntu_mirror: UbuntuMirror
) -> None:
    suites = [SUITE, *(f"{SUITE}-{pocket}" for pocket in POCKETS)]

    lines = minimal.text("etc/apt/sources.list").splitlines()

    assert lines == [f"deb {ubuntu_mirror.url} {suite} main universe" for suite in suites]


def test_the_image_trusts_the_archive_s_key(minimal: Built) -> None:
    assert "./etc/apt/trusted.gpg.d/ubuntu.gpg" in minimal.names()


def test_ubuntu_s_kernel_and_what_hooks_need_are_installed(minimal: Built) -> None:
    expected = {"linux-image-generic", "initramfs-tools", "systemd-sysv", "sudo", "python3"}

    assert expected <= minimal.packages().keys()


def test_the_initramfs_is_made_once(minimal: Built) -> None:
    logs = (minimal.workshop.store / "logs").glob("*/*.log")
    made = sum(log.read_text(errors="replace").count("Generating /boot/initrd") for log in logs)

    assert made == 1


def test_interfaces_have_lasting_addresses(minimal: Built) -> None:
    assert "use_tempaddr=0" in minimal.text("etc/sysctl.d/99-cloudimg-ipv6.conf")


def test_what_concerns_only_the_build_is_gone(minimal: Built) -> None:
    names = minimal.names()

    assert "./usr/sbin/policy-rc.d" not in names
    assert "./usr/sbin/start-stop-daemon.REAL" not in names
    assert [name for name in names if name.startswith("./var/lib/apt/lists/")] == []
    assert [name for name in names if name.endswith(".deb")] == []


def test_the_settings_of_the_build_are_recorded(minimal: Built) -> None:
    assert 'DIB_RELEASE="noble"' in minimal.text("etc/dib-manifests/dib_environment")
    assert "./etc/dib_environment" in minimal.names()


@pytest.mark.needs("qemu-system-x86_64")
def test_the_disk_boots_to_its_login(minimal: Built) -> None:
    command = ["dibflow", "boot", "demo.qcow2", *machine.EMULATED, "--timeout", "600"]

    booted = minimal.workshop.run(*command, patience_seconds=700)

    assert booted.status == 0, booted.output


def test_a_strange_signature_ends_the_build_and_names_the_key(
    tmp_path: Path, ubuntu_mirror: UbuntuMirror
) -> None:
    workshop = ubuntu(tmp_path, ubuntu_mirror)
    workshop.variables["DIB_APT_KEYRING"] = str(ubuntu_mirror.other_key.file)

    ended = build(workshop, "ubuntu-minimal")

    assert ended.status != 0
    key = ubuntu_mirror.key.fingerprint[-16:]
    assert f"{ubuntu_mirror.url} is signed with key {key}" in ended.output
    assert str(ubuntu_mirror.other_key.file) in ended.output


@pytest.fixture
def cloud_images(minimal: Built, tmp_path: Path) -> Iterator[str]:
    """Serve the root tarball of the minimal image with its checksum; give the folder's URL."""
    folder = tmp_path / "cloud"
    folder.mkdir()
    tarball = folder / f"{SUITE}-root.tar.gz"
    tar = minimal.workshop.folder / "demo.tar"
    with tar.open("rb") as source, gzip.open(tarball, "wb", compresslevel=1) as packed:
        shutil.copyfileobj(source, packed, 1 << 20)
    digest = sha256(tarball.read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{digest} *{tarball.name}\n")
    with served(folder) as url:
        yield url


def test_a_root_tarball_becomes_an_image(
    minimal: Built, cloud_images: str, tmp_path: Path, ubuntu_mirror: UbuntuMirror
) -> None:
    workshop = ubuntu(tmp_path, ubuntu_mirror)
    workshop.variables |= {
        "DIB_CLOUD_IMAGES": cloud_images,
        "SHA256SUMS": f"{cloud_images}/SHA256SUMS",  # the server has no https
        "BASE_IMAGE_FILE": f"{SUITE}-root.tar.gz",
        "DIB_DISTRIBUTION_MIRROR_UBUNTU_IGNORE": f"{SUITE}-backports",
    }

    ended = build(workshop, "ubuntu")

    assert ended.status == 0, ended.output[-4000:]
    image = Built(workshop, ended)
    assert minimal.packages().keys() <= image.packages().keys()
    assert "dkms" in image.packages()
    assert minimal.text("etc/apt/sources.list") == image.text("etc/apt/sources.list")
