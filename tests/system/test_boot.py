"""``dibflow boot`` with real machines, whose disk is one sector of code that prints a prompt."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from dibflow.boot.acceleration import boot_sector, runs_guests

pytestmark = pytest.mark.needs("qemu-system-x86_64", "qemu-img")

_COM1 = 0x3F8


def printing(text: str) -> bytes:
    """Give code of 16 bits that writes `text` to the first serial port and then stands still."""
    code = bytes([0xBA, _COM1 & 0xFF, _COM1 >> 8])  # mov dx, port
    for byte in text.encode():
        code += bytes([0xB0, byte, 0xEE])  # mov al, byte; out dx, al
    return boot_sector(code + bytes([0xF4, 0xEB, 0xFD]))  # hlt; jmp to it


def image_of(folder: Path, text: str, format_: str) -> Path:
    raw = folder / "disk.raw"
    raw.write_bytes(printing(text).ljust(1024 * 1024, b"\0"))
    if format_ == "raw":
        return raw
    image = folder / f"disk.{format_}"
    qemu_name = {"vhd": "vpc"}.get(format_, format_)
    subprocess.run(["qemu-img", "convert", "-O", qemu_name, raw, image], check=True)
    return image


def boot(image: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dibflow", "boot", image, "--accel", "tcg", *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("format_", ["raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi"])
def test_an_image_of_any_format_comes_up_and_is_left_as_it_was(
    tmp_path: Path, format_: str
) -> None:
    image = image_of(tmp_path, "tiny login: ", format_)
    before = (image.stat().st_mtime_ns, hashlib.sha256(image.read_bytes()).digest())
    files = set(tmp_path.iterdir())

    done = boot(image, "--json")

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["firmware"], told["acceleration"]) == ("bios", "tcg")
    assert (image.stat().st_mtime_ns, hashlib.sha256(image.read_bytes()).digest()) == before
    assert set(tmp_path.iterdir()) == files


def test_an_image_that_does_not_come_up_is_status_6_with_the_console(tmp_path: Path) -> None:
    done = boot(image_of(tmp_path, "kernel panic", "raw"), "--timeout", "10")

    assert done.returncode == 6
    assert "kernel panic" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_without_a_disk_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo.tar").write_bytes(bytes(10240))

    done = boot(tmp_path / "demo.tar")

    assert done.returncode == 2
    assert "nothing that firmware starts" in done.stderr


def test_a_seed_folder_and_ports_are_accepted(tmp_path: Path) -> None:
    seed = tmp_path / "seed"
    seed.mkdir()
    (seed / "user-data").write_text("#cloud-config\n")
    image = image_of(tmp_path, "tiny login: ", "raw")

    done = boot(image, "--seed", str(seed))

    assert done.returncode == 0, done.stderr


def test_the_tiny_guest_gets_to_its_end_without_kvm() -> None:
    assert runs_guests("tcg")
