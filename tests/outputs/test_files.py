from __future__ import annotations

import os
from pathlib import Path

import pytest

from dibflow.engine.outputs import appearing, set_aside, written
from dibflow.errors import UsageError


def test_an_output_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "out" / "demo.raw"

    with appearing(path, overwrite=False) as partial:
        partial.write_text("half")
        assert not path.exists()

    assert path.read_text() == "half"


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "demo.raw"
    path.write_text("old")

    def fail(partial: Path) -> None:
        partial.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError), appearing(path, overwrite=False) as partial:
        fail(partial)

    assert [entry.name for entry in tmp_path.iterdir()] == ["demo.raw"]
    assert path.read_text() == "old"


def test_an_older_output_is_kept_under_its_time(tmp_path: Path) -> None:
    path = tmp_path / "demo.raw"
    path.write_text("old")
    os.utime(path, (0, 0))

    aside = set_aside(path)

    assert aside is not None
    assert aside.name.startswith("demo-19")
    assert aside.name.endswith(".raw")
    assert aside.read_text() == "old"


def test_two_of_one_second_are_both_kept(tmp_path: Path) -> None:
    names = set()
    for text in ("one", "two"):
        path = tmp_path / "demo.raw"
        path.write_text(text)
        os.utime(path, (0, 0))
        aside = set_aside(path)
        assert aside is not None
        names.add(aside.name)

    assert len(names) == 2


def test_overwriting_keeps_no_older_one(tmp_path: Path) -> None:
    path = tmp_path / "demo.raw"
    path.write_text("old")

    with appearing(path, overwrite=True) as partial:
        partial.write_text("new")

    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["new"]


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".demo.raw.999999999.partial").write_text("half")

    with appearing(tmp_path / "demo.raw", overwrite=False) as partial:
        partial.write_text("new")

    assert [entry.name for entry in tmp_path.iterdir()] == ["demo.raw"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with (
        pytest.raises(UsageError, match="File exists"),
        appearing(tmp_path / "file" / "demo.raw", overwrite=False),
    ):
        pass


def test_an_output_is_there_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "demo.raw"
    path.write_text("image")
    file = written(path)

    assert file.is_there()
    path.write_text("other")
    os.utime(path, (1, 1))
    assert not file.is_there()
