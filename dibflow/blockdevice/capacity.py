"""Know how large a filesystem must be to hold a tree.

A filesystem's own structures depend on its size, and what a tree takes depends on the filesystem.
So the question that is answered is "does it fit?", and sizes are found by asking.

Each model errs on the safe side; the tests measure by how much, with real filesystems.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from dibflow.blockdevice.ext import DEFAULT_JOURNAL_BYTES, ext_options, ext_room
from dibflow.blockdevice.labels import EXT_TYPES
from dibflow.blockdevice.nodes import Mkfs
from dibflow.blockdevice.sizes import GIB, KIB, MIB, TIB, round_up

_BLOCK = 4 * KIB
_STEP = 64 * KIB
_LARGEST = 64 * TIB
_SHORT_LINK = 59
_ENTRY = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a tree holds, counted so that any filesystem's need can be told from it.

    Usages of parts add up: ``Usage.of_file(...) + Usage.of_folder(...)``, `Usage.total`.
    """

    content_bytes_4k: int = 0
    """Content of files without their holes, each file rounded up to 4096, each hard link once;
    4096 for a symbolic link of 60 bytes or more."""
    inodes: int = 0
    """Files, folders, links, devices and the rest, each hard link once."""
    directories: int = 0
    directory_bytes_4k: int = 0
    """For each folder: 8 bytes and the name, rounded up to 4, for each entry; rounded up to 4096
    and never less."""
    attribute_inodes: int = 0
    """Inodes with extended attributes or ACLs."""
    pieces: int = 0
    """Runs of data in files with holes; a file without holes counts none."""

    def __add__(self, other: Usage) -> Usage:
        """Give the usage of both together."""
        mine, theirs = dataclasses.astuple(self), dataclasses.astuple(other)
        names = (field.name for field in dataclasses.fields(self))
        sums = (one + two for one, two in zip(mine, theirs, strict=True))
        return Usage(**dict(zip(names, sums, strict=True)))

    @classmethod
    def total(cls, parts: Iterable[Usage]) -> Usage:
        """Give the usage of all the parts together."""
        return sum(parts, start=cls())

    @classmethod
    def of_file(cls, allocated_bytes: int, *, pieces: int = 0, attributes: bool = False) -> Usage:
        """Give the usage of one file; holes are not among `allocated_bytes`."""
        content = round_up(allocated_bytes, _BLOCK)
        attribute_inodes = int(attributes)
        return cls(
            content_bytes_4k=content, inodes=1, attribute_inodes=attribute_inodes, pieces=pieces
        )

    @classmethod
    def of_link(cls, target_bytes: int) -> Usage:
        """Give the usage of one symbolic link."""
        return cls(content_bytes_4k=_BLOCK if target_bytes > _SHORT_LINK else 0, inodes=1)

    @classmethod
    def of_folder(cls, name_bytes: Iterable[int], *, attributes: bool = False) -> Usage:
        """Give the usage of one folder, from the lengths of its entries' names."""
        entries = sum(_ENTRY + round_up(length, 4) for length in name_bytes)
        return cls(
            inodes=1,
            directories=1,
            directory_bytes_4k=max(round_up(entries, _BLOCK), _BLOCK),
            attribute_inodes=int(attributes),
        )

    def to_json(self) -> dict[str, int]:
        """Give the usage as a JSON value."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, int]) -> Usage:
        """Make the usage that `to_json` gave."""
        return cls(**value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """A filesystem and what must fit into it.

    `spare_bytes` is room to leave over, which whoever uses the image can really fill: the blocks
    that ext reserves for root do not count as such.
    """

    mkfs: Mkfs
    usage: Usage
    spare_bytes: int = 0
    journal_bytes: int = DEFAULT_JOURNAL_BYTES

    def fits(self, size_bytes: int) -> bool:
        """Tell whether a filesystem of a size can take it all."""
        model = _MODELS.get(self.mkfs.fstype, _fits_ext)
        return model(self, size_bytes)

    def smallest(self) -> int:
        """Give a size, in steps of 64 KiB, that is enough while one step less is not."""
        too_small, enough = 0, 1
        while not self.fits(enough * _STEP):
            too_small, enough = enough, enough * 2
            if enough * _STEP > _LARGEST:
                return _LARGEST
        while enough - too_small > 1:
            middle = (too_small + enough) // 2
            if self.fits(middle * _STEP):
                enough = middle
            else:
                too_small = middle
        return enough * _STEP


def _fits_ext(demand: Demand, size_bytes: int) -> bool:
    """Count blocks as ext does.

    A file of 12 blocks or more may need a block that lists its blocks, and one more for each 1024;
    each piece of a file with holes may need two (ext2 and ext3; extents of ext4 need less). A
    folder of more than one block is an index of half-full blocks once the kernel has written it.
    For extents the kernel keeps 2 % back, 4096 blocks at most, from root too (Linux,
    fs/ext4/super.c, ext4_calculate_resv_clusters); mke2fs knows nothing of it, but hooks meet it.
    """
    options = ext_options(demand.mkfs, journal_bytes=demand.journal_bytes)
    room = ext_room(options, size_bytes)
    usage = demand.usage
    content = usage.content_bytes_4k // _BLOCK
    maps = content // 1024 + min(usage.inodes, content // 12) + 2 * usage.pieces
    if demand.mkfs.fstype == "ext4":
        maps = content // 2048 + min(usage.inodes, content // (32 * 1024)) + usage.pieces // 4
    first_blocks = usage.directories * _BLOCK
    more_blocks = max(usage.directory_bytes_4k - first_blocks, 0)
    bytes_needed = (content + maps + usage.attribute_inodes) * _BLOCK
    bytes_needed += first_blocks + more_blocks * 8 // 5
    spare = demand.spare_bytes
    blocks = -(-(bytes_needed + spare) // room.block_size)
    if demand.mkfs.fstype == "ext4":
        blocks += min(size_bytes // room.block_size // 50, 4096)
    blocks += room.reserved_blocks if spare else 0
    spare_inodes = spare // (16 * KIB)
    return blocks <= room.blocks and usage.inodes + spare_inodes <= room.inodes


def _fits_xfs(demand: Demand, size_bytes: int) -> bool:
    """Count as xfs does: a log, and inodes of 512 bytes that are made in chunks of 64.

    Kept back are 8192 blocks at most (for what cannot wait), and per allocation group the blocks
    that reverse mapping and sharing may come to need. mkfs.xfs makes none below 300 MB.
    Sources: mkfs.xfs(8), ``-l size``; Linux, Documentation/filesystems/xfs/.
    """
    if size_bytes < 300 * MIB:
        return False
    log = min(max(64 * MIB, size_bytes // 2048), 2 * GIB)
    kept = min(size_bytes // 20, 32 * MIB) + size_bytes // 64 + 4 * MIB
    usage = demand.usage
    needed = usage.content_bytes_4k + usage.directory_bytes_4k * 2 + usage.attribute_inodes * _BLOCK
    needed += round_up(usage.inodes, 64) * 512 * 9 // 8 + usage.pieces * 16
    return needed + demand.spare_bytes + log + kept <= size_bytes


def _fits_btrfs(demand: Demand, size_bytes: int) -> bool:
    """Count as btrfs does: metadata twice, and space given out in chunks.

    An inode with its entries and the sums of its content takes some 700 bytes of metadata, small
    files lie in it. The last chunk of either kind, a tenth of the disk at most, may be half empty;
    256 MiB of metadata are laid aside at once where the disk has room. mkfs.btrfs makes none
    below 109 MiB. Sources: mkfs.btrfs(8); btrfs(5), "Block group profiles".
    """
    if size_bytes < 128 * MIB:
        return False
    usage = demand.usage
    metadata = usage.inodes * 1024 + usage.directory_bytes_4k * 2
    metadata += usage.content_bytes_4k // 512 + (usage.attribute_inodes + usage.pieces) * 512
    chunk = min(size_bytes // 20, 256 * MIB)
    laid_out = 2 * (round_up(max(metadata, 1), max(chunk, 1)) + 8 * MIB) + 16 * MIB
    data = usage.content_bytes_4k + demand.spare_bytes
    return laid_out + data + min(size_bytes // 20, 512 * MIB) <= size_bytes


def _fits_vfat(demand: Demand, size_bytes: int) -> bool:
    """Count as FAT does: whole clusters, and two tables with an entry for each cluster.

    Source: mkfs.fat(8), ``-s``; mkfs.fat.c, the table of cluster sizes for FAT32 and FAT16.
    """
    cluster = 4 * KIB
    for limit, bytes_per_cluster in ((8 * GIB, 4), (16 * GIB, 8), (32 * GIB, 16)):
        if size_bytes <= limit:
            cluster = bytes_per_cluster * KIB
            break
    else:
        cluster = 32 * KIB
    if size_bytes < 512 * MIB:
        cluster = max(cluster, 8 * KIB)
    usage = demand.usage
    tables = 2 * 4 * (size_bytes // (4 * KIB)) + 64 * KIB
    # A name can take several entries of 32 bytes: 13 characters each, in two bytes each.
    names = 4 * usage.directory_bytes_4k + usage.inodes * 64
    needed = usage.content_bytes_4k + usage.inodes * cluster + names
    return needed + demand.spare_bytes + tables <= size_bytes


def _fits_swap(_demand: Demand, size_bytes: int) -> bool:
    """Want ten pages, the least that mkswap takes. Source: mkswap(8)."""
    return size_bytes >= 10 * 64 * KIB


_MODELS: dict[str, Callable[[Demand, int], bool]] = {
    **dict.fromkeys(sorted(EXT_TYPES), _fits_ext),
    "xfs": _fits_xfs,
    "btrfs": _fits_btrfs,
    "vfat": _fits_vfat,
    "swap": _fits_swap,
}
