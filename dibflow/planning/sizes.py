"""How large the image's filesystem is to be.

Source: ``docs/elements.md``, "The size of an image"; the arithmetic is DIB's.
"""

from __future__ import annotations

from dibflow.planning.definition import ImageDefinition

_KIB_PER_GIB = 1024 * 1024
_KIB_PER_MIB = 1024
_STEP_KIB = 64
_DEFAULT_JOURNAL_MIB = 64
_FILL = 0.6
"""A tree may fill this share of an image whose size nobody fixed."""
_JOURNAL_SHARE = 3
"""mke2fs refuses a journal of half the filesystem; with a third there is room for its tables."""


def journal_mib(definition: ImageDefinition) -> int:
    """Give the size of the ext4 journal in MiB."""
    return definition.mkfs_journal_size_mib or _DEFAULT_JOURNAL_MIB


def image_size_kib(used_kib: int, definition: ImageDefinition, *, filesystem: str) -> int:
    """Give the size of the root filesystem in KiB, a multiple of 64, for a tree of `used_kib`.

    A size the user fixed is taken as it is. Otherwise the tree gets the room that the user asked
    for beside it, or a default share, and an ext4 filesystem its journal on top.
    """
    if definition.image_size_gib is not None:
        size = int(definition.image_size_gib * _KIB_PER_GIB)
    else:
        if definition.image_extra_size_mib is not None:
            size = used_kib + definition.image_extra_size_mib * _KIB_PER_MIB
        else:
            size = int(used_kib / _FILL)
        if filesystem == "ext4":
            journal = journal_mib(definition) * _KIB_PER_MIB
            size = max(size + journal, _JOURNAL_SHARE * journal)
    return -(-size // _STEP_KIB) * _STEP_KIB


def mkfs_options(definition: ImageDefinition, *, filesystem: str) -> tuple[str, ...]:
    """Give the options of mkfs for the root filesystem: DIB's own first, then the user's."""
    options: list[str] = []
    if definition.max_online_resize is not None:
        options += ["-E", f"resize={definition.max_online_resize}"]
    if filesystem == "ext4":
        options += ["-i", "4096", "-J", f"size={journal_mib(definition)}"]
    return (*options, *definition.mkfs_options.split())
