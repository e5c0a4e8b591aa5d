"""Read-only filesystems written from a tree: squashfs and erofs.

Source: mksquashfs(1); mkfs.erofs(1).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path

from dibflow.commands import run
from dibflow.outputs.archives import names_below

_NAMESPACE = uuid.UUID("6f5a0a3c-6d1e-5a58-9f5d-0d1bf10e0002")


def write_squashfs(tree: Path, output: Path, options: Mapping[str, str]) -> None:
    """Write `tree` as a squashfs compressed with zstd, on all cores.

    DIB takes xz, which reads and writes many times slower; Linux has known zstd since 4.14.
    """
    environment = dict(os.environ)
    # mksquashfs refuses the variable beside an option; we have read it already.
    environment.pop("SOURCE_DATE_EPOCH", None)
    run(
        [
            *("mksquashfs", str(tree), str(output)),
            *("-comp", "zstd", "-xattrs", "-noappend", "-no-recovery"),
            *("-quiet", "-no-progress", "-exit-on-error"),
            *("-mkfs-time", options.get("epoch") or "0"),
        ],
        doing="writing the squashfs",
        package="squashfs-tools",
        environment=environment,
    )


def write_erofs(tree: Path, output: Path, options: Mapping[str, str]) -> None:
    """Write `tree` as an erofs compressed with lz4hc; its UUID is derived from ``identity``.

    mkfs.erofs has one option for the time of the filesystem, and it gives every file that time too.
    By the variable it only lowers later times; so it gets one that no file is later than.
    """
    identity = uuid.uuid5(_NAMESPACE, options.get("identity", ""))
    run(
        ["mkfs.erofs", "-zlz4hc", f"-U{identity}", "--quiet", str(output), str(tree)],
        doing="writing the erofs",
        package="erofs-utils",
        environment={**os.environ, "SOURCE_DATE_EPOCH": str(_newest_second(tree) + 1)},
    )


def _newest_second(tree: Path) -> int:
    """Give the second of the last change of anything in a tree."""
    root = os.fsencode(tree)
    newest = 0
    for name in names_below(root):
        newest = max(newest, os.lstat(root + b"/" + name).st_mtime_ns)
    return newest // 1_000_000_000
