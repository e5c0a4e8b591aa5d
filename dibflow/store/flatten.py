"""Merge several layers into one tree that shows the same.

Regular files are hard links of those in the layers: layers never change, so nothing is copied.

Source: Linux, Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories".
"""

from __future__ import annotations

import functools
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from dibflow.digest import digest_of
from dibflow.store.marks import is_whiteout, read_xattrs


def chain_ids(stack: Sequence[str]) -> tuple[str, ...]:
    """Name each prefix of a stack (base first): the id at i stands for the layers 0 to i."""
    ids: list[str] = []
    for layer in stack:
        ids.append(_chain_id(ids[-1] if ids else "", layer))
    return tuple(ids)


@functools.lru_cache(maxsize=4096)
def _chain_id(below: str, layer: str) -> str:
    """Name `layer` over the chain `below`; each step of a build asks for all but its own again."""
    return digest_of([below, layer])


def flatten(layers: Sequence[Path], target: Path) -> None:
    """Make `target`, an empty folder on the same filesystem, show what `layers` show (base first).

    Whiteouts and opaque marks are carried out and do not appear in the result, which must be used
    as a base. Raises OSError.
    """
    for layer in layers:
        _apply(layer, target)


def _apply(layer: Path, target: Path) -> None:
    with os.scandir(layer) as entries:
        for entry in entries:
            source, place = Path(entry.path), target / entry.name
            status = entry.stat(follow_symlinks=False)
            if is_whiteout(status):
                _clear(place)
            elif stat.S_ISDIR(status.st_mode):
                _apply_folder(source, place, status)
            else:
                _clear(place)
                os.link(source, place, follow_symlinks=False)


def _apply_folder(source: Path, place: Path, status: os.stat_result) -> None:
    xattrs = read_xattrs(source)
    if xattrs.opaque or not _is_folder(place):
        _clear(place)
        place.mkdir()
    _apply(source, place)
    os.chown(place, status.st_uid, status.st_gid)
    place.chmod(stat.S_IMODE(status.st_mode))
    wanted = dict(xattrs.image)
    for name, _ in read_xattrs(place).image:
        if name not in wanted:
            os.removexattr(place, name)
    for name, value in wanted.items():
        os.setxattr(place, name, value)
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _clear(path: Path) -> None:
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
