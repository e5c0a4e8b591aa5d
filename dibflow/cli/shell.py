"""``dibflow shell``: open the sandbox of a step, as its hook found it or as it left it."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from dibflow.cli.selection import add_store_option, store_of
from dibflow.engine.build import asked_before, prepare
from dibflow.engine.freshness import SystemClock
from dibflow.engine.history import find_build, find_step, past_builds
from dibflow.errors import UsageError
from dibflow.planning.plan import Step, StepKind
from dibflow.sandbox.run import NamespaceSandbox
from dibflow.store import lease
from dibflow.store.store import DirectoryStore

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to those of ``dibflow``."""
    parser = subparsers.add_parser(
        "shell",
        help="open the sandbox of a finished or failed step",
        description="Start a shell with the files, mounts and variables of a step. What it changes "
        "is thrown away. A step that is not finished is shown as its hook found it, a finished one "
        "as it was left.",
        epilog="example: dibflow shell --before install.d/10-cloud-init",
    )
    parser.add_argument("step", metavar="STEP", help="title, hook, number or key of a step")
    parser.add_argument("--build", metavar="BUILD", help="name or id of a build (default: last)")
    side = parser.add_mutually_exclusive_group()
    side.add_argument("--before", action="store_true", help="as the hook found it")
    side.add_argument("--after", action="store_true", help="as the hook left it")
    parser.add_argument(
        "-c", "--command", metavar="TEXT", help="run this with bash instead of a shell"
    )
    add_store_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Open the sandbox and give the status that its shell ends with."""
    store = DirectoryStore(store_of(arguments))
    lease.hold(store.root)
    builds = past_builds(store)
    if arguments.build is not None:
        builds = (find_build(builds, arguments.build, store=store.root),)
    past, step = find_step(builds, arguments.step, store=store.root)
    if step.kind is StepKind.OUTPUT:
        raise UsageError(
            f"{step.title} makes a file of the finished tree and has no sandbox to look at",
            hint="open the last step instead: dibflow shell clean-up",
        )
    request = asked_before(past.record, store=store.root, environment=dict(os.environ))
    executor = prepare(
        request, store=store, sandbox=NamespaceSandbox(), clock=SystemClock(), look_only=True
    ).executor.with_plan(past.plan)
    finished = store.finished(step.key)
    after = arguments.after or (finished is not None and not arguments.before)
    if after and finished is None:
        raise UsageError(
            f"{step.title} has not finished, so there is nothing it left",
            hint="leave --after out to see what it found",
        )
    if arguments.command is None:
        print(_greeting(step, executor.surroundings.command(step), after=after), file=sys.stderr)
    return executor.open_shell(step, after=after, command=arguments.command)


def _greeting(step: Step, command: str, *, after: bool) -> str:
    side = "after" if after else "before"
    start = f"\nstart the hook by hand: {command}" if command else ""
    return f"{step.title}, {side} it; what you change is thrown away{start}"
