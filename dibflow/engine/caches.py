"""Share download caches between builds that run side by side.

Hooks bind folders of ``DIB_IMAGE_CACHE`` into the target (apt's archives are the usual one). Bound
as they are, two builds would meet in them: apt refuses to share its lock, and both would write the
same partial file. So every step after the one that made the mount sees the cache through an overlay
of its own, and what it added is moved to the cache when it ends, each file whole. What a step
removes is removed for itself only: one build's ``apt-get clean`` does not empty the others' cache.

The overlay's lower folder gets new names while it is mounted. That is allowed to go unseen, and
nothing more: no file in it is ever changed in place.

Source: Linux, Documentation/filesystems/overlayfs.rst, "Changes to underlying filesystems".
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from dibflow.sandbox.mountinfo import HookMount
from dibflow.sandbox.spec import Mount, Remade
from dibflow.store.store import Staging

_NOT_SHARED = frozenset({"lock", "partial"})
"""apt's own lock, and its folder of unfinished downloads."""


def is_shared(record: HookMount, image_cache: str) -> bool:
    """Tell whether a hook's mount is a writable folder of the image cache."""
    source = Path(record.source)
    return (
        not record.fstype
        and not record.read_only
        and source.is_relative_to(image_cache)
        and source.is_dir()
    )


def folder(staging: Staging, number: int) -> Path:
    """Give the folder that takes what a step adds to its cache number `number`; make it."""
    path = staging.folder / f"cache-{number}"
    (path / "upper").mkdir(parents=True)
    (path / "work").mkdir()
    return path


def shown(record: HookMount, private: Path, *, build_folder: str) -> Remade:
    """Describe the overlay that shows a cache, with its changes in the folder `private`."""
    options = (
        f"lowerdir={_escaped(record.source)},upperdir={_escaped(f'{private}/upper')},"
        f"workdir={_escaped(f'{private}/work')},volatile,index=off,metacopy=off,redirect_dir=off"
    )
    target = f"{build_folder}/{record.target}"
    return Remade(record, (Mount("overlay", "overlay", target, options=options),))


def _escaped(path: str) -> str:
    """Write a path as a mount option: the kernel splits at commas and colons."""
    for character in "\\:,":
        path = path.replace(character, "\\" + character)
    return path


def give_back(staging: Staging, records: Iterable[HookMount]) -> None:
    """Move what a step added to its caches to where other builds find it, and drop the rest."""
    for number, record in enumerate(records):
        private = staging.folder / f"cache-{number}"
        if private.is_dir():
            _give(private / "upper", Path(record.source))
            shutil.rmtree(private)


def _give(upper: Path, cache: Path) -> None:
    for entry in upper.iterdir():
        if entry.name in _NOT_SHARED:
            continue
        status = entry.lstat()
        if stat.S_ISDIR(status.st_mode):
            (cache / entry.name).mkdir(exist_ok=True)
            _give(entry, cache / entry.name)
        elif stat.S_ISREG(status.st_mode):
            # Whole or not at all: the cache may lie on another filesystem.
            beside = cache / f".{entry.name}.{os.getpid()}"
            shutil.move(entry, beside)
            beside.rename(cache / entry.name)
