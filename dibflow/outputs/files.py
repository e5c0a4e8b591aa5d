"""Write the files that a user asked for: each appears whole or not at all.

A file is written beside its final name, made durable, then renamed. What stood there before is
renamed first, as DIB does, unless the user said to overwrite.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dibflow.commands import run
from dibflow.errors import UsageError
from dibflow.store.records import sync_folder

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A finished output as it was written: size in bytes, time of change, SHA-256."""

    path: Path
    size: int
    mtime_ns: int
    sha256: str

    def is_there(self) -> bool:
        """Tell whether the file is still the one that was written, by size and time of change."""
        try:
            status = self.path.stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.size, self.mtime_ns)


@contextlib.contextmanager
def appearing(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give the name to write to; on success the file takes the name `path`, else it is removed.

    Raises UsageError if the folder of `path` cannot be made or written.
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
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        if not overwrite:
            set_aside(path)
        partial.rename(path)
        sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _remove_partials_of_the_dead(path: Path) -> None:
    """Remove what killed writers of the same file left."""
    for left in path.parent.glob(f".{path.name}.*.partial"):
        pid = left.name.removesuffix(".partial").rpartition(".")[2]
        if not Path("/proc", pid).exists():
            left.unlink(missing_ok=True)


def set_aside(path: Path) -> Path | None:
    """Rename an existing output to ``<stem>-YYYY.MM.DD-HH.MM.SS<suffix>`` and give the new name.

    The time is that of the old file's last change; a number is added where the name is taken.
    """
    try:
        changed = path.stat().st_mtime
    except FileNotFoundError:
        return None
    stamp = datetime.fromtimestamp(changed).astimezone().strftime("%Y.%m.%d-%H.%M.%S")
    aside = path.with_name(f"{path.stem}-{stamp}{path.suffix}")
    number = 1
    while aside.exists():
        aside = path.with_name(f"{path.stem}-{stamp}-{number}{path.suffix}")
        number += 1
    path.rename(aside)
    return aside


def written(path: Path) -> OutputFile:
    """Describe the output at `path`, reading it once for its digest."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        status = os.fstat(file.fileno())
    return OutputFile(path, status.st_size, status.st_mtime_ns, digest.hexdigest())


def write_tar(tree: Path, output: Path) -> None:
    """Archive `tree` with all that a filesystem holds: owners by number, xattrs, ACLs, holes.

    Names are sorted, so the same tree gives the same order. Source: tar(1).
    """
    run(
        [
            "tar",
            "--create",
            f"--file={output}",
            f"--directory={tree}",
            "--format=posix",
            "--pax-option=delete=atime,delete=ctime",
            "--numeric-owner",
            "--xattrs",
            "--xattrs-include=*",
            "--acls",
            "--sparse",
            "--sort=name",
            ".",
        ],
        doing="writing the tar",
        package="tar",
    )


def write_raw(disk: Path, output: Path) -> None:
    """Copy a disk image, leaving its holes as holes."""
    run(
        ["cp", "--sparse=always", "--reflink=auto", str(disk), str(output)],
        doing="writing the raw image",
        package="coreutils",
    )


def write_qcow2(disk: Path, output: Path, *, compressed: bool, options: str) -> None:
    """Convert a disk image to qcow2, with zstd on all cores; `options` are passed as ``-o``.

    Source: qemu-img(1), ``convert``.
    """
    arguments = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2"]
    if compressed:
        arguments += ["-c", "-m", "16", "-W"]
    wanted = [options] if options else []
    if compressed and "compression_type" not in options:
        wanted.append("compression_type=zstd")
    if wanted:
        arguments += ["-o", ",".join(wanted)]
    run(
        [*arguments, str(disk), str(output)],
        doing="converting to qcow2",
        package="qemu-utils",
    )
