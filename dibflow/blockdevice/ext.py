"""Know what an ext filesystem of some size has room for, as mke2fs will lay it out.

mke2fs takes what is not said from the host's ``mke2fs.conf``, which differs between hosts and by
size. So block size, inode size and bytes per inode are always said: `ExtOptions.arguments`.

The disk is cut into groups of eight times the block size in blocks. Each has two bitmaps and its
part of the inode table; groups 0, 1 and powers of 3, 5 and 7 also have the superblock, the group
descriptors and room for more of these. A last group that could hold less than fifty blocks of
data is left out; groups are made smaller where their bitmap cannot count all their inodes.

Sources: mke2fs(8); Linux, Documentation/filesystems/ext4/ (block groups, super block, journal);
e2fsprogs, lib/ext2fs/initialize.c and ext2fs_default_journal_size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from dibflow.blockdevice.nodes import ROOT_FILESYSTEM
from dibflow.blockdevice.sizes import KIB, MIB, round_up

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dibflow.blockdevice.nodes import Mkfs

DEFAULT_JOURNAL_BYTES = 64 * MIB
"""DIB's journal for the root filesystem, large enough for an image that will be grown."""

_BLOCK_SIZE = 4 * KIB
_INODE_SIZE = 256
_BYTES_PER_INODE = 4 * KIB
_RESERVED_PERCENT = Fraction(5)
_DESCRIPTOR = 32
_DESCRIPTOR_64BIT = 64
_FIRST_INODES = 11
_FIRST_FOLDERS = 24
"""Blocks for the root and lost+found (12 KiB to 16 KiB in blocks of 1 KiB), rounded up."""

_GROWTH = 1024
_TAKES_VALUE = frozenset("begilmorstdCEGIJLMNOTUz")
_JOURNAL_BLOCKS = (
    # blocks of the filesystem, blocks of its journal, from mke2fs 1.43 on (the larger of releases)
    (2048, 0),
    (32 * 1024, 1024),
    (256 * 1024, 4096),
    (512 * 1024, 8192),
    (4096 * 1024, 16384),
    (8192 * 1024, 32768),
    (16384 * 1024, 65536),
    (32768 * 1024, 131072),
)
_JOURNAL_MAX = 262144
_LAST_GROUP_LEAST = 50
_LEAST_PER_GROUP = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtOptions:
    """What is asked of mke2fs, read from its options; None where mke2fs decides by size."""

    block_size: int = _BLOCK_SIZE
    inode_size: int = _INODE_SIZE
    bytes_per_inode: int = _BYTES_PER_INODE
    inodes: int | None = None
    journal_bytes: int | None = None
    reserved_percent: Fraction = _RESERVED_PERCENT
    resize_blocks: int | None = None
    descriptor_bytes: int = _DESCRIPTOR_64BIT
    given: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def arguments(self) -> tuple[str, ...]:
        """Give the options that say what `given` does not, to stand before it."""
        said = [
            ("b", str(self.block_size)),
            ("I", str(self.inode_size)),
            ("i", str(self.bytes_per_inode)),
        ]
        if self.journal_bytes:
            said.append(("J", f"size={self.journal_bytes // MIB}"))
        count = "N" in self.given
        return tuple(
            word
            for letter, value in said
            if letter not in self.given and not (letter == "i" and count)
            for word in (f"-{letter}", value)
        )


def ext_options(mkfs: Mkfs, *, journal_bytes: int = DEFAULT_JOURNAL_BYTES) -> ExtOptions:
    """Read the options of an ext filesystem.

    `journal_bytes` (``DIB_JOURNAL_SIZE``) is for ``mkfs_root`` as ext4, as in DIB; it gives way to
    ``-J size=``.
    """
    given: dict[str, tuple[str, ...]] = {}
    for letter, value in _options(mkfs.options):
        given[letter] = (*given.get(letter, ()), value)
    last = {letter: values[-1] for letter, values in given.items()}
    extended = _pairs(last.get("E", ""))
    journal = _pairs(",".join(given.get("J", ())))
    features = last.get("O", "").split(",")
    has_journal = mkfs.fstype in {"ext3", "ext4"} or "has_journal" in features
    has_journal = has_journal or "j" in given or "J" in given
    wanted_journal: int | None = None
    if "^has_journal" in features or "device" in journal or not has_journal:
        wanted_journal = 0
    elif journal.get("size", "").isdigit():
        wanted_journal = int(journal["size"]) * MIB
    elif mkfs.fstype == "ext4" and mkfs.name == ROOT_FILESYSTEM:
        wanted_journal = journal_bytes
    return ExtOptions(
        block_size=_number(last.get("b"), _BLOCK_SIZE),
        inode_size=_number(last.get("I"), _INODE_SIZE),
        bytes_per_inode=_number(last.get("i"), _BYTES_PER_INODE),
        inodes=_number(last.get("N"), 0) or None,
        journal_bytes=wanted_journal,
        reserved_percent=_percent(last.get("m")),
        resize_blocks=_number(extended.get("resize"), 0) or None,
        descriptor_bytes=_DESCRIPTOR_64BIT if mkfs.fstype == "ext4" else _DESCRIPTOR,
        given=given,
    )


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Give each option's letter and value as getopt(3) reads them: ``-i 4096`` or ``-qi4096``."""
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            continue
        for at, letter in enumerate(word[1:], start=2):
            if letter in _TAKES_VALUE:
                yield letter, word[at:] or next(rest, "")
                break
            yield letter, ""


