"""Say why a step is not what it was: its named inputs beside those of an earlier plan.

Only what is in definition keys is compared: each difference is a reason, and no reason is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from dibflow.planning.plan import Plan, Step


class Cause(Enum):
    """Which of a step's named inputs differs."""

    FILE = "file"
    VARIABLE = "variable"
    FINGERPRINT = "fingerprint"
    PARAMETER = "parameter"
    PREDECESSOR = "predecessor"


@dataclass(frozen=True, slots=True)
class Difference:
    """One input that differs; None stands for one that is not there.

    For a file the values are digests, for a predecessor titles (the same title twice: that step has
    changed itself).
    """

    cause: Cause
    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """What differs between a step and the last one of its title in an earlier plan.

    `earlier` names the build of that plan; it is None if no earlier plan has the title. Without
    `differences` the step is the same.
    """

    step: Step
    earlier: str | None
    differences: tuple[Difference, ...] = ()

    @property
    def own(self) -> tuple[Difference, ...]:
        """The differences that do not come from steps before it."""
        return tuple(one for one in self.differences if one.cause is not Cause.PREDECESSOR)


def differences(before: Step, after: Step, *, old: Plan, new: Plan) -> tuple[Difference, ...]:
    """Compare two steps, of the plans `old` and `new`."""
    found: list[Difference] = []
    for cause, left, right in (
        (Cause.FILE, before.files, after.files),
        (Cause.VARIABLE, before.variables, after.variables),
        (Cause.PARAMETER, before.parameters, after.parameters),
        (Cause.FINGERPRINT, _one(before.fingerprint), _one(after.fingerprint)),
    ):
        found += _pairs(cause, dict(left), dict(right))
    for position in range(max(len(before.after), len(after.after))):
        keys = before.after[position : position + 1], after.after[position : position + 1]
        if keys[0] != keys[1]:
            titles = [
                plan.step(key[0]).title if key else None
                for plan, key in zip((old, new), keys, strict=True)
            ]
            found.append(
                Difference(Cause.PREDECESSOR, titles[1] or titles[0] or "", titles[0], titles[1])
            )
    return tuple(found)


def _one(fingerprint: str) -> tuple[tuple[str, str], ...]:
    return (("", fingerprint),) if fingerprint else ()


def _pairs(cause: Cause, left: dict[str, str], right: dict[str, str]) -> Iterator[Difference]:
    for name in sorted({*left, *right}):
        if left.get(name) != right.get(name):
            yield Difference(cause, name, left.get(name), right.get(name))


def explain(step: Step, *, plan: Plan, earlier: Sequence[tuple[str, Plan]]) -> Explanation:
    """Compare `step` of `plan` with the latest step of its title that is another one.

    `earlier` are named plans, the latest first. If none has another step of the title, one that has
    this very step will do: then nothing differs.
    """
    same = None
    for name, old in earlier:
        for before in old.steps:
            if (before.title, before.kind) != (step.title, step.kind):
                continue
            if before.key != step.key:
                found = differences(before, step, old=old, new=plan)
                return Explanation(step, name, found)
            same = same or name
    return Explanation(step, same)


def chain_of_causes(
    step: Step, *, plan: Plan, earlier: Sequence[tuple[str, Plan]]
) -> tuple[Explanation, ...]:
    """Explain `step`, then the steps before it that differ, down to the first that does."""
    found = [explain(step, plan=plan, earlier=earlier)]
    while any(one.cause is Cause.PREDECESSOR for one in found[-1].differences):
        before = plan.before(found[-1].step)
        if before is None:
            break
        found.append(explain(before, plan=plan, earlier=earlier))
    return tuple(found)
