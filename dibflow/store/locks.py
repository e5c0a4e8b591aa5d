"""One runner for each key, across processes.

flock(2) locks end with their holder, however it ends, so none is ever left behind. The file of a
lock holds who has it, for those who wait.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def key_lock(folder: Path, key: str, *, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of `key` for the body; wait for it if need be.

    `on_wait` is told once who holds it. The file is removed with the lock. A forked child shares
    the lock: if we are killed, it is held until the child closes the descriptor or ends.
    """
    path = folder / key
    told = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _try(descriptor):
                if not told:
                    on_wait(_holder(descriptor))
                    told = True
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_still(descriptor, path):
                break
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}".encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        # Closing is not enough while a forked child has the descriptor too.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    """Take a lock if it is free."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> str:
    """Read who holds a lock, which is not yet written if it was taken this moment."""
    return os.pread(descriptor, 200, 0).decode(errors="replace") or "another process"


def _is_still(descriptor: int, path: Path) -> bool:
    """Tell whether the locked file still has its name: a holder removes it when it lets go."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def is_held(path: Path) -> bool:
    """Tell whether some process holds the flock of an existing file or folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return not _try(descriptor)
    finally:
        os.close(descriptor)