def _pairs(text: str) -> dict[str, str]:
    return {key: value for key, _, value in (part.partition("=") for part in text.split(","))}


def _number(text: str | None, default: int) -> int:
    """Read a number of mke2fs with its unit of 1024s, if any; the default if it is none."""
    if not text:
        return default
    factor = {"k": KIB, "m": MIB}.get(text[-1].lower(), 1)
    digits = text if factor == 1 else text[:-1]
    return int(digits) * factor if digits.isdecimal() and int(digits) else default


def _percent(text: str | None) -> Fraction:
    try:
        return Fraction(text) if text else _RESERVED_PERCENT
    except ValueError:
        return _RESERVED_PERCENT


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtRoom:
    """What an empty ext filesystem can take: inodes and blocks, `reserved_blocks` among them."""

    block_size: int
    inodes: int
    blocks: int
    reserved_blocks: int


def ext_room(options: ExtOptions, size_bytes: int) -> ExtRoom:
    """Give what is free in a fresh filesystem of `size_bytes`, lost+found already made.

    Nothing is free where mke2fs would refuse the journal: it may take half of the room at most.
    """
    block = options.block_size
    blocks = all_blocks = size_bytes // block
    per_group = most_per_group = 8 * block
    inodes = options.inodes or blocks * block // options.bytes_per_inode
    while True:
        groups = max(-(-blocks // per_group), 1)
        inodes_per_group = -(-inodes // groups)
        if inodes_per_group > most_per_group and per_group > _LEAST_PER_GROUP:
            per_group, blocks = per_group - 8, all_blocks
            continue
        inodes_per_group = round_up(inodes_per_group, block // options.inode_size) // 8 * 8
        table = inodes_per_group * options.inode_size // block
        descriptors = -(-groups * options.descriptor_bytes // block)
        backup = 1 + descriptors + _kept_for_growth(options, blocks, descriptors)
        last = blocks - (groups - 1) * per_group
        last_overhead = 2 + table + (backup if _has_backup(groups - 1) else 0)
        if groups > 1 and last < last_overhead + _LAST_GROUP_LEAST:
            blocks -= last
            continue
        break
    overhead = groups * (2 + table) + backup * sum(map(_has_backup, range(groups)))
    overhead += 1 if block == KIB else 0
    overhead += _FIRST_FOLDERS
    journal = _journal_blocks(options, blocks)
    free = max(blocks - overhead, 0)
    return ExtRoom(
        block_size=block,
        inodes=max(groups * inodes_per_group - _FIRST_INODES, 0),
        blocks=free - journal if journal <= free // 2 else 0,
        reserved_blocks=int(blocks * options.reserved_percent / 100),
    )


def _kept_for_growth(options: ExtOptions, blocks: int, descriptors: int) -> int:
    """Give the blocks kept behind the descriptors, so that the filesystem can grow in use."""
    block = options.block_size
    final = options.resize_blocks or min(blocks * _GROWTH, 2**32 - 1)
    final_groups = -(-final // (8 * block))
    wanted = -(-final_groups * options.descriptor_bytes // block)
    return max(min(wanted - descriptors, block // 4), 0)


def _journal_blocks(options: ExtOptions, blocks: int) -> int:
    if options.journal_bytes is not None:
        journal = options.journal_bytes // options.block_size
    else:
        journal = next((size for upto, size in _JOURNAL_BLOCKS if blocks < upto), _JOURNAL_MAX)
    return journal + -(-journal // (options.block_size // 4))


def _has_backup(group: int) -> bool:
    """Tell whether a group has a copy of the superblock (feature sparse_super)."""
    if group <= 1:
        return True
    for base in (3, 5, 7):
        power = base
        while power < group:
            power *= base
        if power == group:
            return True
    return False
