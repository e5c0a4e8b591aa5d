"""``dibflow why``: what has changed, so that steps are not cached."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dibflow.cli.plan import state_of
from dibflow.cli.selection import add_store_option, store_of
from dibflow.engine.build import Build, asked_before, prepare
from dibflow.engine.freshness import SystemClock
from dibflow.engine.history import find_build, past_builds
from dibflow.engine.why import Cause, Difference, Explanation, chain_of_causes, explain
from dibflow.errors import UsageError
from dibflow.planning.plan import Plan, Step
from dibflow.sandbox.run import NamespaceSandbox
from dibflow.store.empty import existing_store

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to those of ``dibflow``."""
    parser = subparsers.add_parser(
        "why",
        help="say why steps would run again",
        description="Plan a build of the store anew, as its elements and your variables are now, "
        "and compare the inputs of a step with those it had when it was last another one. Without "
        "STEP: every step whose own inputs have changed. Nothing is written or run.",
        epilog="example: dibflow why install.d/10-cloud-init",
    )
    parser.add_argument("step", nargs="?", metavar="STEP", help="title, hook, number or key")
    parser.add_argument("--build", metavar="BUILD", help="name or id of a build (default: last)")
    parser.add_argument("--json", action="store_true", help="print the differences as JSON")
    add_store_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Explain a step, or the build."""
    store = existing_store(store_of(arguments))
    builds = past_builds(store) if (store.root / "builds").is_dir() else ()
    past = find_build(builds, arguments.build, store=store.root)
    asked = asked_before(past.record, store=store.root, environment={})
    # What is set now counts; what is not has the value of then.
    request = dataclasses.replace(asked, environment={**asked.environment, **os.environ})
    build = prepare(
        request, store=store, sandbox=NamespaceSandbox(), clock=SystemClock(), look_only=True
    )
    # Its own record first: it is what the build was when it last ran.
    others = [one for one in builds if one.id != past.id]
    earlier = [(one.name, one.plan) for one in (past, *others)]
    if arguments.step is not None:
        found = chain_of_causes(
            _step(build.plan, arguments.step, past.plan), plan=build.plan, earlier=earlier
        )
    else:
        every = (explain(step, plan=build.plan, earlier=earlier[:1]) for step in build.plan.steps)
        found = tuple(one for one in every if one.own or one.earlier is None)
    if arguments.json:
        print(json.dumps([as_json(build, one) for one in found], indent=2))
    elif not found:
        print(f"{past.name}: no step has changed since it was last built")
    else:
        print("\n".join(line for one in found for line in as_text(build, one)))
    return 0


def _step(plan: Plan, wanted: str, before: Plan) -> Step:
    found = plan.find(wanted)
    if len(found) == 1:
        return found[0]
    if found:
        titles = ", ".join(step.title for step in found)
        raise UsageError(f'"{wanted}" may be any of {titles}', hint="give the whole title")
    gone = before.find(wanted)
    raise UsageError(
        f'the build has no step "{wanted}"' + (" any more" if gone else ""),
        hint="`dibflow log` lists the steps of the last build",
    )


def as_json(build: Build, explanation: Explanation) -> dict[str, Any]:
    """Give an explanation for programs."""
    return {
        "step": explanation.step.title,
        "key": explanation.step.key,
        "state": state_of(build, explanation.step),
        "earlier": explanation.earlier,
        "differences": [
            dataclasses.asdict(one) | {"cause": one.cause.value} for one in explanation.differences
        ],
    }


def as_text(build: Build, explanation: Explanation) -> Iterator[str]:
    """Give an explanation for a person."""
    step = explanation.step
    yield f"{step.title}: {state_of(build, step)}"
    if explanation.earlier is None:
        yield "    no earlier build in this store has a step of this name"
    elif not explanation.differences:
        yield f"    the same as in the build {explanation.earlier}"
    else:
        yield f"    compared with the build {explanation.earlier}:"
        yield from (f"    {_line(one)}" for one in explanation.differences)
        if not explanation.own:
            yield "    nothing of its own: it is reused if the step before leaves what it left then"


def _line(one: Difference) -> str:
    if one.cause is Cause.PREDECESSOR:
        if one.before == one.after:
            return f"the step before, {one.name}, has changed"
        return f"the step before is {one.after or 'none'}, it was {one.before or 'none'}"
    what = f"{one.cause.value} {one.name}".rstrip()
    if one.before is None:
        return f"{what} is new"
    if one.after is None:
        return f"{what} is gone"
    if one.cause is Cause.FILE:
        return f"{what} has changed"
    return f'{what} is "{one.after}", it was "{one.before}"'
