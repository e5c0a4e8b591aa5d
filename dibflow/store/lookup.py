"""See a stack of layers as one tree, without mounting it.

Symlinks in the middle of a path are not followed: a layer knows nothing of what they point to.

Source: Linux, Documentation/filesystems/overlayfs.rst, "Upper and Lower".
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path, PurePath

from dibflow.store.marks import is_opaque, is_whiteout


def lookup(lowers: Sequence[Path], relative: PurePath) -> Path | None:
    """Give what a stack, top first, shows at `relative`; None if it shows nothing.

    For a folder it is the topmost one, whose mode and owner count; `listdir` tells what is in it.
    Raises ValueError if `relative` is absolute or climbs, and OSError.
    """
    return next(iter(_merged(lowers, relative)), None)


def listdir(lowers: Sequence[Path], relative: PurePath) -> dict[str, Path]:
    """Give the entries that a stack, top first, shows in the folder `relative`, sorted by name.

    Raises FileNotFoundError or NotADirectoryError as `os.listdir` does, and ValueError as `lookup`.
    """
    folders = _merged(lowers, relative)
    if not folders:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(relative))
    shown: dict[str, Path] = {}
    hidden: set[str] = set()
    for folder in folders:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_whiteout(entry.stat(follow_symlinks=False)):
                    hidden.add(entry.name)
                elif entry.name not in hidden:
                    shown[entry.name] = Path(entry.path)
        hidden.update(shown)
    return dict(sorted(shown.items()))


def _merged(lowers: Sequence[Path], relative: PurePath) -> list[Path]:
    """Give the folders that make up `relative`, top first, or the one entry that is no folder."""
    if relative.is_absolute() or ".." in relative.parts:
        raise ValueError(f'not a path inside a layer: "{relative}"')
    found = list(lowers)
    for name in relative.parts:
        if found and found[0].is_symlink():
            return []
        found = _step(found, name)
    return found


def _step(folders: Sequence[Path], name: str) -> list[Path]:
    """Go from merged folders to their entry `name`."""
    found: list[Path] = []
    for folder in folders:
        path = folder / name
        try:
            status = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not stat.S_ISDIR(status.st_mode):
            return found or ([] if is_whiteout(status) else [path])
        found.append(path)
        if is_opaque(path):
            break
    return found
