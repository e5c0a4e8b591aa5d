"""Have mkinitramfs copy kernel modules together while an image is built.

The initramfs-tools of Debian 12 and older starts a dozen programs for each module, which takes a
third of the time of a small image. mkinitramfs sources what lies in its ``conf-hooks.d``, so a file
there while packages are installed is enough; it says what it does, and where it does nothing.

Source: mkinitramfs(8), ``/usr/share/initramfs-tools/conf-hooks.d`` in its text.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from dibflow.planning.variables import TARGET
from dibflow.resources import initramfs_functions

_FOLDER = "usr/share/initramfs-tools/conf-hooks.d"
_NAME = "dibflow-modules-at-once"
_DATABASE = "var/lib/dpkg"


def put_in(build: Path) -> None:
    """Put the file into a tree that has dpkg; its folder may be a package's only later."""
    target = (build / TARGET).resolve()
    folder = target / _FOLDER
    if not (target / _DATABASE).is_dir() or folder.resolve() != folder:
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _NAME).unlink(missing_ok=True)  # a link would lead out of the tree
    shutil.copyfile(initramfs_functions(), folder / _NAME)


def take_out(build: Path) -> None:
    """Undo `put_in`: folders that are empty then, and no package's, go too.

    A hook may have moved the folder since, and left a link: an absolute one means the tree's root.
    """
    target = (build / TARGET).resolve()
    usual = target / _FOLDER
    folder = usual.resolve()
    if not folder.is_relative_to(target):
        folder = target / folder.relative_to("/")
    if folder.resolve() != folder or not os.path.lexists(folder / _NAME):
        return
    (folder / _NAME).unlink()
    for emptied in (usual, usual.parent) if folder == usual else ():
        if list(emptied.iterdir()) == [] and not _is_a_packages(emptied, target):
            emptied.rmdir()


def _is_a_packages(folder: Path, target: Path) -> bool:
    """Tell whether a package has `folder`. Source: dpkg-query(1), FILES."""
    line = f"/{folder.relative_to(target)}\n".encode()
    lists = (target / _DATABASE / "info").glob("*.list")
    return any(line in file.read_bytes() for file in lists)
