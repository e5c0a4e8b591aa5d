"""``dibflow build``: the build that ``luigi --module dibflow BuildImage`` does, with progress."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import sys
import time
from typing import TYPE_CHECKING

from dibflow.cli.progress import Display, Follower, LiveDisplay, PlainDisplay, Tally
from dibflow.cli.running import Manner, Several, StopAtFailure, plan_all, run_luigi
from dibflow.cli.selection import add_options, requests_of
from dibflow.cli.stream import LogStream, Sink, open_log
from dibflow.engine.build import Build
from dibflow.errors import StepError
from dibflow.planning.dibcommand import command_line
from dibflow.wording import human_bytes, human_seconds

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to those of ``dibflow``."""
    parser = subparsers.add_parser(
        "build",
        help="build images",
        description="Build images. What is finished already is not done again: a build that failed "
        "or was stopped goes on from its last finished hook.",
        epilog="example: dibflow build debian-minimal -o out/demo -t qcow2,tar",
    )
    add_options(parser)
    parser.add_argument(
        "-w", "--workers", type=int, default=2, metavar="N", help="tasks at once (default: 2)"
    )
    parser.add_argument("--scheduler-url", metavar="URL", default="", help="use a running luigid")
    parser.add_argument(
        "--strict-inputs",
        action="store_true",
        help="hide from hooks each variable that is not in their keys",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the command of each image on standard error, and build nothing",
    )
    parser.add_argument(
        "--stop-on-failure",
        action="store_true",
        help="start no more steps of any image once one has failed",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="show Luigi's own log")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Build what the arguments ask for; give the exit status of what went wrong last."""
    started = time.monotonic()
    requests = requests_of(arguments)
    if arguments.dry_run:
        for request in requests:
            print(command_line(request.definition), file=sys.stderr)
        return 0
    builds = plan_all(
        [
            dataclasses.replace(request, strict_inputs=arguments.strict_inputs)
            for request in requests
        ]
    )
    for build in builds:
        for warning in build.plan.warnings:
            print(f"dibflow: warning: {warning}", file=sys.stderr)
    tallies = [Tally.of(build) for build in builds]
    unfinished = [build for build in builds if not build.is_finished()]
    if unfinished:
        with contextlib.ExitStack() as undo:
            displays = _displays(builds, tallies, arguments, undo)
            undo.enter_context(Follower(builds, Several(displays), tallies))
            succeeded = _build(unfinished, arguments)
        builds = [build.settled() for build in builds]
        failed = [line for tally in tallies for line in tally.failed]
        if failed or not succeeded or not all(build.is_finished() for build in builds):
            return _tell_failures(tallies)
    for build, tally in zip(builds, tallies, strict=True):
        _tell_outputs(build, tally, seconds=time.monotonic() - started)
    return 0


def _displays(
    builds: list[Build],
    tallies: list[Tally],
    arguments: argparse.Namespace,
    undo: contextlib.ExitStack,
) -> list[Display]:
    """Give the progress, and a log of all that hooks print for each image that asks for one."""
    displays = [_display(tallies, verbose=arguments.verbose)]
    for build, tally in zip(builds, tallies, strict=True):
        if build.definition.logfile is not None:
            log = open_log(build.request.folder / build.definition.logfile)
            displays.append(LogStream(tally, [Sink(undo.enter_context(log), timestamps=True)]))
    if arguments.stop_on_failure:
        displays.append(StopAtFailure())
    return displays


def _display(tallies: list[Tally], *, verbose: bool) -> Display:
    dumb = os.environ.get("TERM", "dumb") == "dumb"
    if sys.stdout.isatty() and not dumb and not verbose:
        return LiveDisplay(tallies)
    return PlainDisplay(sys.stdout, tallies)


def _build(builds: list[Build], arguments: argparse.Namespace) -> bool:
    from dibflow.tasks.image import BuildImage  # noqa: PLC0415 - loads Luigi: only for a build

    manner = Manner(arguments.workers, arguments.scheduler_url, arguments.verbose)
    return run_luigi([BuildImage.of(build) for build in builds], builds, manner)


def _tell_failures(tallies: list[Tally]) -> int:
    failures = [line for tally in tallies for line in tally.failed]
    for line in failures:
        print(f"dibflow: {line.text}", file=sys.stderr)
    if not failures:
        print(f"dibflow: {UNFINISHED}", file=sys.stderr)
    return failures[-1].status if failures else StepError.exit_status


UNFINISHED = (
    "the build has not finished, though none of its steps failed\n"
    "hint: another worker of the scheduler may have them; of one that was killed it knows "
    "after two minutes at most; --verbose shows what Luigi does"
)


def _tell_outputs(build: Build, tally: Tally, *, seconds: float) -> None:
    for kind in build.definition.types:
        file = build.output(kind)
        if file is not None:
            print(f"{file.path}  {human_bytes(file.size)}")
    print(f"{build.stem().name}: {tally.summary()}, {human_seconds(seconds)}")
