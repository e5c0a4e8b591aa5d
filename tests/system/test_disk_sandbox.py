"""Disks in the sandbox: shown, mounted, written, and gone with it."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dibflow.errors import HostError, StepError
from dibflow.sandbox.run import NamespaceSandbox
from dibflow.sandbox.spec import (
    Act,
    Disk,
    DiskLayer,
    DiskMount,
    DiskPart,
    Outcome,
    Program,
    SandboxSpec,
    overlay,
)

pytestmark = pytest.mark.needs(
    "root-namespaces", "overlay", "loop", "fuse", "qemu-storage-daemon", "qemu-img"
)

OFFSET = 1024 * 1024


class Bench:
    """A disk of a raw file and qcow2 layers, and an empty tree to mount it in."""

    def __init__(self, folder: Path, fstype: str = "ext4", size_mib: int = 32) -> None:
        self.folder = folder
        self.size = size_mib * 1024 * 1024
        self.fstype = fstype
        self.build = str(folder / "build")
        (folder / "lower" / "mnt").mkdir(parents=True)
        (folder / "shown").touch()
        base = folder / "base.raw"
        with base.open("wb") as file:
            file.truncate(OFFSET + self.size)
        part = folder / "part"
        with part.open("wb") as file:
            file.truncate(self.size)
        subprocess.run([f"mkfs.{fstype}", str(part)], check=True, capture_output=True)
        with base.open("rb+") as file:
            file.seek(OFFSET)
            file.write(part.read_bytes())
        part.unlink()
        self.files = [DiskLayer(str(base), "raw")]

    def layer(self) -> None:
        """Put a new layer on the disk."""
        path = self.folder / f"layer{time.monotonic_ns()}.qcow2"
        below = self.files[-1]
        over = ["-F", below.format, "-b", below.path]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *over, path], check=True)
        self.files.append(DiskLayer(str(path), "qcow2"))

    def spec(self, program: Program | Act, *, read_only: bool = False) -> SandboxSpec:
        upper = self.folder / f"upper{time.monotonic_ns()}"
        for name in ("diff", "work"):
            (upper / name).mkdir(parents=True)
        return SandboxSpec(
            start=self.folder,
            root=overlay(
                lowers=["lower"],
                upper=f"{upper.name}/diff",
                work=f"{upper.name}/work",
                target=self.build,
            ),
            program=program,
            log=self.folder / "log",
            disk=Disk(
                files=tuple(self.files),
                parts=(DiskPart("image0"), DiskPart("root", OFFSET, self.size)),
                mounts=(DiskMount("root", self.fstype, f"{self.build}/mnt"),),
                read_only=read_only,
                shown=str(self.folder / "shown"),
            ),
            build_folder=self.build,
        )

    def bash(self, script: str, *, read_only: bool = False) -> Outcome:
        program = Program(
            ("/bin/bash", "-ec", script), {"PATH": os.environ["PATH"]}, folder=self.build
        )
        return NamespaceSandbox().run(self.spec(program, read_only=read_only))

    def log(self) -> str:
        return (self.folder / "log").read_text()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_what_a_step_writes_is_in_its_layer_and_in_none_below(bench: Bench) -> None:
    bench.layer()
    below = Path(bench.files[0].path).read_bytes()

    assert bench.bash("echo hello >mnt/motd").status == 0
    bench.layer()
    assert bench.bash("cat mnt/motd").status == 0

    assert bench.log() == "hello\n"
    assert Path(bench.files[0].path).read_bytes() == below


def test_hooks_are_told_the_block_devices(bench: Bench) -> None:
    bench.layer()

    bench.bash(
        'declare -A found="( $IMAGE_BLOCK_DEVICES )"; '
        '[ "${found[image0]}" = "$IMAGE_BLOCK_DEVICE" ]; '
        'findmnt -no SOURCE mnt; echo "${found[root]}"'
    )

    source, root = bench.log().split()
    assert source == root
    assert root.startswith("/dev/loop")


def test_what_is_written_to_the_device_itself_is_kept(bench: Bench) -> None:
    bench.layer()

    bench.bash('echo "boot code" >"$IMAGE_BLOCK_DEVICE"')
    bench.layer()
    bench.bash('head -c 9 "$IMAGE_BLOCK_DEVICE"')

    assert bench.log() == "boot code"


def test_a_disk_to_look_at_cannot_be_written(bench: Bench) -> None:
    bench.layer()

    assert bench.bash("echo hello >mnt/motd", read_only=True).status != 0
    assert "Read-only file system" in bench.log()


def test_a_process_left_behind_does_not_keep_the_disk(bench: Bench) -> None:
    bench.layer()

    outcome = bench.bash("echo hello >mnt/motd; (cd mnt; exec setsid sleep 100) & sleep 0.1")
    bench.layer()
    bench.bash("cat mnt/motd")

    assert outcome.stopped == 1
    assert bench.log() == "hello\n"


def test_an_act_that_fails_lets_go_of_the_disk(bench: Bench) -> None:
    bench.layer()
    before = loops()

    with pytest.raises(StepError, match="went wrong"):
        NamespaceSandbox().run(bench.spec(Act(functools.partial(_fail, message="went wrong"))))

    _eventually(lambda: loops() <= before)


def _fail(_: Path, *, message: str) -> object:
    raise StepError(message)


@pytest.mark.parametrize("delay_seconds", [0.02, 0.06, 0.1, 0.3])
def test_a_kill_takes_the_disk_with_it(bench: Bench, delay_seconds: float) -> None:
    bench.layer()
    before = loops()
    script = "while :; do head -c 1M /dev/urandom >mnt/x; sync mnt/x; done"
    child = _forked(lambda: bench.bash(script))

    time.sleep(delay_seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

    _eventually(lambda: loops() <= before)
    _eventually(lambda: str(bench.folder) not in Path("/proc/self/mountinfo").read_text())
    bench.files.pop()
    bench.layer()
    assert bench.bash("ls mnt").status == 0


def _forked(work: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


def _eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def loops() -> frozenset[str]:
    """Name the loop devices in use."""
    return frozenset(path.parts[3] for path in Path("/sys/block").glob("loop*/loop"))


@pytest.mark.needs("mkfs.vfat", "mcopy")
def test_a_fat_filesystem_is_there_whatever_the_kernel_knows(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "vfat")
    bench.layer()

    made = "mkdir -p mnt/EFI/BOOT; cp /bin/true mnt/EFI/BOOT/BOOTX64.EFI; echo x >'mnt/a b'"
    assert bench.bash(made).status == 0, bench.log()
    bench.layer()
    assert bench.bash("rm 'mnt/a b'; findmnt -no SOURCE mnt").status == 0, bench.log()
    bench.layer()
    assert bench.bash("cmp /bin/true mnt/EFI/BOOT/BOOTX64.EFI; ls mnt").status == 0

    device, *names = bench.log().split()
    assert device.startswith("/dev/loop")
    assert names == ["EFI"]


@pytest.mark.needs("mkfs.btrfs")
def test_an_older_disk_can_be_gone_back_to(tmp_path: Path) -> None:
    # The kernel refuses a btrfs that is older than the one with its UUID that it saw last.
    bench = Bench(tmp_path, "btrfs", size_mib=128)
    bench.layer()
    for _ in range(3):
        assert bench.bash("echo hello >>mnt/motd; sync").status == 0
    bench.files.pop()
    bench.layer()

    assert bench.bash("ls mnt").status == 0


def test_a_filesystem_that_the_kernel_lacks_is_named(bench: Bench) -> None:
    bench.layer()
    bench.fstype = "nosuchfs"

    with pytest.raises(HostError, match="this kernel has no nosuchfs"):
        bench.bash("true")
