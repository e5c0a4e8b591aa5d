"""Make the disk of an unpartitioned image: one filesystem, filled from the finished tree.

``mkfs.ext4 -d`` writes the tree once, straight into the image: no loop device, no second copy.

Source: mke2fs(8), option ``-d``; ext4(5).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from dibflow.commands import run
from dibflow.errors import StepError

_NAMESPACE = uuid.UUID("6f5a0a3c-6d1e-5a58-9f5d-0d1bf10e0001")
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


def make_filesystem(tree: Path, image: Path, filesystem: Filesystem) -> None:
    """Write `tree` as a filesystem into `image`, a sparse file that must not exist yet.

    Raises StepError for a filesystem that cannot be filled this way, a label that is too long or
    a tree that does not fit; HostError if mkfs is missing.
    """
    if filesystem.fstype not in {"ext2", "ext3", "ext4"}:
        raise StepError(
            f'making the root filesystem: "{filesystem.fstype}" cannot be filled from a folder yet',
            hint="use FS_TYPE=ext4",
        )
    if len(filesystem.label.encode()) > _LABEL_LIMIT:
        raise StepError(
            f'making the root filesystem: the label "{filesystem.label}" is longer than the '
            f"{_LABEL_LIMIT} bytes that {filesystem.fstype} takes",
            hint="shorten --root-label",
        )
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
