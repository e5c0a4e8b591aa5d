"""Measure what a tree holds, filesystem by filesystem, as `Usage` counts it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dibflow.blockdevice.capacity import Usage

_BLOCK = 512
"""The unit of ``st_blocks``, whatever the filesystem. Source: stat(2)."""


def measure(root: Path, mount_points: Sequence[str]) -> Mapping[str, Usage]:
    """Give what each filesystem is to hold; `mount_points` are folders of the tree at `root`.

    A folder that another filesystem is mounted on counts for both, as it is there in both. What is
    mounted in the tree already does not count.
    """
    roots = {str(root / point.strip("/")).rstrip("/"): point for point in mount_points}
    found: dict[str, list[Usage]] = {point: [] for point in mount_points}
    seen: set[tuple[int, int]] = set()
    device = root.lstat().st_dev

    def walk(folder: str, point: str) -> None:
        names = []
        for entry in _entries(folder):
            names.append(len(os.fsencode(entry.name)))
            status = entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                if status.st_dev != device:
                    found[point].append(Usage.of_folder(()))
                elif entry.path in roots:
                    found[point].append(Usage.of_folder(()))
                    walk(entry.path, roots[entry.path])
                else:
                    walk(entry.path, point)
            elif status.st_nlink == 1 or (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                found[point].append(_usage(entry.path, status))
        found[point].append(Usage.of_folder(names, attributes=_has_attributes(folder)))

    walk(str(root), roots[str(root)])
    return {point: Usage.total(parts) for point, parts in found.items()}


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from entries


def _usage(path: str, status: os.stat_result) -> Usage:
    if stat.S_ISLNK(status.st_mode):
        return Usage.of_link(status.st_size)
    attributes = _has_attributes(path)
    if not stat.S_ISREG(status.st_mode):
        return Usage.of_file(0, attributes=attributes)
    pieces = 0
    allocated = status.st_size
    if status.st_blocks * _BLOCK < status.st_size:
        pieces, allocated = _data_of(path)
    return Usage.of_file(allocated, pieces=pieces, attributes=attributes)


def _data_of(path: str) -> tuple[int, int]:
    """Count the runs of data in a file with holes, and their bytes. Source: lseek(2)."""
    pieces = allocated = position = 0
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        end = os.fstat(descriptor).st_size
        while position < end:
            try:
                start = os.lseek(descriptor, position, os.SEEK_DATA)
            except OSError:  # ENXIO: only a hole is left
                break
            position = os.lseek(descriptor, start, os.SEEK_HOLE)
            pieces += 1
            allocated += position - start
    finally:
        os.close(descriptor)
    return pieces, allocated


def _has_attributes(path: str) -> bool:
    return bool(os.listxattr(path, follow_symlinks=False))
