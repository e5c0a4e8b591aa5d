"""Stop when asked to: SIGINT and SIGTERM end a build cleanly and say how to go on."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from dibflow.engine.build import Build
from dibflow.planning.plan import StepKind


def stop_cleanly(build: Build) -> None:
    """Have SIGINT and SIGTERM stop `build`: the hook that runs is killed, what is done is kept.

    Does nothing outside the main thread, where Python takes no handlers.
    """
    luigi_process = os.getpid()

    def stop(number: int, _: FrameType | None) -> NoReturn:
        if os.getpid() == luigi_process:
            done, total = progress(build)
            print(  # noqa: T201 - a person at a terminal waits for this
                f"\ndibflow: stopped by {signal.Signals(number).name}; {done} of {total} steps are "
                f"finished and kept in {build.store.root}\n"
                "hint: give the same command again, it goes on from there",
                file=sys.stderr,
                flush=True,
            )
        # No unwinding: Luigi would take it for a failure of the task. The sandbox dies with us,
        # and the next start clears what was being written.
        os._exit(128 + number)

    try:
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
    except ValueError:
        return


def progress(build: Build) -> tuple[int, int]:
    """Give how many steps of the tree are finished, and how many there are."""
    steps = [step for step in build.plan.steps if step.kind is not StepKind.OUTPUT]
    done = sum(build.store.finished(step.key) is not None for step in steps)
    return done, len(steps)
