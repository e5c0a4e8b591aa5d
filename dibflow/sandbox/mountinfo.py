"""Read mount tables and tell which mounts a hook left behind.

Source: proc_pid_mountinfo(5); Linux, Documentation/filesystems/proc.rst, section 3.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True)
class MountEntry:
    """One line of a mountinfo file, with octal escapes resolved."""

    mount_id: int
    device: str
    root: str
    mount_point: str
    options: str
    fstype: str
    source: str
    super_options: str


@dataclass(frozen=True, slots=True)
class HookMount:
    """A mount that a hook made below the build folder and left for the hooks after it.

    For a bind mount `fstype` is empty and `source` the path that was bound. `target` is relative
    to the build folder, so that the record means the same wherever the folder is.
    """

    source: str
    target: str
    fstype: str = ""
    read_only: bool = False
    options: str = ""


_ESCAPE = re.compile(r"\\([0-7]{3})")


def _unescape(field: str) -> str:
    if "\\" not in field:
        return field
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), field)


def parse(text: str) -> tuple[MountEntry, ...]:
    """Give the entries of a mountinfo file, in its order (parents before children)."""
    entries = []
    for line in text.splitlines():
        mount_fields, _, filesystem_fields = line.partition(" - ")
        mount_id, _, device, root, mount_point, options, *_ = mount_fields.split(" ")
        fstype, source, super_options = filesystem_fields.split(" ", 2)
        entries.append(
            MountEntry(
                mount_id=int(mount_id),
                device=device,
                root=_unescape(root),
                mount_point=_unescape(mount_point),
                options=options,
                fstype=fstype,
                source=_unescape(source),
                super_options=super_options,
            )
        )
    return tuple(entries)


def below(entries: Iterable[MountEntry], folder: str) -> tuple[MountEntry, ...]:
    """Give the entries mounted below `folder`, itself left out."""
    prefix = folder.rstrip("/") + "/"
    return tuple(entry for entry in entries if entry.mount_point.startswith(prefix))


def hook_mounts(
    entries: Sequence[MountEntry],
    *,
    build_folder: str,
    own: Iterable[int],
    remade: Mapping[int, HookMount],
) -> tuple[HookMount, ...]:
    """Describe the mounts below `build_folder` that are not the engine's `own` (mount ids).

    Those in `remade` (by mount id) were made again for this run and keep their description. The
    order is the kernel's, so making them again in order works. A bind mount is told by the
    filesystem it shows being mounted elsewhere too, or by showing less than a whole filesystem.
    """
    engine = set(own)
    known = [
        entry
        for entry in entries
        if entry.mount_id in engine or not entry.mount_point.startswith(build_folder + "/")
    ]
    found = []
    for entry in below(entries, build_folder):
        if entry.mount_id in engine:
            continue
        if entry.mount_id in remade:
            found.append(remade[entry.mount_id])
            continue
        target = str(PurePosixPath(entry.mount_point).relative_to(build_folder))
        read_only = "ro" in entry.options.split(",")
        origin = _bound_path(entry, known)
        if origin is None:
            found.append(
                HookMount(entry.source, target, entry.fstype, read_only, entry.super_options)
            )
        else:
            found.append(HookMount(origin, target, read_only=read_only))
        known.append(entry)
    return tuple(found)


def _bound_path(entry: MountEntry, known: Sequence[MountEntry]) -> str | None:
    """Give a path in the mounts `known` that shows what `entry` shows; None for a new mount."""
    candidates = [
        other
        for other in known
        if other.device == entry.device and PurePosixPath(entry.root).is_relative_to(other.root)
    ]
    if not candidates:
        return None
    shown = max(candidates, key=lambda other: len(other.root))
    inner = PurePosixPath(entry.root).relative_to(shown.root)
    return str(PurePosixPath(shown.mount_point) / inner)
