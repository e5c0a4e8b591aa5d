"""Know which filesystems can be made and what their labels may be.

Sources: mke2fs(8), ``-L``; mkfs.xfs(8), ``-L``; mkfs.fat(8), ``-n``, and Microsoft's "FAT: General
Overview of On-Disk Format" for the characters; mkfs.btrfs(8), ``--label``; mkswap(8), ``--label``.
"""

from __future__ import annotations

from dibflow.errors import UsageError

EXT_TYPES = frozenset({"ext2", "ext3", "ext4"})
LABEL_LIMITS = {
    "ext2": 16,
    "ext3": 16,
    "ext4": 16,
    "xfs": 12,
    "btrfs": 255,
    "vfat": 11,
    "swap": 16,
}
"""The filesystems that can be made, and the bytes that their labels may have."""

_NOT_IN_FAT = frozenset('*?.,;:/\\|+=<>[]"')


def stored_label(fstype: str, label: str) -> str:
    """Give a label as the filesystem will hold it: vfat knows capital letters only."""
    return label.upper() if fstype == "vfat" else label


def check_label(fstype: str, label: str) -> None:
    """Raise UsageError if a filesystem of a known type cannot hold the label."""
    limit = LABEL_LIMITS[fstype]
    length = len(label.encode())
    if not 0 < length <= limit:
        problem = f"is too long for {fstype}: {length} bytes > {limit}" if length else "is empty"
        raise UsageError(f'label "{label}" {problem}', hint="give a shorter one" if length else "")
    wrong = sorted({c for c in label if not c.isprintable()})
    if fstype == "vfat":
        wrong = sorted({c for c in label if c in _NOT_IN_FAT or not " " <= c <= "~"})
    if fstype == "btrfs":
        wrong += [c for c in label if c == "/"]
    if wrong:
        raise UsageError(f'label "{label}" has "{wrong[0]}", which {fstype} does not take')
