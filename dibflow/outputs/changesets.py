"""Layers of overlayfs as layers of an OCI image: tar archives in which whiteouts are names.

overlayfs says that a name is gone with a character device 0:0, and that a folder hides the one
below with an attribute; an OCI layer says it with an empty file ``.wh.NAME`` beside where the name
was, and with ``.wh..wh..opq`` in the folder. Where one kind of entry takes another's place both
say the same: the new entry replaces what was there.

The specification likes a whiteout for each name better than the opaque mark, but asks readers to
take both. The mark stays: it says what the layer says, whatever lies below.

Source: OCI image specification, layer.md, "Representing Changes" and "Whiteouts"; Linux,
Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories".
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from dibflow.errors import StepError
from dibflow.outputs.tarstream import END, Entry, Kind, header, padding
from dibflow.store.marks import is_whiteout, read_xattrs

_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"
_CHUNK = 1 << 20

_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHARACTER_DEVICE,
    stat.S_IFBLK: Kind.BLOCK_DEVICE,
    stat.S_IFDIR: Kind.FOLDER,
    stat.S_IFIFO: Kind.FIFO,
}
"""What an archive can hold. A socket means nothing without the process that listens on it."""


def changeset(layer: Path) -> Iterator[bytes]:
    """Give `layer` as the tar of an OCI layer, uncompressed, in chunks.

    Names are sorted, owners are numbers, holes are written out: the specification advises against
    sparse entries, which not every reader knows. Raises StepError for a file whose name an OCI
    layer cannot hold, and OSError.
    """
    buffer = bytearray()
    for part in _Walk(os.fsencode(layer)).entries():
        buffer += part
        if len(buffer) >= _CHUNK:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer) + END


class _Walk:
    """One pass over a layer; it knows the first name of each file that has several."""

    def __init__(self, layer: bytes) -> None:
        self._layer = layer
        self._first_names: dict[tuple[int, int], bytes] = {}

    def entries(self) -> Iterator[bytes]:
        """Give headers and contents, the root first."""
        yield from self._entry(self._layer, b".", os.lstat(self._layer))

    def _entry(self, path: bytes, name: bytes, status: os.stat_result) -> Iterator[bytes]:
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return
        if kind is Kind.FOLDER:
            yield from self._folder(path, name, status)
        elif kind is Kind.FILE:
            yield from self._file(path, name, status)
        else:
            target = os.readlink(path) if kind is Kind.SYMLINK else b""  # noqa: PTH115 - bytes
            device = (os.major(status.st_rdev), os.minor(status.st_rdev))
            yield header(_described(path, name, status, kind=kind, target=target, device=device))

    def _folder(self, path: bytes, name: bytes, status: os.stat_result) -> Iterator[bytes]:
        prefix = b"" if name == b"." else name + b"/"
        yield header(_described(path, prefix or b"./", status, kind=Kind.FOLDER))
        if read_xattrs(path).opaque:
            yield _mark(prefix + _OPAQUE)
        with os.scandir(path) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            inner = entry.stat(follow_symlinks=False)
            if is_whiteout(inner):
                yield _mark(prefix + _WHITEOUT + entry.name)
            elif entry.name.startswith(_WHITEOUT):
                raise StepError(
                    f'writing a layer: the image has "/{os.fsdecode(prefix + entry.name)}", and '
                    'names with ".wh." at their start mean removed files in an OCI layer',
                    hint="remove the file in a hook, or choose another type, such as tar",
                )
            else:
                yield from self._entry(entry.path, prefix + entry.name, inner)

    def _file(self, path: bytes, name: bytes, status: os.stat_result) -> Iterator[bytes]:
        if status.st_nlink > 1:
            first = self._first_names.setdefault((status.st_dev, status.st_ino), name)
            if first != name:
                yield header(_described(path, name, status, kind=Kind.HARD_LINK, target=first))
                return
        yield header(_described(path, name, status, kind=Kind.FILE, size=status.st_size))
        left = status.st_size
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - names are bytes here
            while left:
                chunk = file.read(min(left, _CHUNK))
                if not chunk:
                    raise StepError(
                        f'writing a layer: "{os.fsdecode(path)}" ends before its size',
                        hint="the store is damaged: remove the layer, and it is made again",
                    )
                left -= len(chunk)
                yield chunk
        yield padding(status.st_size)


def _described(
    path: bytes,
    name: bytes,
    status: os.stat_result,
    *,
    kind: Kind,
    size: int = 0,
    target: bytes = b"",
    device: tuple[int, int] = (0, 0),
) -> Entry:
    """Describe an entry of the tree; a hard link has all but its name from its first name."""
    attributes = () if kind is Kind.HARD_LINK else read_xattrs(path).image
    return Entry(
        name=name,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        size=size,
        mtime_ns=status.st_mtime_ns,
        target=target,
        device=device,
        xattrs=tuple((os.fsencode(key), value) for key, value in attributes),
    )


def _mark(name: bytes) -> bytes:
    """Give the entry of a whiteout or an opaque mark: an empty file, the same everywhere."""
    return header(Entry(name=name, kind=Kind.FILE, mode=0o644))
