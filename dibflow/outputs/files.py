"""Outputs as they appear: whole or not at all, beside what stood there before.

An output, be it a file or a folder, is written beside its final name, made durable, then renamed.
What stood there before is renamed first, with its checksums, as DIB does, unless the user said to
overwrite.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dibflow.errors import StepError, UsageError
from dibflow.linux import exchange, sync_filesystem
from dibflow.planning.formats import CHECKSUMS
from dibflow.store.records import sync_folder

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_ROOM_TEXTS = tuple(os.strerror(number) for number in sorted(_NO_ROOM))
_NO_ROOM_MIB = 1
"""A writer that fails with less than this left has most likely failed for that."""


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A finished output as it was written: bytes, time of change (the last one's), SHA-256.

    Of a folder the SHA-256 is that of its ``index.json``, which names all the rest by digest.
    """

    path: Path
    size: int
    mtime_ns: int
    sha256: str

    def is_there(self) -> bool:
        """Tell whether the output is still the one that was written, by size and time of change."""
        try:
            return measure(self.path) == (self.size, self.mtime_ns)
        except OSError:
            return False


def measure(path: Path) -> tuple[int, int]:
    """Give the bytes of a file, or of all files in a folder, and the last time of change."""
    if not path.is_dir():
        status = path.stat()
        return status.st_size, status.st_mtime_ns
    found = [file.stat() for file in path.rglob("*") if file.is_file()]
    return (
        sum(status.st_size for status in found),
        max((status.st_mtime_ns for status in found), default=0),
    )


def companions(path: Path) -> tuple[Path, ...]:
    """Name the files of checksums that may stand beside an output."""
    return tuple(path.with_name(f"{path.name}.{name}") for name in CHECKSUMS)


@contextlib.contextmanager
def appearing(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give the name to write to; on success what is there becomes `path`, else it is removed.

    Checksums of the output that stood there leave with it. Raises UsageError if the folder of
    `path` cannot be made or written, StepError if it has no room left.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_partials_of_the_dead(path)
    except OSError as error:
        raise UsageError(
            f'writing "{path}": {error.strerror}', hint="choose another place with -o (--name)"
        ) from error
    try:
        with _room_told(path):
            yield partial
            _make_durable(partial)
            if not overwrite:
                set_aside(path)
            for left in companions(path):
                left.unlink(missing_ok=True)
            _put_in_place(partial, path)
            sync_folder(path.parent)
    finally:
        _remove(partial)


@contextlib.contextmanager
def _room_told(path: Path) -> Iterator[None]:
    """Turn what a full filesystem makes of the body into one error that says so.

    Programs say it in words of their own, or not at all; so the room that is left counts too.
    """
    try:
        yield
    except (OSError, StepError) as error:
        free = _free_mib(path.parent)
        told = isinstance(error, OSError) and error.errno in _NO_ROOM
        said = any(text in str(error) for text in _NO_ROOM_TEXTS)
        if not told and not said and free >= _NO_ROOM_MIB:
            raise
        raise StepError(
            f'writing "{path}": no room left in "{path.parent}" ({free} MiB free)',
            hint="make room there, or choose another place with -o (--name); what is finished is "
            "kept, the same command goes on from there",
        ) from error


def _free_mib(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize // (1024 * 1024)


def _make_durable(partial: Path) -> None:
    if partial.is_dir():
        sync_filesystem(partial)
        return
    with partial.open("rb") as file:
        os.fsync(file.fileno())


def _put_in_place(partial: Path, path: Path) -> None:
    """Rename; what is or meets a folder changes places with it instead, and is removed then.

    rename(2) replaces files, but no folder that holds something. Where the filesystem cannot
    exchange names (NFS), the old folder is removed first.
    """
    if not path.exists() or not (path.is_dir() or partial.is_dir()):
        partial.rename(path)
        return
    try:
        exchange(partial, path)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        _remove(path)
        partial.rename(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _remove_partials_of_the_dead(path: Path) -> None:
    """Remove what killed writers of the same output left."""
    for left in path.parent.glob(f".{_literally(path.name)}.*.partial"):
        pid = left.name.removesuffix(".partial").rpartition(".")[2]
        if not Path("/proc", pid).exists():
            _remove(left)


def _literally(name: str) -> str:
    """Quote what glob(7) takes for a pattern in a name."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def set_aside(path: Path) -> Path | None:
    """Rename an existing output to ``<stem>-YYYY.MM.DD-HH.MM.SS<suffix>`` and give the new name.

    Its checksums go with it. The time is that of the old output's last change; a number is added
    where the name is taken.
    """
    try:
        changed = path.stat().st_mtime
    except FileNotFoundError:
        return None
    stamp = datetime.fromtimestamp(changed).astimezone().strftime("%Y.%m.%d-%H.%M.%S")
    aside = path.with_name(f"{path.stem}-{stamp}{path.suffix}")
    number = 1
    while any(taken.exists() for taken in (aside, *companions(aside))):
        aside = path.with_name(f"{path.stem}-{stamp}-{number}{path.suffix}")
        number += 1
    path.rename(aside)
    for old, new in zip(companions(path), companions(aside), strict=True):
        with contextlib.suppress(FileNotFoundError):
            old.rename(new)
    return aside


def write_companions(path: Path, digests: Mapping[str, str]) -> None:
    """Write a file of each checksum beside an output, in the form that md5sum(1) checks."""
    for name, digest in digests.items():
        companion = path.with_name(f"{path.name}.{name}")
        with appearing(companion, overwrite=True) as partial:
            partial.write_text(_checksum_line(path.name, digest))


def _checksum_line(name: str, digest: str) -> str:
    """Give a line as md5sum(1) prints it: a name with a backslash or a newline is escaped."""
    if "\\" not in name and "\n" not in name:
        return f"{digest}  {name}\n"
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n")
    return f"\\{digest}  {escaped}\n"
