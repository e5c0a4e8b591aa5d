"""Who uses a store, so that nothing is collected under a build that runs.

A build may need any layer at any time, and between two steps it holds no lock. So whoever may read
layers holds a shared flock(2) of one file for as long as its process lives; collecting takes it
alone. The kernel gives the lock up with its last holder, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
from collections.abc import Iterator
from pathlib import Path

from dibflow.errors import StoreError

_FILE = "lease"


@functools.cache
def hold(root: Path) -> int:
    """Hold a share of the store at `root` until this process and those it has forked are gone.

    Waits while garbage is collected. Programs that are started do not hold it on.
    """
    descriptor = _open(root)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Have the store for oneself during the body. Raises StoreError if somebody uses it."""
    descriptor = _open(root)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise StoreError(
            f'collecting garbage of the store "{root}": a build or a shell uses it',
            hint="wait for its end, or look first with --dry-run",
        ) from error
    finally:
        os.close(descriptor)


def _open(root: Path) -> int:
    return os.open(root / "locks" / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
