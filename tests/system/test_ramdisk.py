"""A ramdisk of diskimage-builder's own elements, unmodified, started as a virtual machine."""

from __future__ import annotations

import selectors
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from dibflow.boot.acceleration import choose_acceleration
from dibflow.boot.command import accelerator
from dibflow.boot.firmware import Machine
from tests.system.harness import Workshop

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.needs(
        *("root-namespaces", "overlay", "debian-mirror", "mmdebstrap", "qemu-system-x86_64"),
    ),
]

ELEMENTS = ("ramdisk", "ramdisk-base", "deploy-tgtadm")
_PATIENCE_SECONDS = 1500


def upstream() -> Path:
    """Give the folder of diskimage-builder's elements."""
    spec = find_spec("diskimage_builder")
    assert spec is not None, "diskimage-builder is a dependency of the tests"
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "elements"


def talk(folder: Path, *, wait_for: bytes, then: bytes) -> bytes:
    """Start ``rd.kernel`` with ``rd.initramfs``, type `then` at a prompt; give the console."""
    command = [
        *("qemu-system-x86_64", "-machine", "q35", "-m", "3072M", "-smp", "2", "-nodefaults"),
        *accelerator(choose_acceleration(Machine.AMD64, "auto")),
        *("-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"),
        *("-kernel", "rd.kernel", "-initrd", "rd.initramfs"),
        # The machine has no such card; that is when the ramdisk opens its shell.
        *("-append", "console=ttyS0 panic=-1 troubleshoot=1 BOOTIF=01-02-00-00-00-00-01"),
    ]
    said = b""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as machine:
        assert machine.stdin is not None
        assert machine.stdout is not None
        waiting = selectors.DefaultSelector()
        waiting.register(machine.stdout, selectors.EVENT_READ)
        try:
            typed = False
            while time.monotonic() < deadline:
                if waiting.select(timeout=1):
                    got = machine.stdout.read(65536)
                    if not got:
                        break
                    said += got
                if not typed and wait_for in said:
                    machine.stdin.write(then)
                    typed = True
        finally:
            waiting.close()
            machine.kill()
    return said


def test_a_ramdisk_comes_up_to_its_shell(workshop: Workshop) -> None:
    workshop.elements.mkdir()
    for name in ELEMENTS:
        (workshop.elements / name).symlink_to(upstream() / name)

    ended = workshop.run(
        *("dibflow-ramdisk-image-create", "-o", "rd", "debian-minimal"),
        patience_seconds=_PATIENCE_SECONDS,
        DIB_RELEASE="bookworm",
    )

    assert ended.status == 0, ended.output[-4000:]
    assert not list(workshop.folder.glob("rd.qcow2"))
    said = talk(
        workshop.folder,
        wait_for=b"Starting troubleshooting shell.",
        then=b"echo shell-$((40 + 2)); modprobe loop && echo with-modules; reboot -f\n",
    )
    assert b"shell-42" in said, said[-4000:]
    assert b"with-modules" in said, said[-4000:]
