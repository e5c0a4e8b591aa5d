"""Make the disk of an unpartitioned image: one filesystem, filled from the finished tree.

``mkfs.ext4 -d`` writes the tree once, straight into the image: no loop device, no second copy.

Source: mke2fs(8), option ``-d``; ext4(5).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from dibflow.commands import run
from dibflow.errors import StepError, UsageError

_NAMESPACE = uuid.UUID("6f5a0a3c-6d1e-5a58-9f5d-0d1bf10e0001")
FILLED_TYPES = frozenset({"ext2", "ext3", "ext4"})
"""The filesystems that can be filled from a folder."""

_LABEL_LIMIT = 16
_ROOM_FOR_FULL = "Could not allocate block"


@dataclass(frozen=True, slots=True)
class Filesystem:
    """The filesystem to make: all that decides its bytes, but for the tree.

    `identity` is what its UUID and hash seed are derived from, so that the same image made twice
    is the same.
    """

    fstype: str
    label: str
    size_kib: int
    options: tuple[str, ...]
    identity: str


def check_filesystem(fstype: str, label: str) -> None:
    """Raise UsageError for what cannot be made: known before a build, not after its last hook."""
    if fstype not in FILLED_TYPES:
        raise UsageError(
            f'the root filesystem is to be "{fstype}", which dibflow does not make yet',
            hint="use FS_TYPE=ext4, or an output of type tar",
        )
    if len(label.encode()) > _LABEL_LIMIT:
        raise UsageError(
            f'the label "{label}" of the root filesystem is longer than the {_LABEL_LIMIT} bytes '
            f"that {fstype} takes",
            hint="shorten it with --root-label",
        )


def make_filesystem(tree: Path, image: Path, filesystem: Filesystem) -> None:
    """Write `tree` as a filesystem into `image`, a sparse file that must not exist yet.

    Raises StepError for a tree that does not fit, HostError if mkfs is missing.
    """
    with image.open("xb") as file:
        file.truncate(filesystem.size_kib * 1024)
    try:
        run(
            [
                f"mkfs.{filesystem.fstype}",
                "-q",
                "-F",
                *("-L", filesystem.label),
                *("-U", str(uuid.uuid5(_NAMESPACE, filesystem.identity))),
                *("-E", f"hash_seed={uuid.uuid5(_NAMESPACE, 'seed ' + filesystem.identity)}"),
                *filesystem.options,
                *("-d", str(tree)),
                str(image),
            ],
            doing="making the root filesystem",
            package="e2fsprogs",
        )
    except StepError as error:
        if _ROOM_FOR_FULL in error.message or "No space" in error.message:
            raise StepError(
                f"making the root filesystem: the tree does not fit in {filesystem.size_kib} KiB",
                hint="leave --image-size (DIB_IMAGE_SIZE) out, or make it larger",
            ) from error
        raise
