"""``dibflow plan``: the steps of an image, and which of them are done already."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from dibflow.cli.selection import add_options, requests_of
from dibflow.engine import making
from dibflow.engine.build import Build, prepare, shelves_of
from dibflow.engine.freshness import SystemClock
from dibflow.planning.plan import Step, StepKind
from dibflow.sandbox.run import NamespaceSandbox
from dibflow.store.empty import existing_store
from dibflow.wording import human_bytes, human_seconds

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to those of ``dibflow``."""
    parser = subparsers.add_parser(
        "plan",
        help="show the steps of an image, their keys, and what is cached",
        description="Show what a build would do. Nothing is written or run; elements that would be "
        "asked what their mirror has now count as unchanged.",
        epilog="example: dibflow plan debian-minimal -t qcow2,tar",
    )
    add_options(parser)
    parser.add_argument("--json", action="store_true", help="print the plans as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the plan of each image."""
    builds = looked_at(arguments)
    if arguments.json:
        print(json.dumps([as_json(build) for build in builds], indent=2))
    else:
        print("\n\n".join(as_text(build) for build in builds))
    return 0


def looked_at(arguments: argparse.Namespace) -> list[Build]:
    """Plan what the arguments ask for, without effects."""
    requests = requests_of(arguments)
    shelves = shelves_of(requests)
    return [
        prepare(
            request,
            store=existing_store(request.store),
            sandbox=NamespaceSandbox(),
            clock=SystemClock(),
            shelf=shelves[request.elements_path],
            look_only=True,
        )
        for request in requests
    ]


def state_of(build: Build, step: Step) -> str:
    """Say whether a step is done: ``cached`` or ``to run``."""
    if step.kind is StepKind.OUTPUT:
        done = making.is_made(build, step)
    else:
        done = build.store.finished(step.key) is not None
    return "cached" if done else "to run"


def as_json(build: Build) -> dict[str, Any]:
    """Give a plan for programs: its fields, and each step with its state."""
    value = build.plan.to_json()
    steps = [
        {
            "number": step.number,
            "step": step.title,
            "kind": step.kind.value,
            "element": step.element,
            "key": step.key,
            "after": step.needs,
            "state": state_of(build, step),
            "inputs": {
                "files": dict(step.files),
                "variables": dict(step.variables),
                "fingerprint": step.fingerprint,
                "parameters": dict(step.parameters),
            },
        }
        for step in build.plan.steps
    ]
    return {**value, "store": str(build.store.root), "steps": steps}


def as_text(build: Build) -> str:
    """Give a plan for a person: a line a step."""
    plan = build.plan
    width = max(len(step.title) for step in plan.steps)
    owners = max(len(step.element) for step in plan.steps)
    lines = [
        f"{build.stem()}: {', '.join(plan.types) or 'no image'} for {plan.arch}",
        f"elements: {' '.join(plan.elements)}",
        "",
    ]
    for step in plan.steps:
        state = state_of(build, step)
        record = build.store.finished(step.key)
        took = ""
        if record is not None and step.kind is not StepKind.OUTPUT:
            took = f"  {human_seconds(record.seconds):>10}  {human_bytes(record.size_bytes):>10}"
        line = (
            f"{step.number:3}  {step.title:{width}}  {step.element:{owners}}  "
            f"{step.key[:12]}  {state}{took}"
        )
        lines.append(line.rstrip())
    count = sum(state_of(build, step) == "cached" for step in plan.steps)
    lines += ["", f"{len(plan.steps)} steps, {count} cached"]
    lines += [f"warning: {warning}" for warning in plan.warnings]
    return "\n".join(lines)
