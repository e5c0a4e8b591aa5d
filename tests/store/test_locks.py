from __future__ import annotations

import fcntl
import multiprocessing
import os
import threading
import time
from pathlib import Path

import pytest

from dibflow.store.locks import is_held, key_lock


def hold(folder: Path, held: multiprocessing.synchronize.Event) -> None:
    with key_lock(folder, "key", on_wait=lambda _: None):
        held.set()
        time.sleep(60)


def count(folder: Path) -> None:
    for _ in range(50):
        with key_lock(folder, "key", on_wait=lambda _: None):
            counter = folder / "counter"
            value = int(counter.read_text())
            counter.write_text(str(value + 1))


def test_the_file_of_a_lock_goes_with_it(tmp_path: Path) -> None:
    with key_lock(tmp_path, "key", on_wait=lambda _: None):
        assert is_held(tmp_path / "key")

    assert list(tmp_path.iterdir()) == []


def test_whoever_waits_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    held = multiprocessing.Event()
    holder = multiprocessing.Process(target=hold, args=(tmp_path, held))
    holder.start()
    held.wait(10)
    told: list[str] = []

    def end_the_holder(who: str) -> None:
        told.append(who)
        holder.kill()

    with key_lock(tmp_path, "key", on_wait=end_the_holder):
        pass

    holder.join()
    assert told == [f"process {holder.pid}"]


def test_only_one_process_at_a_time_is_inside(tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")
    processes = [multiprocessing.Process(target=count, args=(tmp_path,)) for _ in range(4)]

    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert (tmp_path / "counter").read_text() == "200"


def test_a_lock_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), key_lock(tmp_path, "key", on_wait=lambda _: None):
        raise RuntimeError

    with key_lock(tmp_path, "key", on_wait=lambda _: pytest.fail("somebody holds it")):
        assert (tmp_path / "key").read_text() == f"process {os.getpid()}"


def test_whoever_waits_longer_is_still_told_once(tmp_path: Path) -> None:
    first = os.open(tmp_path / "key", os.O_RDWR | os.O_CREAT)
    fcntl.flock(first, fcntl.LOCK_EX)
    told: list[str] = []
    waits = threading.Event()
    waiter = threading.Thread(target=wait_for_key, args=(tmp_path, told, waits))
    waiter.start()
    waits.wait(10)

    (tmp_path / "key").unlink()
    with key_lock(tmp_path, "key", on_wait=lambda _: None):
        os.close(first)  # the waiter finds the next holder
        time.sleep(0.1)
    waiter.join(10)

    assert not waiter.is_alive()
    assert len(told) == 1


def test_a_forked_child_does_not_keep_a_lock_that_was_given_up(tmp_path: Path) -> None:
    waits = threading.Event()
    waiter = threading.Thread(target=wait_for_key, args=(tmp_path, [], waits))
    with key_lock(tmp_path, "key", on_wait=lambda _: None):
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        child.start()
        waiter.start()
        waits.wait(10)

    waiter.join(10)

    assert not waiter.is_alive()
    child.kill()
    child.join()


def wait_for_key(folder: Path, told: list[str], waits: threading.Event) -> None:
    def note(who: str) -> None:
        told.append(who)
        waits.set()

    with key_lock(folder, "key", on_wait=note):
        pass
