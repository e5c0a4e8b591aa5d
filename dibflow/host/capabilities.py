"""What the kernel lets this process do, each found out by doing it once.

Rights, containers, security modules and filesystems all have a say, so no file and no user number
tells. Each `try_` function does the thing and raises HostError, with the kernel's reason, if it is
refused. Call it through `refusal_of`: some change the namespaces of the process for good.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from dibflow import linux
from dibflow.errors import HostError


def refusal_of(act: Callable[[], None]) -> str:
    """Do `act` in a child process; give the reason why it failed, or an empty string.

    Whatever the child opened, mounted or entered ends with it.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        reason = ""
        try:
            act()
        except BaseException as error:  # the parent must hear of any
            reason = str(error) or type(error).__name__
        os.write(writer, reason.encode(errors="replace"))
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:  # noqa: PTH123 - a descriptor, not a path
        reason = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return reason or ("" if status == 0 else f"the attempt ended with wait status {status}")


def try_namespaces() -> None:
    """Make mount, pid and ipc namespaces, and mount proc in them, as each hook needs."""
    with _refused("making mount, pid and ipc namespaces"):
        linux.unshare(linux.Namespace.MOUNT | linux.Namespace.PID | linux.Namespace.IPC)
        _keep_mounts_private()
    # The new pid namespace begins with the next child.
    if reason := refusal_of(_mount_proc):
        raise HostError(reason)


def try_overlay(folder: Path) -> None:
    """Do in an overlay on the filesystem of `folder` what hooks do: change, delete, replace.

    Needs what `try_namespaces` tries. `folder` is an existing folder, and left as it was.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".dibflow-try-") as name:
        # The mount must be gone before its folders can be deleted, so it has a child of its own.
        if reason := refusal_of(lambda: _change_overlay(Path(name))):
            raise HostError(reason)


def try_loop_device() -> None:
    """Show a file as a block device and read it there; the device is free again afterwards.

    Source: loop(4).
    """
    with tempfile.TemporaryFile() as file, _refused("attaching a loop device"):
        file.write(b"\x2a" * 4096)
        file.flush()
        _, device = linux.loop_attach(file.fileno(), read_only=True)
        with open(device, "rb", buffering=0) as shown:  # noqa: PTH123 - a descriptor, not a path
            first = shown.read(1)
    if first != b"\x2a":
        raise HostError("attaching a loop device: it does not show the bytes of its file")


def try_fuse() -> None:
    """Mount a FUSE filesystem, which nobody serves. Needs what `try_namespaces` tries."""
    with _refused("opening /dev/fuse"):
        descriptor = os.open("/dev/fuse", os.O_RDWR)
    with _refused("mounting a FUSE filesystem"):
        linux.unshare(linux.Namespace.MOUNT)
        _keep_mounts_private()
        options = f"fd={descriptor},rootmode=40000,user_id=0,group_id=0"
        linux.mount("dibflow", "/mnt", "fuse", linux.MountFlag.NODEV, options)


def _mount_proc() -> None:
    with _refused("mounting proc in new namespaces"):
        linux.mount("proc", "/proc", "proc", linux.MountFlag.NONE)


def _change_overlay(folder: Path) -> None:
    with _refused(f'mounting an overlay in "{folder.parent}"'):
        linux.unshare(linux.Namespace.MOUNT)
        _keep_mounts_private()
        os.chdir(folder)  # so that no path needs quoting in the options
        for name in ("lower/folder/below", "upper", "work", "merged"):
            Path(name).mkdir(parents=True)
        Path("lower/file").write_bytes(b"below")
        options = "lowerdir=lower,upperdir=upper,workdir=work,volatile"
        linux.mount("overlay", "merged", "overlay", linux.MountFlag.NONE, options)
    with _refused(f'changing files in an overlay in "{folder.parent}"'):
        Path("merged/file").write_bytes(b"changed")
        Path("merged/file").unlink()
        Path("merged/folder/below").rmdir()
        Path("merged/folder").rmdir()
        Path("merged/folder").mkdir()
    if list(Path("merged").rglob("*")) != [Path("merged/folder")]:
        raise HostError(f'an overlay in "{folder.parent}" does not forget what was deleted in it')


def _keep_mounts_private() -> None:
    flags = linux.MountFlag.REC | linux.MountFlag.PRIVATE
    linux.mount("none", "/", "none", flags)


@contextlib.contextmanager
def _refused(doing: str) -> Iterator[None]:
    """Turn the kernel's no into a HostError that says what was asked."""
    try:
        yield
    except OSError as error:
        raise HostError(f"{doing}: {(error.strerror or str(error)).lower()}") from error
