"""Plan builds and carry them out with Luigi: what all commands that build share."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dibflow.cli.progress import Display, Tally
from dibflow.engine.build import Build, BuildRequest, shelves_of
from dibflow.engine.journal import Happening, Line

if TYPE_CHECKING:
    import luigi


@dataclass(frozen=True, slots=True)
class Manner:
    """How Luigi is to go about it."""

    workers: int = 2
    scheduler_url: str = ""
    verbose: bool = False


def plan_all(requests: Sequence[BuildRequest]) -> list[Build]:
    """Plan some requests; those with the same elements path share what was read of it."""
    from dibflow.tasks.opening import plan_build  # noqa: PLC0415 - loads Luigi: only for a build

    shelves = shelves_of(requests)
    return [plan_build(request, shelf=shelves[request.elements_path]) for request in requests]


def run_luigi(tasks: Sequence[luigi.Task], builds: Sequence[Build], manner: Manner) -> bool:
    """Run tasks of `builds` to their end; tell whether Luigi takes it as a success.

    It does so, too, when another worker of the scheduler has the tasks, be it dead or alive.
    """
    import luigi  # noqa: PLC0415 - a quarter of a second that looking commands do without
    import luigi.setup_logging  # noqa: PLC0415

    from dibflow.tasks.interrupts import stop_cleanly  # noqa: PLC0415

    luigi.setup_logging.InterfaceLogging._configured = not manner.verbose
    logging.getLogger("luigi-interface").setLevel(
        logging.INFO if manner.verbose else logging.CRITICAL
    )
    for build in builds:
        stop_cleanly(build)
    options = {"scheduler_url": manner.scheduler_url} if manner.scheduler_url else {}
    return bool(
        luigi.build(
            list(tasks),
            local_scheduler=not manner.scheduler_url,
            workers=manner.workers,
            **options,
        )
    )


class Several:
    """Some displays as one."""

    def __init__(self, displays: Sequence[Display]) -> None:
        self._displays = displays

    def update(self, tally: Tally, line: Line) -> None:
        """Hand a line on."""
        for display in self._displays:
            display.update(tally, line)

    def tick(self) -> None:
        """Tell all that time goes on."""
        for display in self._displays:
            display.tick()

    def close(self) -> None:
        """Close all."""
        for display in self._displays:
            display.close()


class StopAtFailure:
    """A display that shows nothing, but has Luigi start no more once a step has failed."""

    def update(self, tally: Tally, line: Line) -> None:  # noqa: ARG002 - whichever image it is of
        """Tell Luigi, with its own signal."""
        if line.happening is Happening.FAILED:
            os.kill(os.getpid(), signal.SIGUSR1)

    def tick(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
