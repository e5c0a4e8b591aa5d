"""What a definition says about the size and the making of the image's disk."""

from __future__ import annotations

from dibflow.blockdevice.ext import DEFAULT_JOURNAL_BYTES
from dibflow.blockdevice.geometry import Wish
from dibflow.planning.definition import ImageDefinition

_GIB = 1024**3
_MIB = 1024**2


def disk_wish(definition: ImageDefinition) -> Wish:
    """Give the sizes that the user asked for."""
    size, extra = definition.image_size_gib, definition.image_extra_size_mib
    journal = definition.mkfs_journal_size_mib
    return Wish(
        image_size_bytes=None if size is None else int(size * _GIB),
        extra_bytes=None if extra is None else extra * _MIB,
        journal_bytes=DEFAULT_JOURNAL_BYTES if journal is None else journal * _MIB,
    )


def mkfs_options(definition: ImageDefinition) -> tuple[str, ...]:
    """Give what the user says to mkfs about the root filesystem."""
    resize = definition.max_online_resize
    own = () if resize is None else ("-E", f"resize={resize}")
    return (*own, *definition.mkfs_options.split())
