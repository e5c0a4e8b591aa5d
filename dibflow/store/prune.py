"""Take folders out of a layer that say nothing.

To change a file overlayfs first makes its parent folders in the layer. When the change is undone
before the step ends (a temporary file), these copies stay behind, and would make a layer out of a
step that changed nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

_OPAQUE = "trusted.overlay.opaque"
_OWN = "trusted.overlay."


def prune_unchanged_folders(diff: Path, lowers: Sequence[Path]) -> None:
    """Remove each folder of `diff` that is empty and no different from the one below it.

    `lowers` run from the top layer to the base. Times do not count as a difference.
    """
    for parent, folders, _ in os.walk(diff, topdown=False):
        for name in folders:
            folder = Path(parent, name)
            if folder.is_symlink() or _OPAQUE in os.listxattr(folder, follow_symlinks=False):
                continue
            with os.scandir(folder) as entries:
                if any(True for _ in entries):
                    continue
            below = folder_below(lowers, folder.relative_to(diff))
            if below is not None and _same(folder, below):
                folder.rmdir()


def folder_below(lowers: Sequence[Path], relative: Path) -> Path | None:
    """Give the folder that `relative` shows in a stack, top first; None if it shows none."""
    for lower in lowers:
        hidden = False
        place = lower
        for part in relative.parts:
            place /= part
            try:
                status = place.lstat()
            except (FileNotFoundError, NotADirectoryError):
                break
            if not stat.S_ISDIR(status.st_mode):
                return None
            hidden = hidden or _OPAQUE in os.listxattr(place, follow_symlinks=False)
        else:
            return place
        if hidden:
            return None
    return None


def _same(one: Path, other: Path) -> bool:
    first, second = one.lstat(), other.lstat()
    return (first.st_mode, first.st_uid, first.st_gid) == (
        second.st_mode,
        second.st_uid,
        second.st_gid,
    ) and _attributes(one) == _attributes(other)


def _attributes(path: Path) -> dict[str, bytes]:
    return {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
        if not name.startswith(_OWN)
    }
