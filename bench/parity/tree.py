"""Read the tar of a root as entries that can be compared.

What an entry says: type, mode, owner, size, target of a symlink, numbers of a device, extended
attributes, the digest of its content, and the other names of the same file. Times are left out:
two builds are made at two times.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

_CHUNK = 1 << 20
_XATTR = "SCHILY.xattr."
_KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.GNUTYPE_SPARSE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "symlink",
    tarfile.CHRTYPE: "character device",
    tarfile.BLKTYPE: "block device",
    tarfile.FIFOTYPE: "fifo",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One name of a tree. What does not belong to its kind is empty."""

    kind: str
    mode: int
    owner: tuple[int, int]
    size: int = 0
    target: str = ""
    device: tuple[int, int] | None = None
    xattrs: tuple[tuple[str, str], ...] = ()
    digest: str = ""
    twins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tree:
    """The entries of a root by path, without a leading slash; the root itself is ``.``."""

    archive: Path
    entries: Mapping[str, Entry]

    def contents(self, wanted: Callable[[str], bool]) -> dict[str, bytes]:
        """Read the files whose path is `wanted`."""
        found: dict[str, bytes] = {}
        with tarfile.open(self.archive) as archive:
            for member in archive:
                path = _path(member.name)
                if not wanted(path):
                    continue
                file = archive.extractfile(member) if member.isreg() or member.islnk() else None
                if file is not None:
                    found[path] = file.read()
        return found

    def text(self, path: str) -> str:
        """Read a file; empty if there is none. Bytes that are no UTF-8 become question marks."""
        return self.contents(lambda name: name == path).get(path, b"").decode(errors="replace")


def read_tree(archive: Path) -> Tree:
    """Read every entry of a tar. Raises tarfile.TarError, OSError."""
    entries: dict[str, Entry] = {}
    names: dict[str, set[str]] = defaultdict(set)
    with tarfile.open(archive) as opened:
        for member in opened:
            path = _path(member.name)
            if member.islnk():
                first = _path(member.linkname)
                entries[path] = entries[first]
                names[first] |= {first, path}
            else:
                entries[path] = _entry(
                    member, opened.extractfile(member) if member.isreg() else None
                )
    for group in names.values():
        for name in group:
            entries[name] = replace(entries[name], twins=tuple(sorted(group - {name})))
    return Tree(archive, entries)


def _path(name: str) -> str:
    return name.removeprefix("./").rstrip("/") or "."


def _entry(member: tarfile.TarInfo, file: IO[bytes] | None) -> Entry:
    return Entry(
        kind=_KINDS.get(member.type, f"type {member.type!r}"),
        mode=member.mode,
        owner=(member.uid, member.gid),
        size=member.size if file is not None else 0,
        target=member.linkname if member.issym() else "",
        device=(member.devmajor, member.devminor) if member.isdev() else None,
        xattrs=tuple(
            sorted(
                (key.removeprefix(_XATTR), value)
                for key, value in member.pax_headers.items()
                if key.startswith(_XATTR)
            )
        ),
        digest=_digest(file) if file is not None else "",
    )


def _digest(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
