"""Take folders out of a layer that say nothing.

To change a file overlayfs first makes its parent folders in the layer. When the change is undone
before the step ends (a temporary file), these copies stay behind, and would make a layer out of a
step that changed nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePath

from dibflow.store.lookup import lookup
from dibflow.store.marks import is_opaque, read_xattrs


def prune_unchanged_folders(diff: Path, lowers: Sequence[Path]) -> None:
    """Remove each folder of `diff` that is empty and no different from the one below it.

    `lowers` run from the top layer to the base. Times do not count as a difference. An opaque
    folder stays with all that is in it: what the layers below have there does not show.
    """
    _prune(diff, PurePath(), lowers)


def _prune(folder: Path, relative: PurePath, lowers: Sequence[Path]) -> None:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    for name in names:
        inner = folder / name
        if is_opaque(inner):
            continue
        _prune(inner, relative / name, lowers)
        if not any(inner.iterdir()):
            below = lookup(lowers, relative / name)
            if below is not None and _same(inner, below):
                inner.rmdir()


def _same(one: Path, other: Path) -> bool:
    """Compare all that a folder has but its entries; the mode holds the type as well."""
    first, second = one.lstat(), other.lstat()
    return (
        (first.st_mode, first.st_uid, first.st_gid)
        == (second.st_mode, second.st_uid, second.st_gid)
    ) and read_xattrs(one).image == read_xattrs(other).image
