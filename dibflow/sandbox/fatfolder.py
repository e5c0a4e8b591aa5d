"""Show a FAT filesystem as a folder where the kernel has no driver for it.

What it holds is read into a tmpfs with mtools, and written back if anything has changed. The tmpfs
bears the name of the block device, so that programs which look at the device (GRUB's do, to see
whether this is an EFI system partition) find what they look for.

What FAT cannot hold is lost, as on a mounted FAT: owners, modes, links. Two names that differ only
in case are two files in the folder, so the write back fails where a mounted FAT would have
overwritten the first.

Source: mtools(1), mcopy(1), mdel(1).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from dibflow import linux
from dibflow.commands import run
from dibflow.linux import MountFlag


@contextlib.contextmanager
def shown(device: str, target: str, *, read_only: bool) -> Iterator[None]:
    """Show the FAT filesystem of `device` at `target` for the body.

    Raises HostError if mtools is not installed, StepError for what cannot be read or written back.
    """
    linux.mount(device, target, "tmpfs", MountFlag.NONE, "mode=755")
    try:
        folder = Path(target)
        names = _names(device)
        if names:
            _mtools("mcopy", device, "-s", "-m", "-n", *names, target)
        before = _listing(folder)
        yield
        if not read_only and _listing(folder) != before:
            _write_back(device, folder)
    finally:
        linux.unmount(target, detach=True)


def _write_back(device: str, folder: Path) -> None:
    if names := _names(device):
        _mtools("mdeltree", device, *names)
    entries = sorted(str(entry) for entry in folder.iterdir())
    if entries:
        _mtools("mcopy", device, "-s", "-m", "-Q", *entries, "::")


def _names(device: str) -> list[str]:
    """Name what lies at the top of a FAT filesystem, as mtools write it: ``::/EFI``."""
    return [line.rstrip("/") for line in _mtools("mdir", device, "-b", "::").splitlines() if line]


def _listing(folder: Path) -> list[tuple[str, int, int, int]]:
    """List what a folder holds, by what differs when a file does: size, time of change, inode."""
    found = []
    for parent, _, names in os.walk(folder):
        for name in ("", *names):
            status = Path(parent, name).lstat()
            found.append((f"{parent}/{name}", status.st_size, status.st_mtime_ns, status.st_ino))
    return sorted(found)


def _mtools(program: str, device: str, *arguments: str) -> str:
    return run(
        [program, "-i", device, *arguments],
        doing=f'working on the FAT filesystem of "{device}"',
        package="mtools",
    )
