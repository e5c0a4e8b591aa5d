from __future__ import annotations

import errno
import logging
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dibflow.errors import StepError, StoreError, StoreFull
from dibflow.store.store import (
    DirectoryStore,
    LayerStore,
    RecordKind,
    store_errors,
    want_of_room,
)
from tests.contracts.store import LayerStoreContract, damaged, record


class TestDirectoryStore(LayerStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> LayerStore:
        return DirectoryStore(tmp_path / "store")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_a_new_store_is_its_owners_alone(root: Path) -> None:
    DirectoryStore(root)

    assert root.stat().st_mode & 0o777 == 0o700


def test_a_store_of_a_newer_version_is_refused(root: Path) -> None:
    DirectoryStore(root)
    (root / "version").write_text("2\n")

    with pytest.raises(StoreError, match=r"has version 2, this dibflow knows up to 1"):
        DirectoryStore(root)


def test_a_folder_of_other_things_is_refused(root: Path) -> None:
    root.mkdir()
    (root / "letter.txt").write_text("dear")

    with pytest.raises(StoreError, match=r'the folder holds other things, as "letter.txt"'):
        DirectoryStore(root)


def test_a_file_is_refused(root: Path) -> None:
    root.write_text("")

    with pytest.raises(StoreError, match="it is not a folder"):
        DirectoryStore(root)


def test_a_version_that_is_no_number_is_refused(root: Path) -> None:
    DirectoryStore(root)
    (root / "version").write_text("zstd\n")

    with pytest.raises(StoreError, match='its version file says "zstd"'):
        DirectoryStore(root)


def test_a_version_that_is_no_text_is_refused(root: Path) -> None:
    DirectoryStore(root)
    (root / "version").write_bytes(b"\xff\xfe")

    with pytest.raises(StoreError, match="its version file says"):
        DirectoryStore(root)


def test_the_root_of_a_layer_is_open_to_all_whatever_the_umask(root: Path) -> None:
    store = DirectoryStore(root)
    before = os.umask(0o077)

    try:
        with store.stage() as staging:
            mode = staging.diff.stat().st_mode & 0o777
    finally:
        os.umask(before)

    assert mode == 0o755


def test_a_layer_is_its_tree_and_its_record(root: Path) -> None:
    store = DirectoryStore(root)

    with store.stage() as staging:
        (staging.diff / "motd").write_text("hello")
        (staging.folder / "disk").touch()
        (staging.folder / "cache-0" / "upper").mkdir(parents=True)
        layer = store.commit(staging, over=()).id

    assert {path.name for path in (root / "layers" / layer).iterdir()} == {"diff", "layer.json"}


def test_a_damaged_record_counts_as_absent(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = DirectoryStore(root)
    store.write_step(record("k"))
    damaged(root / "steps" / "k.json")

    with caplog.at_level(logging.WARNING):
        assert store.finished("k") is None

    assert "is damaged and counts as absent" in caplog.text


def test_no_room_is_said_with_what_to_do(root: Path) -> None:
    root.mkdir()

    with pytest.raises(StoreFull, match="no room left") as caught, store_errors("doing", root):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert "--store" in caught.value.hint


def test_a_failure_without_want_of_room_stays_what_it_is(root: Path) -> None:
    root.mkdir()

    with pytest.raises(StepError, match="no luck"), want_of_room("doing", root):
        raise StepError("no luck")


@pytest.mark.needs("user-mounts")
def test_a_failure_in_a_full_store_is_told_as_that(tmp_path: Path) -> None:
    script = "mount -t tmpfs -o size=2m none room && ! head -c 3M /dev/zero >room/full"
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from dibflow.errors import StepError, StoreFull\n"
        "from dibflow.store.store import want_of_room\n"
        "try:\n"
        "    with want_of_room('running a step', Path('room')):\n"
        "        raise StepError('Input/output error')\n"
        "except StoreFull as error:\n"
        "    print(error.message)\n"
    )
    (tmp_path / "room").mkdir()

    done = subprocess.run(
        ["unshare", "-rm", "bash", "-c", f'{script} && exec "$0" -c "$1"', sys.executable, program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 'running a step: the store "room" has 0 MiB left: Input/output error' in done.stdout


def test_what_a_person_cannot_mend_stays_as_it_is(root: Path) -> None:
    with pytest.raises(OSError, match="Bad file"), store_errors("doing", root):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def leave_staging(root: Path, ready: multiprocessing.synchronize.Event) -> None:
    store = DirectoryStore(root)
    with store.stage() as staging:
        (staging.diff / "half").write_text("made")
        (staging.work / "work").mkdir(mode=0)
        ready.set()
        os._exit(1)


def test_reconcile_removes_what_a_dead_process_left(root: Path) -> None:
    store = DirectoryStore(root)
    ready = multiprocessing.Event()
    process = multiprocessing.Process(target=leave_staging, args=(root, ready))
    process.start()
    ready.wait(10)
    process.join()

    removed = store.reconcile()

    assert len(removed) == 1
    assert list((root / "staging").iterdir()) == []


def test_reconcile_leaves_what_a_living_process_works_on(root: Path) -> None:
    store = DirectoryStore(root)

    with store.stage() as staging:
        removed = DirectoryStore(root).reconcile()

        assert removed == []
        assert staging.diff.is_dir()


def write_without_end(root: Path, ready: multiprocessing.synchronize.Event) -> None:
    store = DirectoryStore(root)
    for number in range(1_000_000):
        store.write(RecordKind.BUILD, f"b{number % 3}", {"number": number})
        ready.set()


def test_a_killed_writer_leaves_whole_records_and_nothing_else(root: Path) -> None:
    store = DirectoryStore(root)
    for _ in range(5):
        ready = multiprocessing.Event()
        process = multiprocessing.Process(target=write_without_end, args=(root, ready))
        process.start()
        ready.wait(10)
        process.kill()
        process.join()

    store.reconcile()

    assert {path.name for path in (root / "builds").iterdir()} <= {"b0.json", "b1.json", "b2.json"}
    assert list((root / "staging").iterdir()) == []
    assert store.read(RecordKind.BUILD, "b0") is not None


def test_a_record_that_cannot_be_written_leaves_nothing(root: Path) -> None:
    store = DirectoryStore(root)

    with pytest.raises(TypeError):
        store.write(RecordKind.BUILD, "b", {"value": object()})

    assert list((root / "builds").iterdir()) == list((root / "staging").iterdir()) == []


def test_a_flat_serves_longer_stacks_too(root: Path) -> None:
    store = DirectoryStore(root)
    contract = LayerStoreContract()
    stack = [contract.commit(store, f"file-{number}") for number in range(70)]
    store.lowers(stack)
    flats = sorted((root / "flats").iterdir())

    store.lowers([*stack, contract.commit(store, "one-more")])

    assert sorted((root / "flats").iterdir()) == flats


def test_records_are_private_to_no_kind(root: Path) -> None:
    store = DirectoryStore(root)
    store.write(RecordKind.FRESHNESS, "debootstrap", {"value": "x"})

    assert store.read(RecordKind.BUILD, "debootstrap") is None
