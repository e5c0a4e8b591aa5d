"""Headers of tar entries, byte for byte, for archives whose order and names are our own.

Python's tarfile writes extended attributes only as text, and tar(1) cannot give an entry another
type than its file has. Both are needed to write whiteouts.

Source: POSIX.1-2017, pax, "pax Interchange Format" and "ustar Interchange Format"; tar(5) of
libarchive for ``SCHILY.xattr`` and numbers in base 256.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

BLOCK = 512
END = b"\0" * (2 * BLOCK)
"""What ends an archive."""

_NANOSECONDS = 1_000_000_000
_NAME_BYTES = 100


class Kind(Enum):
    """The types of entries; the value stands in the header."""

    FILE = b"0"
    HARD_LINK = b"1"
    SYMLINK = b"2"
    CHARACTER_DEVICE = b"3"
    BLOCK_DEVICE = b"4"
    FOLDER = b"5"
    FIFO = b"6"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry but for its content. Names are bytes, as the kernel has them."""

    name: bytes
    kind: Kind
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    target: bytes = b""
    """What a symlink or a hard link points to."""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


def header(entry: Entry) -> bytes:
    """Give the blocks that stand before the content of an entry: one, or three and more.

    Nothing here depends on the size of the content, so a header can be written after it.
    """
    records = [(b"SCHILY.xattr." + name, value) for name, value in entry.xattrs]
    for keyword, text in ((b"path", entry.name), (b"linkpath", entry.target)):
        if len(text) > _NAME_BYTES or not text.isascii():
            records.append((keyword, text))
    seconds, fraction = divmod(entry.mtime_ns, _NANOSECONDS)
    if fraction or seconds < 0:
        records.append((b"mtime", _decimal(entry.mtime_ns)))
    if not records:
        return _block(entry, entry.kind.value, max(seconds, 0))
    content = b"".join(_record(keyword, value) for keyword, value in records)
    carrier = Entry(name=b"PaxHeaders/entry", kind=Kind.FILE, size=len(content))
    return (
        _block(carrier, b"x", 0)
        + content
        + padding(len(content))
        + _block(entry, entry.kind.value, max(seconds, 0))
    )


def padding(size: int) -> bytes:
    """Give what fills the last block of a content of `size` bytes."""
    return b"\0" * (-size % BLOCK)


def _decimal(nanoseconds: int) -> bytes:
    sign, seconds, fraction = (
        b"-" if nanoseconds < 0 else b"",
        *divmod(abs(nanoseconds), _NANOSECONDS),
    )
    digits = b"%09d" % fraction
    return b"%b%d.%b" % (sign, seconds, digits.rstrip(b"0") or b"0")


def _record(keyword: bytes, value: bytes) -> bytes:
    """Give an extended record; its length, which stands first, counts its own digits too."""
    rest = b" %b=%b\n" % (keyword, value)
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return b"%d%b" % (length, rest)


def _block(entry: Entry, kind: bytes, seconds: int) -> bytes:
    major, minor = entry.device
    before = b"".join(
        (
            entry.name[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0"),
            _number(entry.mode, 8),
            _number(entry.uid, 8),
            _number(entry.gid, 8),
            _number(entry.size, 12),
            _number(seconds, 12),
        )
    )
    after = b"".join(
        (
            kind,
            entry.target[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0"),
            b"ustar\x0000",
            b"\0" * 64,  # names of owner and group: they would be those of the host
            _number(major, 8),
            _number(minor, 8),
        )
    ).ljust(BLOCK - len(before) - 8, b"\0")
    total = sum(before) + sum(b" " * 8) + sum(after)
    return before + b"%06o\0 " % total + after


def _number(value: int, width: int) -> bytes:
    """Give a number as octal digits, or in base 256 if it is too large for them."""
    if value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    return b"\x80" + value.to_bytes(width - 1, "big")
