"""Start an image as a virtual machine, and log in by ssh."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_PATIENCE_SECONDS = 600
"""Without hardware virtualisation a boot takes minutes, and longer beside other work."""

NEEDS = ("qemu-system-x86_64", "ssh", "ssh-keygen", "mkfs.vfat", "mcopy")
"""What a test that starts a machine needs, as words for `pytest.mark.needs`."""

EMULATED = ("--accel", "tcg", "--cpus", "1")
"""Options of ``dibflow boot`` for a machine that is the same everywhere.

An emulated CPU may wait for another one, which the host may not be running: beside other work, a
machine with two had not come up after 20 minutes, where one with a single CPU took three.
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A running machine, seen from the host."""

    process: subprocess.Popen[bytes]
    console: Path
    key: Path
    port: int

    def ssh(self, user: str, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the machine, as a user who may log in with the key."""
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "30",
            "IdentitiesOnly": "yes",
            "LogLevel": "ERROR",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
        }
        return subprocess.run(
            [
                *("ssh", "-i", self.key, "-p", str(self.port)),
                *(word for name, value in options.items() for word in ("-o", f"{name}={value}")),
                *(f"{user}@127.0.0.1", command),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_SECONDS,
        )

    def said(self, user: str, command: str) -> str:
        """Run a command that has to succeed; give what it printed."""
        done = self.ssh(user, command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def wait_for_login(self, user: str) -> None:
        """Wait until a user can log in."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.ssh(user, "true").returncode != 0:
            shown = self.console.read_text(errors="replace")[-4000:]
            assert self.process.poll() is None, shown
            assert time.monotonic() < deadline, shown
            time.sleep(2)


def make_key(folder: Path) -> Path:
    """Make a pair of ssh keys; the public one has the suffix ``.pub``."""
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    return key


def make_seed(folder: Path, files: Mapping[str, str]) -> Path:
    """Make the disk from which cloud-init takes its data."""
    disk = folder / "seed.img"
    with disk.open("wb") as file:
        file.truncate(1 << 20)
    subprocess.run(["mkfs.vfat", "-n", "CIDATA", disk], check=True, stdout=subprocess.DEVNULL)
    for name, content in files.items():
        subprocess.run(["mcopy", "-i", disk, "-", f"::{name}"], input=content.encode(), check=True)
    return disk


@contextlib.contextmanager
def started(image: Path, *, key: Path, seed: Path, arguments: str = "") -> Iterator[Machine]:
    """Run ``IMAGE.raw`` with the kernel and initramfs beside it; nothing is written to its disk.

    The machine has no accelerator, so that it is the same everywhere.
    """
    port = _free_port()
    console = image.with_name(f"{image.name}.console")
    command = [
        *("qemu-system-x86_64", "-accel", "tcg", "-m", "1024", "-smp", "2", "-display", "none"),
        *("-no-reboot", "-serial", "stdio", "-device", "virtio-rng-pci"),
        *("-kernel", f"{image}.vmlinuz", "-initrd", f"{image}.initrd"),
        *("-append", f"root=LABEL=cloudimg-rootfs rw console=ttyS0 {arguments}"),
        *("-drive", f"file={image}.raw,if=virtio,format=raw,snapshot=on"),
        *("-drive", f"file={seed},if=virtio,format=raw,readonly=on"),
        *("-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22"),
        *("-device", "virtio-net-pci,netdev=net"),
    ]
    with console.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield Machine(process, console, key, port)
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def booted(image: Path, *, key: Path, seed: Path | None = None) -> Iterator[Machine]:
    """Run an image with ``dibflow boot``, which ends well when the machine has gone down.

    `seed` is a folder. As with `started`, there is no accelerator and nothing is written.
    """
    port = _free_port()
    console = image.with_name(f"{image.name}.console")
    command = [
        *(str(Path(sys.executable).with_name("dibflow")), "boot", str(image), "--verbose"),
        *(*EMULATED, "--forward", f"{port}:22"),
        *(("--seed", str(seed)) if seed else ()),
        *("--wait-for", "reboot: Power down", "--timeout", str(3 * _PATIENCE_SECONDS)),
    ]
    with console.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield Machine(process, console, key, port)
        finally:
            process.kill()  # its machine ends with it
            process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        assert isinstance(port, int)
        return port
