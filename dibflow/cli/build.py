"""``dibflow build``: the build that ``luigi --module dibflow BuildImage`` does, with progress."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import sys
import time
from typing import TYPE_CHECKING

from dibflow.cli.progress import Display, Follower, LiveDisplay, PlainDisplay, Tally
from dibflow.cli.selection import add_options, requests_of
from dibflow.engine.build import Build, Shelf
from dibflow.errors import StepError
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
    parser.add_argument("--scheduler-url", metavar="URL", help="use a running luigid")
    parser.add_argument(
        "--strict-inputs",
        action="store_true",
        help="hide from hooks each variable that is not in their keys",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="show Luigi's own log")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Build what the arguments ask for; give the exit status of what went wrong first."""
    from dibflow.tasks.opening import plan_build  # noqa: PLC0415 - loads Luigi: only for a build

    started = time.monotonic()
    requests = requests_of(arguments)
    shelf = Shelf.of(requests[0].environment)
    builds = [
        plan_build(dataclasses.replace(request, strict_inputs=arguments.strict_inputs), shelf=shelf)
        for request in requests
    ]
    for build in builds:
        for warning in build.plan.warnings:
            print(f"dibflow: warning: {warning}", file=sys.stderr)
    tallies = [Tally.of(build) for build in builds]
    unfinished = [build for build in builds if not build.is_finished()]
    if unfinished:
        with Follower(builds, _display(tallies, verbose=arguments.verbose), tallies):
            succeeded = _run_luigi(arguments, unfinished)
        builds = [build.settled() for build in builds]
        failed = [line for tally in tallies for line in tally.failed]
        # Luigi takes it as a success when another worker has the tasks, be it dead or alive.
        if failed or not succeeded or not all(build.is_finished() for build in builds):
            return _tell_failures(tallies)
    for build, tally in zip(builds, tallies, strict=True):
        _tell_outputs(build, tally, seconds=time.monotonic() - started)
    return 0


def _display(tallies: list[Tally], *, verbose: bool) -> Display:
    dumb = os.environ.get("TERM", "dumb") == "dumb"
    if sys.stdout.isatty() and not dumb and not verbose:
        return LiveDisplay(tallies)
    return PlainDisplay(sys.stdout, tallies)


def _run_luigi(arguments: argparse.Namespace, builds: list[Build]) -> bool:
    import luigi  # noqa: PLC0415 - a quarter of a second that looking commands do without
    import luigi.setup_logging  # noqa: PLC0415

    from dibflow.tasks.image import BuildImage  # noqa: PLC0415
    from dibflow.tasks.interrupts import stop_cleanly  # noqa: PLC0415

    luigi.setup_logging.InterfaceLogging._configured = not arguments.verbose
    logging.getLogger("luigi-interface").setLevel(
        logging.INFO if arguments.verbose else logging.CRITICAL
    )
    for build in builds:
        stop_cleanly(build)
    options = {"scheduler_url": arguments.scheduler_url} if arguments.scheduler_url else {}
    return bool(
        luigi.build(
            [BuildImage.of(build) for build in builds],
            local_scheduler=not arguments.scheduler_url,
            workers=arguments.workers,
            **options,
        )
    )


def _tell_failures(tallies: list[Tally]) -> int:
    failures = [line for tally in tallies for line in tally.failed]
    for line in failures:
        print(f"dibflow: {line.text}", file=sys.stderr)
    if not failures:
        print(
            "dibflow: the build has not finished, though none of its steps failed\n"
            "hint: another worker of the scheduler may have them; of one that was killed it knows "
            "after two minutes at most; --verbose shows what Luigi does",
            file=sys.stderr,
        )
    return failures[0].status if failures else StepError.exit_status


def _tell_outputs(build: Build, tally: Tally, *, seconds: float) -> None:
    for kind in build.definition.types:
        file = build.output(kind)
        if file is not None:
            print(f"{file.path}  {human_bytes(file.size)}")
    print(f"{build.stem().name}: {tally.summary()}, {human_seconds(seconds)}")
