"""Have mkinitramfs copy kernel modules together while an image is built.

The initramfs-tools of Debian 12 and older starts a dozen programs for each module, which takes a
third of the time of a small image. mkinitramfs sources what lies in its ``conf-hooks.d``, so a file
there while packages are installed is enough; it says what it does, and where it does nothing.

Source: mkinitramfs(8), ``/usr/share/initramfs-tools/conf-hooks.d`` in its text.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from dibflow.planning.variables import TARGET
from dibflow.resources import initramfs_functions

_FOLDER = "usr/share/initramfs-tools/conf-hooks.d"
_NAME = "dibflow-modules-at-once"


def put_in(build: Path) -> None:
    """Put the file into a tree that has dpkg; its folder may be a package's only later."""
    target = (build / TARGET).resolve()
    folder = target / _FOLDER
    if not (target / "var/lib/dpkg").is_dir() or folder.resolve() != folder:
        return
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(initramfs_functions(), folder / _NAME)


def take_out(build: Path) -> None:
    """Undo `put_in`: without initramfs-tools the folders go too."""
    target = (build / TARGET).resolve()
    folder = target / _FOLDER
    if not (folder / _NAME).is_file() or folder.resolve() != folder:
        return
    (folder / _NAME).unlink()
    if list(folder.iterdir()) == [] and list(folder.parent.iterdir()) == [folder]:
        folder.rmdir()
        folder.parent.rmdir()
