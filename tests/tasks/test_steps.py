from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import luigi
import pytest

from dibflow.engine.build import Build
from dibflow.engine.journal import Happening, Journal
from dibflow.errors import StepError
from dibflow.tasks.steps import noted_failure


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """All that noting a failure needs of a build."""
    return cast(Build, SimpleNamespace(journal=Journal(tmp_path / "journal")))


def test_a_persons_mistake_is_noted_with_its_status_and_no_traceback(build: Build) -> None:
    error = StepError("the tree does not fit", hint="make it larger")

    shown = noted_failure(luigi.Task(), build, error, title="copy-in")

    (line,) = build.journal.lines()
    assert line.happening is Happening.FAILED
    assert (line.title, line.status) == ("copy-in", 6)
    assert line.text == shown == "the tree does not fit\nhint: make it larger"


def test_a_fault_of_our_own_is_noted_with_its_traceback(build: Build) -> None:
    try:
        raise FileNotFoundError("staging/disk.qcow2")
    except FileNotFoundError as error:
        noted_failure(luigi.Task(), build, error, title="clean-up")

    (line,) = build.journal.lines()
    assert line.status == 1
    assert line.text.startswith("clean-up: a fault in dibflow, please report it\nTraceback")
    assert 'raise FileNotFoundError("staging/disk.qcow2")' in line.text
