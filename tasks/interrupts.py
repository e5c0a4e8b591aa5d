"""Stop when asked to: SIGINT and SIGTERM end a build cleanly and say how to go on.

The step that runs is ended by an exception, so that its sandbox is killed, its half-made layer
removed and the scheduler told; Luigi is told with its own signal, SIGUSR1, to start nothing more.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

from dibflow.engine.build import Build
from dibflow.errors import Interrupted
from dibflow.planning.plan import StepKind

_steps_running = 0
"""Steps that this process runs right now: a signal handler has no other way to know."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Have a signal end the body with `Interrupted`, in the process that runs it."""
    global _steps_running  # noqa: PLW0603 - see its docstring
    _steps_running += 1
    try:
        yield
    finally:
        _steps_running -= 1


def stop_cleanly(build: Build) -> None:
    """Have SIGINT and SIGTERM stop `build`; what is finished is kept.

    The process then ends with 128 plus the signal's number. Does nothing outside the main thread,
    where Python takes no handlers.
    """
    luigi_process = os.getpid()

    def stop(number: int, _: FrameType | None) -> None:
        name = signal.Signals(number).name
        signal.signal(number, signal.SIG_IGN)
        if os.getpid() == luigi_process:
            say_how_to_resume(build, name)
            atexit.register(_end_with, 128 + number)
            os.kill(luigi_process, signal.SIGUSR1)
            for child in multiprocessing.active_children():
                child.terminate()
        if _steps_running:
            raise Interrupted(f"stopped by {name}", hint="the same command goes on from there")

    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)


def say_how_to_resume(build: Build, name: str) -> None:
    """Tell the person at the terminal what is kept and how to go on."""
    done, total = progress(build)
    print(  # noqa: T201 - a person at a terminal waits for this
        f"\ndibflow: stopped by {name}; {done} of {total} steps are finished and kept in "
        f"{build.store.root}\nhint: give the same command again, it goes on from there",
        file=sys.stderr,
        flush=True,
    )


def _end_with(status: int) -> None:
    """End the process with `status`: Luigi's own tells only that a task has failed."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def progress(build: Build) -> tuple[int, int]:
    """Give how many steps of the tree are finished, and how many there are."""
    steps = [step for step in build.plan.steps if step.kind is not StepKind.OUTPUT]
    done = sum(build.store.finished(step.key) is not None for step in steps)
    return done, len(steps)
