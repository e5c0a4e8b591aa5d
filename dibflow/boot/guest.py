"""Run a guest until its console says what was waited for. It ends with us, however we end."""

from __future__ import annotations

import logging
import os
import re
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from dibflow import linux
from dibflow.boot.console import Console
from dibflow.errors import BootFailed, HostError
from dibflow.wording import human_seconds

log = logging.getLogger(__name__)

_TAIL_LINES = 20
_CHUNK = 4096


class SilentGuest(BootFailed):
    """A guest whose console shows nothing at all."""


@contextmanager
def started(
    arguments: Sequence[str], *, on_terminal: bool = False, keep: Sequence[int] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """Hold a running qemu for the body, its output in a pipe; `keep` are descriptors it inherits.

    Raises HostError if the program is not installed.
    """
    log.debug("running %s", shlex.join(arguments))
    streams = None if on_terminal else subprocess.PIPE
    try:
        process = subprocess.Popen(
            arguments,
            stdin=None if on_terminal else subprocess.DEVNULL,
            stdout=streams,
            stderr=None if on_terminal else subprocess.STDOUT,
            pass_fds=keep,
            preexec_fn=_end_with_parent(os.getpid()),  # noqa: PLW1509 - we have no threads
        )
    except FileNotFoundError as error:
        raise HostError(
            f'the program "{arguments[0]}" is not installed',
            hint="apt-get install qemu-system (`dibflow doctor` checks all programs)",
        ) from error
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _end_with_parent(parent: int) -> Callable[[], None]:
    def prepare() -> None:
        linux.die_with_parent(signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the call
            os._exit(1)

    return prepare


def wait_for(
    arguments: Sequence[str],
    *,
    pattern: re.Pattern[str],
    timeout_seconds: float,
    silence_seconds: float | None = None,
    show: Callable[[bytes], object] = len,
) -> float:
    """Run a guest until `pattern` is on its console, end it, and give the seconds that it took.

    `show` gets the console as it goes; by default nobody does. Raises BootFailed with the
    last lines of the console, if the time is over or the guest ends first, and SilentGuest if it
    has shown nothing at all after `silence_seconds`.
    """
    console = Console(pattern)
    start = time.monotonic()
    first = timeout_seconds if silence_seconds is None else min(silence_seconds, timeout_seconds)
    with started(arguments) as process:
        if process.stdout is None:
            raise AssertionError("a pipe was asked for")
        descriptor = process.stdout.fileno()
        if first < timeout_seconds and not select.select([descriptor], [], [], first)[0]:
            raise SilentGuest(f"the console has shown nothing for {human_seconds(first)}")
        while True:
            left = start + timeout_seconds - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                raise _failed(f"after {human_seconds(timeout_seconds)}", pattern, console)
            chunk = os.read(descriptor, _CHUNK)
            if not chunk:
                status = process.wait()
                raise _failed(f"when qemu ended with status {status}", pattern, console)
            show(chunk)
            if console.feed(chunk):
                return time.monotonic() - start


def _failed(when: str, pattern: re.Pattern[str], console: Console) -> BootFailed:
    tail = console.tail(_TAIL_LINES)
    said = "\n".join(f"    {line}" for line in tail.splitlines()) or "    (nothing)"
    return BootFailed(
        f'the console had not shown "{pattern.pattern}" {when}; its last lines:\n{said}',
        hint="look at it yourself with --interactive; a slow machine may need a longer --timeout",
    )
