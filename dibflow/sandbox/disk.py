"""Show the disk of an image as block devices, mount its filesystems, and take it all down again.

A disk of several files is shown as one raw file by ``qemu-storage-daemon``; loop devices show that
file, whole and part by part::

    base.raw ◄── a.qcow2 ◄── b.qcow2 ──► FUSE file ──► /dev/loop0           the disk
                 (read)      (written)            ├──► /dev/loop1  offset   a partition, mounted
                                                  └──► /dev/loop2  offset   another

Nothing of it outlives the sandbox: the daemon is in its pid namespace, the mounts are in its mount
namespace, and a loop device goes with the last process or mount that uses it. No device-mapper, no
kernel partition scanning.

The daemon has a mount namespace of its own. Were it the last one in that of the filesystems it
serves, the kernel would unmount them while the daemon ends: it would wait for the daemon to write
what is left, for ever.

Source: qemu-storage-daemon(1); loop(4); qemu, docs/interop/qcow2.txt.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dibflow import linux
from dibflow.commands import run
from dibflow.errors import HostError, StepError
from dibflow.linux import MountFlag
from dibflow.sandbox import fatfolder, lvm
from dibflow.sandbox.spec import Disk, DiskLayer, DiskMount

_SERVER = "qemu-storage-daemon"
_PATIENCE_SECONDS = 20.0
_PAUSE_SECONDS = 0.02
_OPTIONS = {
    # A step's disk is often on the machine twice, with the same UUID: that of its own build, and of
    # another one. Source: xfs(5), "nouuid".
    "xfs": "nouuid",
}


@dataclass(frozen=True, slots=True)
class Attached:
    """A disk that is shown: path of each block device by name, and the processes that serve it."""

    devices: Mapping[str, str]
    servers: frozenset[int]

    def variables(self) -> dict[str, str]:
        """Give the variables by which hooks know the block devices."""
        pairs = "".join(f" [{name}]={path} " for name, path in self.devices.items())
        whole = next(iter(self.devices.values()))
        return {"IMAGE_BLOCK_DEVICE": whole, "IMAGE_BLOCK_DEVICES": pairs}


NOTHING = Attached({}, frozenset())


@contextlib.contextmanager
def attached(disk: Disk) -> Iterator[Attached]:
    """Show `disk` as block devices for the body; its first part is named first.

    Must be entered in a mount namespace of the sandbox's own, which the caller may leave for
    another one by this, and before anything of the disk is mounted.

    When the body ends, everything that was written is in the last of the disk's files. Raises
    HostError for what the machine lacks, StepError for what went wrong.
    """
    with contextlib.ExitStack() as undo:
        for lock in sorted(disk.locks):
            undo.enter_context(_locked(lock))
        servers = frozenset[int]()
        if disk.files[-1].format == "raw" and len(disk.files) == 1:
            shown = disk.files[0].path
        else:
            shown = disk.shown
            servers = frozenset({undo.enter_context(_served(disk))})
            linux.unshare(linux.Namespace.MOUNT)
        devices = {}
        with _reason(f'opening the disk "{shown}"'):
            file = os.open(shown, (os.O_RDONLY if disk.read_only else os.O_RDWR) | os.O_CLOEXEC)
        undo.callback(os.close, file)
        for part in disk.parts:
            with _reason(f'attaching a loop device for "{part.name}"'):
                path, device = linux.loop_attach(
                    file,
                    offset=part.offset,
                    size=part.size,
                    block_size=disk.block_size,
                    read_only=disk.read_only,
                )
            undo.callback(_detach, device, read_only=disk.read_only)
            devices[part.name] = path
        if disk.volumes is not None:
            undo.enter_context(lvm.active(disk.volumes, devices=tuple(devices.values())))
            devices.update(disk.volumes.devices)
        yield Attached(devices, servers)


@contextlib.contextmanager
def mounted(disk: Disk, devices: Mapping[str, str]) -> Iterator[None]:
    """Mount the filesystems of an attached disk for the body, parents first.

    Raises HostError for a filesystem that the kernel does not know, StepError where one cannot be
    mounted, or is still in use at the end.
    """
    with contextlib.ExitStack() as undo:
        for mount in disk.mounts:
            device = devices[mount.device]
            Path(mount.target).mkdir(parents=True, exist_ok=True)
            if _mount(mount, device, read_only=disk.read_only):
                undo.callback(_unmount, mount.target)
            elif mount.fstype == "vfat":
                undo.enter_context(fatfolder.shown(device, mount.target, read_only=disk.read_only))
            else:
                raise HostError(
                    f'mounting {mount.fstype} "{device}" on "{mount.target}": this kernel has no '
                    f"{mount.fstype}",
                    hint=f"modprobe {mount.fstype}, or choose another filesystem",
                )
        yield


def _mount(mount: DiskMount, device: str, *, read_only: bool) -> bool:
    """Mount a filesystem; tell whether the kernel knows its type. Source: mount(2), ENODEV."""
    flags = MountFlag.RDONLY if read_only else MountFlag.NONE
    if mount.fstype == "btrfs":
        linux.btrfs_forget()
    try:
        linux.mount(device, mount.target, mount.fstype, flags, _OPTIONS.get(mount.fstype, ""))
    except OSError as error:
        if error.errno == errno.ENODEV:
            return False
        raise StepError(
            f'mounting {mount.fstype} "{device}" on "{mount.target}": {error.strerror}',
            hint="`dmesg | tail` tells what the kernel found",
        ) from error
    return True


def _unmount(target: str) -> None:
    """Unmount a filesystem and wait until it is written: what is in use here cannot be dropped."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            linux.unmount(target)
        except OSError as error:
            if error.errno == errno.EBUSY and time.monotonic() < deadline:
                time.sleep(_PAUSE_SECONDS)
                continue
            raise StepError(f'unmounting "{target}": {error.strerror}') from error
        return


