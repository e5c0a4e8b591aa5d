"""The system calls that `os` lacks, each with its arguments named and its errors raised.

Every function raises OSError with errno, and the path where there is one.

Source: mount(2), umount2(2), unshare(2), setns(2), prctl(2), syncfs(2), rename(2), loop(4),
ioctl_iflags(2), and what each function names.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from enum import IntFlag
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)


class MountFlag(IntFlag):
    """Flags of mount(2) that dibflow uses."""

    NONE = 0
    RDONLY = 1
    NOSUID = 2
    NODEV = 4
    NOEXEC = 8
    REMOUNT = 32
    BIND = 4096
    REC = 16384
    PRIVATE = 1 << 18


class Namespace(IntFlag):
    """Namespaces of unshare(2) that dibflow uses."""

    MOUNT = 0x00020000
    IPC = 0x08000000
    PID = 0x20000000


_UMOUNT_DETACH = 2
_PR_SET_PDEATHSIG = 1
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_LOOP_CLR_FD = 0x4C01
_LOOP_CONFIGURE = 0x4C0A
_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_READ_ONLY = 1
_LOOP_AUTOCLEAR = 4
_LOOP_CONFIGURATION_SIZE = 304  # struct loop_config
_LOOP_INFO_OFFSET = 8  # its member info, a struct loop_info64
_LOOP_TRIES = 32
_BTRFS_IOC_FORGET_DEV = 0x50009405
_BTRFS_VOL_ARGS_SIZE = 4096  # struct btrfs_ioctl_vol_args
_FS_IOC_GETFLAGS = 0x80086601
_FS_IMMUTABLE_FL = 0x10


def _check(result: int, path: str | None = None) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)


def mount(source: str, target: str, fstype: str, flags: MountFlag, options: str = "") -> None:
    """Attach a filesystem at `target`."""
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        fstype.encode(),
        ctypes.c_ulong(flags),
        os.fsencode(options) if options else None,
    )
    _check(result, target)


def unmount(target: str, *, detach: bool = False) -> None:
    """Detach the topmost filesystem at `target`; `detach` does so even while it is in use."""
    _check(_libc.umount2(os.fsencode(target), _UMOUNT_DETACH if detach else 0), target)


def unshare(namespaces: Namespace) -> None:
    """Move the calling process (for PID: its later children) to new namespaces."""
    _check(_libc.unshare(ctypes.c_int(namespaces)))


def enter_namespace(descriptor: int, namespace: Namespace) -> None:
    """Join the namespace that a descriptor of ``/proc/PID/ns/`` names (for PID: later children).

    Source: setns(2).
    """
    _check(_libc.setns(ctypes.c_int(descriptor), ctypes.c_int(namespace)))


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send `signal_number` to this process when its parent thread ends.

    A parent that ended before the call sends nothing: check the parent afterwards.
    """
    _check(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal_number), 0, 0, 0))


def sync_filesystem(path: Path) -> None:
    """Write all of the filesystem that holds `path` to its device."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.syncfs(descriptor), str(path))
    finally:
        os.close(descriptor)


def loop_attach(
    file: int,
    *,
    offset: int = 0,
    size: int = 0,
    block_size: int = 512,
    read_only: bool = False,
) -> tuple[str, int]:
    """Show a part of an open file as a block device; give its path and an open descriptor.

    `offset` and `size` are bytes, size 0 reaches to the end of the file. The device goes by itself
    when nobody has it open or mounted any more, so it cannot outlive the caller.

    Source: loop(4), ``LOOP_CONFIGURE`` (since Linux 5.8), ``LO_FLAGS_AUTOCLEAR``.
    """
    configuration = bytearray(_LOOP_CONFIGURATION_SIZE)
    struct.pack_into("=II", configuration, 0, file, block_size)
    flags = _LOOP_AUTOCLEAR | (_LOOP_READ_ONLY if read_only else 0)
    # lo_device, lo_inode, lo_rdevice, lo_offset, lo_sizelimit, then four 32-bit members
    struct.pack_into(
        "=QQQQQIIII", configuration, _LOOP_INFO_OFFSET, 0, 0, 0, offset, size, 0, 0, 0, flags
    )
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for tries_left in reversed(range(_LOOP_TRIES)):
            path = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
            access = os.O_RDONLY if read_only else os.O_RDWR
            device = os.open(path, access | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, _LOOP_CONFIGURE, configuration)
            except OSError as error:
                os.close(device)
                # Somebody else may take a device between being told its number and using it.
                if error.errno != errno.EBUSY or not tries_left:
                    raise
            else:
                return path, device
    finally:
        os.close(control)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), "/dev/loop-control")


def exchange(one: Path, other: Path) -> None:
    """Have two names change what they stand for, in one act: at no moment is either of them gone.

    Raises OSError with EINVAL on a filesystem that cannot do it.
    """
    result = _libc.renameat2(
        ctypes.c_int(_AT_FDCWD),
        os.fsencode(one),
        ctypes.c_int(_AT_FDCWD),
        os.fsencode(other),
        ctypes.c_uint(_RENAME_EXCHANGE),
    )
    _check(result, str(other))


def loop_detach(descriptor: int) -> None:
    """Detach a loop device from its file, now or when its last user closes it."""
    fcntl.ioctl(descriptor, _LOOP_CLR_FD)


def btrfs_forget() -> None:
    """Have the kernel forget the btrfs devices that it has seen and that are not mounted.

    It tells them apart by UUID, and refuses one that is older than what it saw last: a step that
    goes back to an earlier disk. Does nothing where the kernel has no btrfs.

    Source: Linux, include/uapi/linux/btrfs.h, ``BTRFS_IOC_FORGET_DEV``.
    """
    try:
        control = os.open("/dev/btrfs-control", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.ioctl(control, _BTRFS_IOC_FORGET_DEV, bytearray(_BTRFS_VOL_ARGS_SIZE))
    finally:
        os.close(control)


def is_immutable(path: Path) -> bool:
    """Tell whether a regular file has the immutable attribute (``chattr +i``).

    False where its filesystem knows no such attributes. Source: ioctl_iflags(2).
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        flags = fcntl.ioctl(descriptor, _FS_IOC_GETFLAGS, struct.pack("l", 0))
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return bool(struct.unpack("l", flags)[0] & _FS_IMMUTABLE_FL)
