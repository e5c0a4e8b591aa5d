"""Garbage of a real store goes, and all that builds need stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dibflow.cli.gc import size_bytes
from dibflow.cli.main import main
from dibflow.engine.build import State
from dibflow.engine.collect import collect, survey
from dibflow.planning.phases import Phase
from dibflow.planning.plan import Plan, Step, StepKind
from dibflow.store.records import StepRecord
from dibflow.store.store import DirectoryStore, RecordKind
from dibflow.store.verify import verify

CONTENT = 1000


class Shop:
    """A store that builds are put into, a step each."""

    def __init__(self, root: Path) -> None:
        self.store = DirectoryStore(root)

    def layer(self, name: str) -> str:
        with self.store.stage() as staging:
            (staging.diff / name).write_text("x" * CONTENT)
            return self.store.commit(staging, over=()).id

    def build(self, name: str, *, state: str, time: float) -> str:
        """Put a build of one step in; give the name of its layer."""
        step = Step(number=1, kind=StepKind.HOOK, phase=Phase.INSTALL, name=name)
        plan = Plan(name=name, arch="amd64", elements=(), types=(), tree="", steps=(step,))
        record = {"name": name, "state": state, "plan": plan.to_json()}
        self.store.write(RecordKind.BUILD, name, record)
        os.utime(self.store.root / f"builds/{name}.json", (time, time))
        layer = self.layer(name)
        disk = f"{name}.raw"
        (self.store.root / "disks" / disk).write_bytes(b"x" * 4096)
        self.store.write_step(
            StepRecord(
                key=step.key,
                content_key=f"c{name}",
                title=step.title,
                layer=layer,
                stack=(layer,),
                disks=(disk,),
            )
        )
        (self.store.root / "logs" / step.key).mkdir()
        return layer

    def names(self, folder: str) -> set[str]:
        return {path.name for path in (self.store.root / folder).iterdir()}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "store")


def test_a_layer_without_a_record_goes_and_a_build_stays(shop: Shop) -> None:
    kept = shop.build("web", state=State.FINISHED, time=1)
    shop.layer("lost")

    collect(shop.store, max_size_bytes=None)

    assert shop.names("layers") == {kept}
    assert len(shop.names("disks")) == 1
    assert verify(shop.store.root).damages == ()


def test_the_older_build_goes_with_all_it_had(shop: Shop) -> None:
    shop.build("old", state=State.FINISHED, time=1)
    kept = shop.build("new", state=State.FINISHED, time=2)

    garbage = collect(shop.store, max_size_bytes=CONTENT + 8192)

    assert garbage.left_bytes <= CONTENT + 8192
    assert shop.names("layers") == {kept}
    assert shop.names("content") == {"cnew.json"}
    assert [len(shop.names(folder)) for folder in ("steps", "disks", "logs", "staging")] == [
        1,
        1,
        1,
        0,
    ]
    assert verify(shop.store.root).damages == ()


def test_an_unfinished_build_stays(shop: Shop) -> None:
    kept = shop.build("old", state=State.UNFINISHED, time=1)
    shop.build("new", state=State.FINISHED, time=2)

    collect(shop.store, max_size_bytes=0)

    assert shop.names("layers") == {kept}


def test_a_hooks_tree_that_no_build_has_goes_when_room_is_needed(shop: Shop) -> None:
    tree = shop.layer("tree")
    shop.store.write(RecordKind.CONTENT, "tree-x", {"layer": tree})

    assert survey(shop.store, max_size_bytes=None).items == ()
    collect(shop.store, max_size_bytes=0)

    assert shop.names("layers") == shop.names("content") == set()


def test_a_flat_that_no_stack_has_goes(shop: Shop) -> None:
    shop.build("web", state=State.FINISHED, time=1)
    (shop.store.root / "flats/lost/diff").mkdir(parents=True)

    collect(shop.store, max_size_bytes=None)

    assert shop.names("flats") == set()


def test_a_dry_run_names_what_would_go_and_removes_nothing(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.build("web", state=State.FINISHED, time=1)

    status = main(["gc", "--store", str(shop.store.root), "--max-size", "0", "--dry-run"])

    assert status == 0
    assert "would remove 1 records, 2 layers and disks" in capsys.readouterr().out
    assert [len(shop.names(folder)) for folder in ("layers", "disks", "steps")] == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("10K", 10240), ("1.5 GiB", 3 << 29), ("2MB", 2 << 20)]
)
def test_sizes_have_units(text: str, size: int) -> None:
    assert size_bytes(text) == size


def test_a_size_that_is_none_is_refused() -> None:
    with pytest.raises(SystemExit):
        main(["gc", "--max-size", "much"])
