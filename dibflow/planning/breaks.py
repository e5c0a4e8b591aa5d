"""Break points: where a person wants to look around in a build that runs.

They come from the variables ``break`` (``before-install,after-error``), ``break_cmd`` and
``break_outside_target``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dibflow.planning.phases import Phase
from dibflow.planning.plan import Plan, Step, StepKind

_AFTER_ERROR = "after-error"
_POINT = re.compile(r"(?P<side>before|after)-(?P<phase>[a-z-]+)")


@dataclass(frozen=True, slots=True)
class BreakPoint:
    """A stop before or after a phase."""

    phase: Phase
    after: bool

    @property
    def name(self) -> str:
        """Give the word that asks for it: ``before-install``."""
        return f"{'after' if self.after else 'before'}-{self.phase.directory.removesuffix('.d')}"


@dataclass(frozen=True, slots=True)
class AfterError:
    """What runs in the sandbox of a hook that has failed: `command`, or a shell if it is None.

    With `outside` it runs outside the target even for a phase inside it.
    """

    command: str | None = None
    outside: bool = False


@dataclass(frozen=True, slots=True)
class Breaks:
    """All stops that were asked for, in the order in which a build comes to them.

    `unknown` are words that mean none.
    """

    points: tuple[BreakPoint, ...] = ()
    after_error: AfterError | None = None
    command: str | None = None
    unknown: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Tell whether a build may stop at all."""
        return bool(self.points) or self.after_error is not None


def read_breaks(variables: Mapping[str, str]) -> Breaks:
    """Read the variables of a caller."""
    phases = {phase.directory.removesuffix(".d"): phase for phase in Phase}
    command = variables.get("break_cmd") or None
    points, unknown, after_error = set(), [], None
    for word in filter(None, variables.get("break", "").split(",")):
        match = _POINT.fullmatch(word)
        if word == _AFTER_ERROR:
            after_error = AfterError(command, bool(variables.get("break_outside_target")))
        elif match and match["phase"] in phases:
            points.add(BreakPoint(phases[match["phase"]], match["side"] == "after"))
        else:
            unknown.append(word)
    ordered = sorted(points, key=lambda point: (point.phase, point.after))
    return Breaks(tuple(ordered), after_error, command, tuple(unknown))


def place(point: BreakPoint, plan: Plan) -> tuple[Step, bool]:
    """Give the step to stop at, and whether after it.

    A phase without hooks is as good as the start of what follows it.
    """
    steps = [step for step in plan.steps if step.phase is point.phase]
    if steps:
        return (steps[-1], True) if point.after else (steps[0], False)
    programs = [step for step in plan.tree_steps if step.kind is not StepKind.ACT]
    following = (step for step in programs if step.phase and step.phase > point.phase)
    return next(following, plan.tree_steps[-1]), False
