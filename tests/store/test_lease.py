"""Nobody has the store alone while a process that may read its layers lives."""

from __future__ import annotations

import multiprocessing
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from dibflow.errors import StoreError
from dibflow.store import lease
from dibflow.store.store import DirectoryStore


def _hold(root: Path, held: Event, end: Event) -> None:
    lease.hold(root)
    held.set()
    end.wait(60)


def test_a_share_keeps_others_from_having_it_alone_until_its_process_dies(tmp_path: Path) -> None:
    root = DirectoryStore(tmp_path / "store").root
    context = multiprocessing.get_context("spawn")
    held, end = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(root, held, end))
    process.start()
    assert held.wait(60)

    with pytest.raises(StoreError, match="a build or a shell uses it"), lease.alone(root):
        pass

    process.kill()
    process.join()
    with lease.alone(root):
        pass


def test_an_error_of_the_body_is_its_own(tmp_path: Path) -> None:
    root = DirectoryStore(tmp_path / "store").root

    with pytest.raises(ValueError, match="mine"), lease.alone(root):
        raise ValueError("mine")