def _detach(device: int, *, read_only: bool) -> None:
    try:
        if not read_only:
            os.fsync(device)
        linux.loop_detach(device)
    except OSError as error:
        raise StepError(f"writing what is left of the disk: {error.strerror}") from error
    finally:
        os.close(device)


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    Path(path).parent.mkdir(parents=True, exist_ok=True)  # a container may have no /run/lock
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _served(disk: Disk) -> Iterator[int]:
    """Have a disk of several files shown as one, on the file `shown`; give the server's pid."""
    pid_file = Path(f"{disk.shown}.pid")
    run(
        [
            _SERVER,
            "--daemonize",
            f"--pidfile={pid_file}",
            *server_arguments(disk.files, read_only=disk.read_only),
            "--export",
            f"type=fuse,id=disk,node-name=file{len(disk.files) - 1},"
            f"mountpoint={disk.shown.replace(',', ',,')},"
            f"writable={'off' if disk.read_only else 'on'}",
        ],
        doing="showing the disk's layers as one",
        package="qemu-system-common",
    )
    server = int(pid_file.read_text())
    try:
        yield server
    finally:
        status = _stopped(server)
    if status != 0:
        raise StepError(f"writing the disk's layer: {_SERVER} ended with status {status}")


def _stopped(server: int) -> int:
    """Stop a server, which writes what it still holds, and give the status it ends with."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(server, signal.SIGTERM)
    try:
        _, ended = os.waitpid(server, 0)
    except ChildProcessError:  # whoever waited for all children has seen it end by itself
        return -1
    return os.waitstatus_to_exitcode(ended)


def server_arguments(files: Sequence[DiskLayer], *, read_only: bool) -> list[str]:
    """Describe a chain of files to the server, one block node each, named ``fileN``.

    The file that is written does without flushes: it is made durable once, when it is committed.
    Source: qemu-storage-daemon(1); qemu, qapi/block-core.json, ``BlockdevOptions``.
    """
    arguments = []
    for number, file in enumerate(files):
        written = number == len(files) - 1 and not read_only
        node: dict[str, object] = {
            "driver": file.format,
            "node-name": f"file{number}",
            "read-only": not written,
            "discard": "unmap",
            "file": {
                "driver": "file",
                "filename": file.path,
                "read-only": not written,
                "discard": "unmap",
                "cache": {"direct": False, "no-flush": True},
            },
        }
        if file.format == "qcow2":
            node["backing"] = f"file{number - 1}" if number else None
        arguments += ["--blockdev", json.dumps(node)]
    return arguments


@contextlib.contextmanager
def _reason(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HostError(
            f"{doing}: {error.strerror}",
            hint="`losetup -a` lists the loop devices in use, `dibflow doctor` checks the machine; "
            "a container needs /dev/loop-control and the nodes /dev/loop0 and up",
        ) from error
