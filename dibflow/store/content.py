"""The identity of a layer: a digest over what its tree holds.

In the digest: path, type, mode, owner, size and content of files, target of symlinks, numbers of
devices (whiteouts are character devices 0:0), extended attributes of the image, opaque marks, and
which names are hard links of one another.

Left out: times, because a hook that writes the same bytes later has changed nothing; inode numbers
and sizes of folders, because they are the filesystem's own; what overlayfs notes for itself, for
the same reason (`dibflow.store.marks`).

Source: Linux, Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories".
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dibflow.digest import KEY_LENGTH
from dibflow.store.marks import read_xattrs

_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Content:
    """What a tree holds: its id, the bytes of its files, and how many names it has."""

    id: str
    size_bytes: int
    entries: int

    @property
    def empty(self) -> bool:
        """Tell whether there is nothing in it: a layer that changes nothing."""
        return self.entries == 0


def content_of(tree: Path) -> Content:
    """Walk `tree` and give its identity; the folder itself does not count, only what is in it.

    Memory does not grow with the tree, but for the names of one folder per level and the inodes
    of hard links. Raises OSError, and StoreError as `read_xattrs` does.
    """
    digest = hashlib.sha256()
    size = 0
    entries = 0
    first_names: dict[tuple[int, int], bytes] = {}
    prefix = len(os.fsencode(tree)) + 1
    for path, status in _walk(os.fsencode(tree)):
        name = path[prefix:]
        entries += 1
        mode = status.st_mode
        fields: list[bytes] = [name, b"%o %d %d" % (mode, status.st_uid, status.st_gid)]
        if stat.S_ISREG(mode):
            twin = None
            if status.st_nlink > 1:
                twin = first_names.setdefault((status.st_dev, status.st_ino), name)
            if twin is not None and twin != name:
                fields += [b"link", twin]
            else:
                size += status.st_size
                fields += [b"%d" % status.st_size, _digest(path)]
        elif stat.S_ISLNK(mode):
            fields.append(os.readlink(path))  # noqa: PTH115 - names are bytes here
        elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            fields.append(b"%d" % status.st_rdev)
        xattrs = read_xattrs(path)
        for attribute, value in xattrs.image:
            fields += [os.fsencode(attribute), value]
        if xattrs.opaque:
            fields.append(b"opaque")
        # The length before each field keeps two fields from reading like one.
        digest.update(b"%d\n" % len(fields))
        for field in fields:
            digest.update(b"%d:" % len(field))
            digest.update(field)
    return Content(digest.hexdigest()[:KEY_LENGTH], size, entries)


def _walk(folder: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        yield entry.path, entry.stat(follow_symlinks=False)
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path)


def _digest(path: bytes) -> bytes:
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - names are bytes here
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()
