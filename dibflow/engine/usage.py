"""Say what takes the room in an image: the report that ``DIB_SHOW_IMAGE_USAGE`` asks for."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from dibflow.engine.build import Build
from dibflow.engine.sources import with_build_folder
from dibflow.planning.planner import FINISH_ROOT
from dibflow.planning.variables import TARGET

_BLOCK = 512
"""The unit of ``st_blocks``, whatever the filesystem. Source: stat(2)."""

LARGE = 10 * 1024 * 1024
"""What is smaller is left out of the short report."""


def usage_of(build: Build, *, least_bytes: int) -> list[tuple[str, int]]:
    """Give the files and folders of a finished tree with the room they take, the largest first.

    Paths are those in the image. A hard-linked file counts once, where it is met first.
    """
    record = build.store.finished(build.plan.act(FINISH_ROOT).key)
    found = with_build_folder(
        build.executor, record, functools.partial(_usage, least_bytes=least_bytes)
    )
    assert isinstance(found, list)  # noqa: S101 - what _usage gives
    return [(path, size) for path, size in found]


def _usage(folder: Path, *, least_bytes: int) -> object:
    return disk_usage(folder / TARGET, least_bytes=least_bytes)


def disk_usage(root: Path, *, least_bytes: int) -> list[tuple[str, int]]:
    """Measure a tree as du(1) does with ``--all``; paths start with ``/``, sizes are in bytes."""
    found: list[tuple[str, int]] = []
    seen: set[tuple[int, int]] = set()

    def measure(path: str, shown: str) -> int:
        status = os.lstat(path)
        if (status.st_dev, status.st_ino) in seen:
            return 0
        seen.add((status.st_dev, status.st_ino))
        size = status.st_blocks * _BLOCK
        if os.path.isdir(path) and not os.path.islink(path):  # noqa: PTH112, PTH114 - many files
            with os.scandir(path) as entries:
                for entry in entries:
                    size += measure(entry.path, f"{shown.rstrip('/')}/{entry.name}")
        if size >= least_bytes:
            found.append((shown, size))
        return size

    measure(str(root), "/")
    return sorted(found, key=lambda entry: (-entry[1], entry[0]))
