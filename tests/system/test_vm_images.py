"""Debian on disks of every layout: checked by the tools of each field, and really started.

The trees are layers of one store, so that a further layout costs no more than its disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.system import machine
from tests.system.machine import Machine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs(
        *("root-namespaces", "overlay", "loop", "fuse", "debian-mirror", "mmdebstrap"),
        *("qemu-img", "qemu-storage-daemon", "mkfs.ext4", "mkfs.vfat", "mcopy"),
        *("partx", "blkid", "e2fsck", "fsck.vfat", "sgdisk", "sfdisk"),
    ),
]

DIBFLOW = Path(sys.executable).with_name("dibflow")
MIB = 1024 * 1024
_BUILD_SECONDS = 1800
_BOOT_SECONDS = 600

CLOUD = ("devuser", "openssh-server", "cloud-init-nocloud", "growroot", "enable-serial-console")
"""What a Debian image for a cloud has more."""

SEPARATE_VAR_AND_SWAP = """\
- local_loop:
    name: image0
- partitioning:
    base: image0
    label: gpt
    partitions:
      - name: ESP
        type: EF00
        size: 64MiB
        mkfs:
          type: vfat
          mount:
            mount_point: /boot/efi
            fstab:
              options: umask=0077
      - name: BSP
        type: EF02
        size: 8MiB
      - name: swap
        type: '8200'
        size: 256MiB
        mkfs:
          type: swap
          label: swap
          mount:
            mount_point: none
            fstab: {}
      - name: var
        size: 1GiB
        mkfs:
          type: ext4
          label: var
          mount:
            mount_point: /var
            fstab: {}
      - name: root
        size: 100%
        mkfs:
          mount:
            mount_point: /
            fstab:
              fsck-passno: 1
"""
"""The root is last, where growroot finds the room behind it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A kind of image: its elements, and what is on its partitions."""

    elements: tuple[str, ...]
    filesystems: tuple[str, ...]
    config: str = ""
    sector_bytes: int = 512


LAYOUTS = {
    "mbr": Layout((), ("ext4",)),
    "gpt": Layout(("block-device-gpt",), ("", "ext4")),
    "efi": Layout(("block-device-efi", *CLOUD), ("vfat", "", "ext4")),
    "efi-4k": Layout(("block-device-efi-4k", *CLOUD), ("vfat", "", "ext4"), sector_bytes=4096),
    "var-and-swap": Layout(
        ("block-device-efi", *CLOUD),
        ("vfat", "", "swap", "ext4", "ext4"),
        config=SEPARATE_VAR_AND_SWAP,
    ),
}
"""The images, all with ``vm debian-minimal``. A partition for GRUB's own use has no filesystem."""

SIMPLE_INIT = Layout(
    ("block-device-gpt", "devuser", "openssh-server", "simple-init", "wheels"), ("", "ext4")
)

WHEELS = """\
#!/bin/bash
set -euo pipefail
cp -r "${DIB_WHEELS}" "${TMP_MOUNT_PATH}/tmp/wheels"
"""
"""What simple-init gets from PyPI is fetched by the host, which knows the way and whom to trust."""


@dataclass(frozen=True, slots=True)
class Image:
    """A built image, as qcow2 and raw."""

    layout: Layout
    folder: Path

    @property
    def qcow2(self) -> Path:
        return self.folder / "demo.qcow2"

    @property
    def raw(self) -> Path:
        return self.folder / "demo.raw"

    def partitions(self) -> list[tuple[int, int]]:
        """Give where each partition begins and how large it is, in bytes."""
        listed = said(
            *("partx", "--sector-size", str(self.layout.sector_bytes), "--noheadings", "--raw"),
            *("--output", "START,SECTORS", "-", str(self.raw)),
        )
        # partx counts in 512 bytes whatever a sector has.
        lines = [line.split() for line in listed.splitlines()]
        return [(int(start) * 512, int(count) * 512) for start, count in lines]


