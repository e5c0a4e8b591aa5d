"""Read an initial RAM filesystem as entries: cpio archives one after the other, some compressed.

The archive of two builds differs in inode numbers and times even where all its files are equal, so
its own digest says little.

Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import hashlib
import lzma
import stat
import subprocess
import zlib
from collections.abc import Callable, Mapping

from bench.parity.tree import Entry

_HEADER = 110
_FIELD = 8
_MAGIC = b"070701"
_END = "TRAILER!!!"


def read_initrd(content: bytes) -> dict[str, Entry]:
    """Give the entries of an initial RAM filesystem by path; a later one replaces an earlier.

    Raises ValueError for what is none.
    """
    entries: dict[str, Entry] = {}
    rest = content.lstrip(b"\0")
    while rest:
        if rest.startswith(_MAGIC):
            found, rest = _archive(rest)
            entries.update(found)
        else:
            found, _ = _archive(_decompressed(rest))
            entries.update(found)
            rest = b""
        rest = rest.lstrip(b"\0")
    return entries


def _archive(content: bytes) -> tuple[dict[str, Entry], bytes]:
    entries: dict[str, Entry] = {}
    view = memoryview(content)
    place = 0
    while True:
        header = bytes(view[place : place + _HEADER])
        if not header.startswith(_MAGIC) or len(header) < _HEADER:
            raise ValueError(f"byte {place} of the archive starts no entry of cpio")
        numbers = [
            int(header[start : start + _FIELD], 16) for start in range(len(_MAGIC), _HEADER, _FIELD)
        ]
        _, mode, uid, gid, _, _, size, _, _, major, minor, length, _ = numbers
        name = bytes(view[place + _HEADER : place + _HEADER + length - 1]).decode()
        data = _padded(place + _HEADER + length)
        place = _padded(data + size)
        if name == _END:
            return entries, content[place:]
        entries[name] = _entry(mode, (uid, gid), (major, minor), bytes(view[data : data + size]))


def _padded(place: int) -> int:
    return -(-place // 4) * 4


def _entry(mode: int, owner: tuple[int, int], device: tuple[int, int], data: bytes) -> Entry:
    kinds: Mapping[int, str] = {
        stat.S_IFREG: "file",
        stat.S_IFDIR: "folder",
        stat.S_IFLNK: "symlink",
        stat.S_IFCHR: "character device",
        stat.S_IFBLK: "block device",
        stat.S_IFIFO: "fifo",
    }
    kind = kinds.get(stat.S_IFMT(mode), oct(stat.S_IFMT(mode)))
    return Entry(
        kind=kind,
        mode=stat.S_IMODE(mode),
        owner=owner,
        size=len(data) if kind == "file" else 0,
        target=data.decode(errors="replace") if kind == "symlink" else "",
        device=device if kind.endswith("device") else None,
        digest=hashlib.sha256(data).hexdigest() if kind == "file" else "",
    )


def _decompressed(content: bytes) -> bytes:
    for magic, decompress in _COMPRESSIONS.items():
        if content.startswith(magic):
            return decompress(content)
    raise ValueError(f"an unknown compression: it starts with {content[:4].hex()}")


def _gzip(content: bytes) -> bytes:
    return zlib.decompressobj(wbits=31).decompress(content)


def _zstd(content: bytes) -> bytes:
    return subprocess.run(["zstd", "-dc"], input=content, capture_output=True, check=True).stdout


_COMPRESSIONS: Mapping[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": _gzip,
    b"\xfd7zXZ": lzma.decompress,
    b"\x28\xb5\x2f\xfd": _zstd,
}
