"""What every `LayerStore` must do, whatever it keeps its layers in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dibflow.store.records import StepRecord
from dibflow.store.store import LayerStore, RecordKind


def record(
    key: str, *, content_key: str = "c", layer: str = "", stack: tuple[str, ...] = ()
) -> StepRecord:
    return StepRecord(
        key=key, content_key=content_key, title="install.d/10-x", layer=layer, stack=stack
    )


class LayerStoreContract:
    """Subclass it and give a fixture ``store`` with an empty store."""

    def commit(self, store: LayerStore, name: str, text: str = "content") -> str:
        with store.stage() as staging:
            (staging.diff / name).write_text(text)
            return store.commit(staging, over=()).id

    def test_a_committed_layer_shows_what_was_staged(self, store: LayerStore) -> None:
        layer = self.commit(store, "motd", "hello")

        (lower,) = store.lowers([layer])

        assert (lower / "motd").read_text() == "hello"

    def test_what_is_not_committed_is_dropped(self, store: LayerStore) -> None:
        with store.stage() as staging:
            (staging.diff / "motd").write_text("hello")
            folder = staging.folder

        assert not folder.exists()

    def test_what_fails_is_dropped(self, store: LayerStore) -> None:
        folders = []

        def fail(folder: Path) -> None:
            folders.append(folder)
            raise RuntimeError

        with pytest.raises(RuntimeError), store.stage() as staging:
            fail(staging.folder)

        assert not folders[0].exists()

    def test_a_layer_and_a_disk_of_one_step_are_both_kept(self, store: LayerStore) -> None:
        with store.stage() as staging:
            (staging.diff / "motd").write_text("hello")
            staging.disk("qcow2").write_bytes(b"disk")
            disk = store.commit_disk(staging.disk("qcow2"))
            layer = store.commit(staging, over=()).id

        assert store.disk_path(disk).read_bytes() == b"disk"
        assert store.has_layer(layer)

    def test_the_same_content_is_one_layer(self, store: LayerStore) -> None:
        assert self.commit(store, "motd") == self.commit(store, "motd")

    def test_other_content_is_another_layer(self, store: LayerStore) -> None:
        assert self.commit(store, "motd", "one") != self.commit(store, "motd", "two")

    def test_a_layer_that_changes_nothing_has_no_id(self, store: LayerStore) -> None:
        with store.stage() as staging:
            layer = store.commit(staging, over=())

        assert layer.id == ""

    def test_lowers_run_from_the_top_layer_to_the_base(self, store: LayerStore) -> None:
        base, top = self.commit(store, "base"), self.commit(store, "top")

        lowers = store.lowers([base, top])

        assert [next(lower.iterdir()).name for lower in lowers] == ["top", "base"]

    def test_a_layer_that_came_again_is_shown_where_it_came_last(self, store: LayerStore) -> None:
        first, other = self.commit(store, "motd", "one"), self.commit(store, "motd", "two")

        lowers = store.lowers([first, other, first])

        assert [(lower / "motd").read_text() for lower in lowers] == ["one", "two"]

    def test_a_long_stack_needs_no_more_lowers_than_fit(self, store: LayerStore) -> None:
        stack = [self.commit(store, f"file-{number}") for number in range(150)]

        lowers = store.lowers(stack)

        assert len(lowers) < 64
        names = {path.name for lower in lowers for path in lower.iterdir()}
        assert names == {f"file-{number}" for number in range(150)}

    def test_a_step_is_finished_once_its_record_is_written(self, store: LayerStore) -> None:
        layer = self.commit(store, "motd")
        assert store.finished("k") is None

        store.write_step(record("k", layer=layer, stack=(layer,)))

        assert store.finished("k") == record("k", layer=layer, stack=(layer,))

    def test_a_step_whose_layer_is_gone_is_not_finished(self, store: LayerStore) -> None:
        store.write_step(record("k", layer="f" * 32, stack=("f" * 32,)))

        assert store.finished("k") is None

    def test_a_step_is_known_by_its_content_key_too(self, store: LayerStore) -> None:
        store.write_step(record("k", content_key="c1"))

        known = store.known_content("c1")

        assert known is not None
        assert known.key == "k"

    def test_other_records_come_back_as_they_were(self, store: LayerStore) -> None:
        store.write(RecordKind.BUILD, "b", {"state": "unfinished", "types": ["tar"]})

        assert store.read(RecordKind.BUILD, "b") == {"state": "unfinished", "types": ["tar"]}

    def test_a_record_that_is_not_there_is_none(self, store: LayerStore) -> None:
        assert store.read(RecordKind.BUILD, "b") is None

    def test_a_later_record_replaces_an_earlier_one(self, store: LayerStore) -> None:
        store.write(RecordKind.BUILD, "b", {"n": 1})
        store.write(RecordKind.BUILD, "b", {"n": 2})

        assert store.read(RecordKind.BUILD, "b") == {"n": 2}


def damaged(path: Path) -> None:
    """Cut a record's file in the middle, as a full disk or a lost power line may."""
    text = path.read_text()
    json.loads(text)
    path.write_text(text[: len(text) // 2])
