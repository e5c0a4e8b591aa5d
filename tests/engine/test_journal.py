from __future__ import annotations

from pathlib import Path

from dibflow.engine.journal import Happening, Journal
from dibflow.planning.phases import Phase
from dibflow.planning.plan import Step, StepKind

STEP = Step(
    number=1, kind=StepKind.HOOK, phase=Phase.INSTALL, name="10-x", element="app", after=("a",)
)


def test_what_is_noted_is_read_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")

    journal.note(STEP, Happening.BUILT, seconds=1.5, size_bytes=10)

    (line,) = journal.lines()
    assert (line.happening, line.title, line.element) == (Happening.BUILT, "install.d/10-x", "app")
    assert (line.seconds, line.size_bytes) == (1.5, 10)


def test_half_a_line_is_passed_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.note(STEP, Happening.STARTED)
    with journal.path.open("a") as file:
        file.write('{"time": 1, "happ')

    assert [line.happening for line in journal.lines()] == [Happening.STARTED]


def test_a_journal_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert list(Journal(tmp_path / "none").lines()) == []
