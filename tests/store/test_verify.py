"""Damage of a store is found, wherever it is; a sound one is left in peace."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dibflow.cli.main import main
from dibflow.store.records import StepRecord
from dibflow.store.store import DirectoryStore, RecordKind
from dibflow.store.verify import Damage, verify


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A store with one step over one layer, and a hooks tree."""
    store = DirectoryStore(tmp_path / "store")
    with store.stage() as staging:
        (staging.diff / "motd").write_text("hello\n")
        layer = store.commit(staging, over=()).id
    store.write_step(StepRecord(key="a1", content_key="c1", title="t", layer=layer, stack=(layer,)))
    store.write(RecordKind.CONTENT, "tree-x", {"layer": layer})
    return store


def layer_of(store: DirectoryStore) -> Path:
    (layer,) = (store.root / "layers").iterdir()
    return layer


def test_a_sound_store_has_no_damage(store: DirectoryStore) -> None:
    told: list[tuple[int, int]] = []

    done = verify(store.root, on_layer=lambda number, count: told.append((number, count)))

    assert (done.layers, done.records, done.damages) == (1, 3, ())
    assert told == [(1, 1)]


def test_a_changed_layer_is_found(store: DirectoryStore) -> None:
    (layer_of(store) / "diff/motd").write_text("HELLO\n")

    (damage,) = verify(store.root).damages

    assert damage.path == f"layers/{layer_of(store).name}"
    assert damage.problem.startswith("holds something else")


def test_a_lost_layer_is_missed_by_each_record(store: DirectoryStore) -> None:
    name = layer_of(store).name
    shutil.rmtree(layer_of(store))

    assert verify(store.root).damages == tuple(
        Damage(path, f"needs layers that are not there: {name}")
        for path in ("steps/a1.json", "content/c1.json", "content/tree-x.json")
    )


@pytest.mark.parametrize(
    ("damage", "path"),
    [
        (lambda root: (root / "steps/a1.json").write_text("{"), "steps/a1.json"),
        (lambda root: (root / "steps/a1.json").rename(root / "steps/a2.json"), "steps/a2.json"),
        (lambda root: (root / "content/c1.json").rename(root / "content/c.json"), "content/c.json"),
        (lambda root: (root / "content/c1.json").write_text("[]"), "content/c1.json"),
        (lambda root: (root / "builds/b1.json").write_text(""), "builds/b1.json"),
    ],
)  # fmt: skip
def test_a_damaged_record_is_found(
    store: DirectoryStore, damage: Callable[[Path], object], path: str
) -> None:
    damage(store.root)

    assert [one.path for one in verify(store.root).damages] == [path]


@pytest.mark.parametrize("lost", ["layer.json", "diff"])
def test_a_layer_that_is_not_whole_is_found(store: DirectoryStore, lost: str) -> None:
    part = layer_of(store) / lost
    shutil.rmtree(part) if part.is_dir() else part.unlink()

    assert f"layers/{layer_of(store).name}" in {one.path for one in verify(store.root).damages}


def test_the_status_tells_of_damage(
    store: DirectoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "--store", str(store.root)]) == 0
    (layer_of(store) / "diff/motd").unlink()
    assert main(["verify", "--store", str(store.root)]) == 5

    assert "1 layers, 0 disk layers, 3 records, 1 damaged" in capsys.readouterr().out


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert main(["verify", "--store", str(tmp_path / "none")]) == 5
    assert not (tmp_path / "none").exists()


@pytest.fixture
def with_disk(store: DirectoryStore) -> tuple[str, str]:
    """Put a disk of two layers into the store, with its record."""
    names: list[str] = []
    with store.stage() as staging:
        for form in ("raw", "qcow2"):
            over = ["-u", "-b", names[-1], "-F", "raw"] if names else []
            command = ["qemu-img", "create", "-q", "-f", form, *over, str(staging.disk(form)), "1M"]
            subprocess.run(command, check=True)
            names.append(store.commit_disk(staging.disk(form)))
    base, top = names
    store.write_step(
        StepRecord(key="d1", content_key="e1", title="t", layer="", stack=(), disks=(base, top))
    )
    return base, top


@pytest.mark.needs("qemu-img")
def test_a_sound_disk_has_no_damage(store: DirectoryStore, with_disk: tuple[str, str]) -> None:
    assert len(with_disk) == 2

    done = verify(store.root)

    assert (done.disks, done.damages) == (2, ())


@pytest.mark.needs("qemu-img")
def test_a_lost_disk_is_missed_by_each_record(
    store: DirectoryStore, with_disk: tuple[str, str]
) -> None:
    base, _ = with_disk
    store.disk_path(base).unlink()

    assert verify(store.root).damages == tuple(
        Damage(path, f"needs disks that are not there: {base}")
        for path in ("steps/d1.json", "content/e1.json")
    )


@pytest.mark.needs("qemu-img")
def test_a_disk_layer_that_is_no_qcow2_any_more_is_found(
    store: DirectoryStore, with_disk: tuple[str, str]
) -> None:
    _, top = with_disk
    store.disk_path(top).write_bytes(bytes(4096))

    (damage,) = verify(store.root).damages

    assert damage.path == f"disks/{top}"


@pytest.mark.needs("qemu-img")
def test_a_disk_layer_over_another_file_is_found(
    store: DirectoryStore, with_disk: tuple[str, str]
) -> None:
    base, top = with_disk
    path = store.disk_path(top)
    subprocess.run(["qemu-img", "rebase", "-u", "-b", "other.raw", "-F", "raw", path], check=True)

    (damage,) = verify(store.root).damages

    assert damage == Damage(f"disks/{top}", f'lies on "other.raw" instead of "{base}"')
