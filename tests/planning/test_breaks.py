"""Break points: read from variables, and placed in a plan."""

from __future__ import annotations

import pytest

from dibflow.planning.breaks import AfterError, BreakPoint, Breaks, place, read_breaks
from dibflow.planning.phases import Phase
from dibflow.planning.plan import Plan, Step, StepKind


def step(number: int, kind: StepKind, phase: Phase | None, name: str) -> Step:
    return Step(number=number, kind=kind, phase=phase, name=name)


PLAN = Plan(
    name="demo",
    arch="amd64",
    elements=(),
    types=("tar",),
    tree="",
    steps=(
        step(1, StepKind.ENVIRONMENT, Phase.ROOT, "environment"),
        step(2, StepKind.HOOK, Phase.ROOT, "10-root"),
        step(3, StepKind.ACT, None, "prepare-root"),
        step(4, StepKind.ENVIRONMENT, Phase.INSTALL, "environment"),
        step(5, StepKind.HOOK, Phase.INSTALL, "10-one"),
        step(6, StepKind.HOOK, Phase.INSTALL, "20-two"),
        step(7, StepKind.ACT, None, "clean-up"),
        step(8, StepKind.OUTPUT, None, "tar"),
    ),
)


def test_nothing_is_asked_for_by_default() -> None:
    breaks = read_breaks({})

    assert breaks == Breaks()
    assert not breaks.any


def test_points_come_in_the_order_of_the_build() -> None:
    breaks = read_breaks({"break": "after-install,before-pre-install,before-install"})

    assert [point.name for point in breaks.points] == [
        "before-pre-install",
        "before-install",
        "after-install",
    ]


def test_a_command_is_for_all() -> None:
    breaks = read_breaks(
        {"break": "before-root,after-error", "break_cmd": "ls", "break_outside_target": "1"}
    )

    assert breaks.command == "ls"
    assert breaks.after_error == AfterError("ls", outside=True)
    assert breaks.any


@pytest.mark.parametrize("word", ["before-lunch", "install", "before-install.d", "before-error"])
def test_other_words_are_kept_to_be_told(word: str) -> None:
    breaks = read_breaks({"break": f"{word},after-root"})

    assert breaks.unknown == (word,)
    assert breaks.points == (BreakPoint(Phase.ROOT, after=True),)


@pytest.mark.parametrize(
    ("word", "number", "after"),
    [
        ("before-root", 1, False),
        ("after-root", 2, True),
        ("before-install", 4, False),
        ("after-install", 6, True),
        ("before-extra-data", 4, False),
        ("after-extra-data", 4, False),
        ("before-cleanup", 7, False),
    ],
)
def test_a_point_has_its_place_in_a_plan(word: str, number: int, *, after: bool) -> None:
    (point,) = read_breaks({"break": word}).points

    found, is_after = place(point, PLAN)

    assert (found.number, is_after) == (number, after)
