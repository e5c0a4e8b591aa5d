"""Find builds and steps in a store by what a person calls them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dibflow.engine.journal import Journal
from dibflow.errors import StoreError, UsageError
from dibflow.planning.plan import Plan, Step
from dibflow.store.store import LayerStore, RecordKind


@dataclass(frozen=True, slots=True)
class PastBuild:
    """A build as the store remembers it; `changed` is when it last did something."""

    id: str
    name: str
    state: str
    plan: Plan
    record: dict[str, Any]
    journal: Journal
    changed: float


def past_builds(store: LayerStore) -> tuple[PastBuild, ...]:
    """Give the builds of a store, the one that did something last first."""
    found = []
    for path in (store.root / "builds").glob("*.json"):
        record = store.read(RecordKind.BUILD, path.stem)
        if record is not None and "plan" in record:
            journal = Journal(path.with_suffix(".journal"))
            changed = max(one.stat().st_mtime for one in (path, journal.path) if one.exists())
            plan = Plan.from_json(record["plan"])
            found.append(
                PastBuild(
                    path.stem, record["name"], record["state"], plan, record, journal, changed
                )
            )
    return tuple(sorted(found, key=lambda build: build.changed, reverse=True))


def find_build(builds: Sequence[PastBuild], wanted: str | None, *, store: Path) -> PastBuild:
    """Give the latest build, or the latest that `wanted` names or whose id starts so."""
    if not builds:
        raise StoreError(f'the store "{store}" has no builds', hint="name another one with --store")
    if wanted is None:
        return builds[0]
    for build in builds:
        if wanted in {build.name, Path(build.name).name} or build.id.startswith(wanted):
            return build
    names = sorted({build.name for build in builds})
    raise UsageError(f'no build "{wanted}" in the store', hint=f"it has {', '.join(names)}")


def find_step(builds: Sequence[PastBuild], wanted: str, *, store: Path) -> tuple[PastBuild, Step]:
    """Give the step that `wanted` means in the latest build that has it.

    `wanted` is a title (``install.d/10-x``), a hook's name, a step's number or the start of a key.
    Raises UsageError if it means none, or several of one build.
    """
    find_build(builds, None, store=store)
    for build in builds:
        found = build.plan.find(wanted)
        if len(found) == 1:
            return build, found[0]
        if found:
            titles = ", ".join(step.title for step in found)
            raise UsageError(f'"{wanted}" may be any of {titles}', hint="give the whole title")
    raise UsageError(
        f'no step "{wanted}" in the builds of the store "{store}"',
        hint="`dibflow log` lists the steps of the last build",
    )