def said(*command: str, accept: frozenset[int] = frozenset({0})) -> str:
    """Run a command that has to succeed; give what it printed."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_BOOT_SECONDS,
    )
    assert done.returncode in accept, f"{command}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


@dataclass(frozen=True, slots=True)
class Shop:
    """Builds each image when it is first asked for."""

    folder: Path
    store: Path
    key: Path
    images: dict[Layout, Image] = field(default_factory=dict)

    @property
    def wheels(self) -> Path:
        return self.folder / "wheels"

    def image(self, layout: Layout) -> Image:
        if layout not in self.images:
            folder = self.folder / str(len(self.images))
            folder.mkdir(exist_ok=True)  # a build that failed is tried again
            self._build(layout, folder)
            self.images[layout] = Image(layout, folder)
        return self.images[layout]

    def _build(self, layout: Layout, folder: Path) -> None:
        environment = {
            **os.environ,
            "DIBFLOW_STORE": str(self.store),
            "DIB_RELEASE": "bookworm",
            "DIB_GRUB_TIMEOUT": "0",
            "DIB_DEV_USER_AUTHORIZED_KEYS": f"{self.key}.pub",
            "DIB_DEV_USER_PWDLESS_SUDO": "1",
            "DIB_WHEELS": str(self.wheels),
            "ELEMENTS_PATH": str(self.folder / "elements"),
            "PIP_FIND_LINKS": "file:///tmp/wheels",
            "PIP_NO_INDEX": "1",
        }
        if layout.config:
            environment["DIB_BLOCK_DEVICE_CONFIG"] = layout.config
        elements = ("vm", "debian-minimal", *layout.elements)
        done = subprocess.run(
            [DIBFLOW, "build", *elements, "-o", "demo", "-t", "qcow2,raw", "--strict-inputs"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_BUILD_SECONDS,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, debian_store: Path) -> Shop:
    folder = tmp_path_factory.mktemp("vm-images")
    hook = folder / "elements" / "wheels" / "extra-data.d" / "50-wheels"
    hook.parent.mkdir(parents=True)
    hook.write_text(WHEELS)
    hook.chmod(0o755)
    return Shop(folder, debian_store, machine.make_key(folder))


@pytest.fixture(params=LAYOUTS)
def image(request: pytest.FixtureRequest, shop: Shop) -> Image:
    return shop.image(LAYOUTS[request.param])


def test_the_partitions_hold_what_the_layout_says(image: Image) -> None:
    found = [filesystem_of(image.raw, offset) for offset, _ in image.partitions()]

    assert found == list(image.layout.filesystems)


def test_the_partition_table_is_sound(image: Image) -> None:
    if image.layout is LAYOUTS["mbr"]:
        assert "Disklabel type: dos" in said("sfdisk", "--list", str(image.raw))
        assert said("sfdisk", "--verify", str(image.raw)).count("No errors detected") == 1
    elif image.layout.sector_bytes == 512:
        assert "No problems found" in said("sgdisk", "--verify", str(image.raw))
    else:
        # sgdisk takes every file for a disk with sectors of 512 bytes.
        first, last = gpt_copies(image.raw, image.layout.sector_bytes)
        assert first == last


def test_the_filesystems_are_clean(image: Image, tmp_path: Path) -> None:
    for offset, size_bytes in image.partitions():
        check_filesystem(image.raw, offset, size_bytes, scratch=tmp_path)


def test_the_qcow2_is_whole_and_is_the_raw_image(image: Image) -> None:
    said("qemu-img", "check", "-q", str(image.qcow2))
    said("qemu-img", "compare", "-f", "qcow2", "-F", "raw", str(image.qcow2), str(image.raw))


@pytest.mark.needs("qemu-system-x86_64")
@pytest.mark.parametrize(
    ("name", "firmware"),
    [
        ("mbr", "bios"),
        ("efi", "uefi"),
        pytest.param("gpt", "bios", marks=pytest.mark.thorough),
        pytest.param("efi-4k", "uefi", marks=pytest.mark.thorough),
    ],
)
def test_an_image_boots_to_its_login_and_is_left_as_it_was(
    shop: Shop, name: str, firmware: str
) -> None:
    image = shop.image(LAYOUTS[name])
    before = state_of(image.qcow2)

    told = json.loads(
        said(
            *(str(DIBFLOW), "boot", str(image.qcow2), "--json"),
            *machine.EMULATED,
            *("--timeout", str(_BOOT_SECONDS - 10)),
        )
    )

    assert told["firmware"] == firmware
    assert state_of(image.qcow2) == before


def filesystem_of(disk: Path, offset: int) -> str:
    """Tell what is at a place of a disk; nothing that blkid knows gives an empty text."""
    place = ("--probe", "--offset", str(offset), str(disk))
    return said("blkid", *place, "-s", "TYPE", "-o", "value", accept=frozenset({0, 2})).strip()


def check_filesystem(disk: Path, offset: int, size_bytes: int, *, scratch: Path) -> None:
    """Have the filesystem's own program look for errors, without mending any."""
    kind = filesystem_of(disk, offset)
    if kind == "ext4":
        said("e2fsck", "-f", "-n", f"{disk}?offset={offset}")
    elif kind == "vfat":
        part = scratch / f"{offset}.vfat"
        with disk.open("rb") as source, part.open("wb") as target:
            source.seek(offset)
            for _ in range(size_bytes // MIB):
                target.write(source.read(MIB))
        said("fsck.vfat", "-n", str(part))
    else:
        assert kind in {"", "swap"}


def gpt_copies(disk: Path, sector_bytes: int) -> list[bytes]:
    """Give the entries of both tables of a GPT, whose checksums have to be right.

    Source: UEFI specification 2.10, section 5.3.2.
    """
    content = []
    sectors = disk.stat().st_size // sector_bytes
    with disk.open("rb") as file:
        for here, other in ((1, sectors - 1), (sectors - 1, 1)):
            file.seek(here * sector_bytes)
            header = bytearray(file.read(92))
            assert header[:8] == b"EFI PART"
            checksum, own, backup = struct.unpack_from("<I4xQQ", header, 16)
            assert (own, backup) == (here, other)
            struct.pack_into("<I", header, 16, 0)
            assert zlib.crc32(header) == checksum
            place, count, size, entries = struct.unpack_from("<QIII", header, 72)
            file.seek(place * sector_bytes)
            content.append(file.read(count * size))
            assert zlib.crc32(content[-1]) == entries
    return content


def state_of(file: Path) -> tuple[int, str]:
    """Give the time of a file's last change and a digest of its content."""
    with file.open("rb") as opened:
        return file.stat().st_mtime_ns, hashlib.file_digest(opened, "sha256").hexdigest()


def settled(started: Machine) -> Machine:
    """Wait until a machine has started all that it starts."""
    started.wait_for_login("devuser")
    started.ssh("devuser", "systemctl is-system-running --wait")
    return started


LARGER_GIB = 8


@pytest.fixture(scope="module")
def cloud(shop: Shop) -> Iterator[Machine]:
    """Start the image for clouds on a larger disk, with a name and a key from a seed."""
    image = shop.image(LAYOUTS["var-and-swap"])
    public = shop.key.with_suffix(".pub").read_text()
    seed = image.folder / "seed"
    seed.mkdir()
    (seed / "meta-data").write_text("instance-id: one\nlocal-hostname: seeded\n")
    (seed / "user-data").write_text(f"#cloud-config\nssh_authorized_keys:\n  - {public}")
    larger = image.folder / "larger.qcow2"
    backing = ("-b", str(image.qcow2), "-F", "qcow2")
    said("qemu-img", "create", "-q", "-f", "qcow2", *backing, str(larger), f"{LARGER_GIB}G")
    with machine.booted(larger, key=shop.key, seed=seed) as started:
        yield settled(started)


@pytest.mark.needs(*machine.NEEDS)
@pytest.mark.thorough
class TestCloud:
    def test_no_unit_has_failed(self, cloud: Machine) -> None:
        assert cloud.said("devuser", "systemctl --failed --no-legend --plain") == ""
        assert cloud.said("devuser", "systemctl is-system-running") == "running\n"

    def test_the_seed_gives_name_and_key(self, cloud: Machine) -> None:
        assert cloud.said("debian", "hostname; whoami") == "seeded\ndebian\n"
        assert "error" not in cloud.said("devuser", "cloud-init status --long")

    def test_the_root_has_grown_to_the_end_of_the_disk(self, cloud: Machine) -> None:
        size_bytes = int(cloud.said("devuser", "findmnt --bytes -no SIZE /"))

        assert size_bytes > (LARGER_GIB - 2) * 1024 * MIB

    def test_var_and_the_esp_are_mounted_and_swap_is_used(self, cloud: Machine) -> None:
        swap_bytes = int(cloud.said("devuser", "/sbin/swapon --show=SIZE --bytes --noheadings"))

        assert cloud.said("devuser", "findmnt -no LABEL /var") == "var\n"
        assert cloud.said("devuser", "findmnt -no FSTYPE /boot/efi") == "vfat\n"
        assert 255 * MIB < swap_bytes <= 256 * MIB

    def test_it_was_started_by_efi(self, cloud: Machine) -> None:
        cloud.said("devuser", "test -d /sys/firmware/efi")

    def test_it_goes_down_when_told_to(self, cloud: Machine) -> None:
        cloud.ssh("devuser", "sudo systemctl poweroff")

        assert cloud.process.wait(_BOOT_SECONDS) == 0, cloud.console.read_text()[-4000:]


@pytest.fixture(scope="module")
def glean(shop: Shop) -> Iterator[Machine]:
    """Start the image that simple-init configures, on a network where it is told nothing."""
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:")
    said(*pip, "--dest", str(shop.wheels), "glean", "pbr")
    with machine.booted(shop.image(SIMPLE_INIT).qcow2, key=shop.key) as started:
        yield settled(started)


@pytest.mark.thorough
@pytest.mark.needs(*machine.NEEDS, "pypi")
class TestSimpleInit:
    def test_no_unit_has_failed(self, glean: Machine) -> None:
        assert glean.said("devuser", "systemctl --failed --no-legend --plain") == ""

    def test_glean_has_the_interface_ask_for_its_address(self, glean: Machine) -> None:
        address = glean.said("devuser", "ip -brief -4 address show scope global").split()[2]
        configured = glean.said("devuser", "cat /etc/network/interfaces.d/*")

        assert address == "10.0.2.15/24"
        assert "inet dhcp" in configured

    def test_no_cloud_init_is_there(self, glean: Machine) -> None:
        glean.said("devuser", "! command -v cloud-init")
