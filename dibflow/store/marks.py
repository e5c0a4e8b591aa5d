"""What overlayfs writes into a layer: whiteouts, opaque folders, attributes of its own.

Source: Linux, Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories".
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass

from dibflow.errors import StoreError

_OWN = ("trusted.overlay.", "user.overlay.")
"""Names of overlayfs; the second is for mounts with ``userxattr``, as in a user namespace."""

_ESCAPED = ("trusted.overlay.overlay.", "user.overlay.overlay.")
"""Written by an overlay that the image itself mounted: content like any other."""

_UNREADABLE = frozenset({"redirect", "metacopy"})
"""Marks that make a name stand for another path: a tree with them says nothing by itself."""

_OF_THE_HOST = frozenset({"security.evm", "trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT"})
"""Names that say nothing about the image.

The first signs inode numbers with a key of the host, the others are what xfs calls an ACL beside
its common name.

``security.selinux`` stays: to label an image is to change it, and a layer that does nothing else
must not pass for the unlabelled one. The price is paid on hosts that run SELinux, where the same
hook run by another user may give another layer.
"""


@dataclass(frozen=True, slots=True)
class Xattrs:
    """The extended attributes of an entry: those of the image, by name, and the opaque mark."""

    image: tuple[tuple[str, bytes], ...] = ()
    opaque: bool = False


_NONE = Xattrs()


def read_xattrs(path: bytes | str | os.PathLike[str]) -> Xattrs:
    """Read the attributes of `path` itself, be it a symlink or not.

    What else overlayfs notes about a copied file (the inode it was copied from, the filesystem)
    is left out: it differs from store to store. Raises StoreError if the layer was mounted with
    ``redirect_dir`` or ``metacopy``, and OSError.
    """
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return _NONE
        raise
    image: list[tuple[str, bytes]] = []
    opaque = False
    for name in sorted(names):
        if name.startswith(_OWN) and not name.startswith(_ESCAPED):
            mark = name.rpartition(".")[2]
            if mark in _UNREADABLE:
                raise StoreError(
                    f'reading a layer: overlayfs marked "{os.fsdecode(path)}" with "{mark}"',
                    hint='mount the layers with "redirect_dir=off,metacopy=off"',
                )
            if mark == "opaque":
                opaque = opaque or os.getxattr(path, name, follow_symlinks=False) == b"y"
        elif name not in _OF_THE_HOST:
            image.append((name, os.getxattr(path, name, follow_symlinks=False)))
    return Xattrs(tuple(image), opaque) if names else _NONE


def is_opaque(folder: str | os.PathLike[str]) -> bool:
    """Tell whether a folder of a layer hides all that the layers below have in its place."""
    return read_xattrs(folder).opaque


def is_whiteout(status: os.stat_result) -> bool:
    """Tell whether an entry of a layer says that the name below is gone."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
