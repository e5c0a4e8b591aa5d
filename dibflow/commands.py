"""The one door for external programs of the engine (hooks go through the sandbox instead)."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import selectors
import shlex
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dibflow.errors import HostError, StepError

log = logging.getLogger(__name__)

_LAST_LINES = 5
_PIPE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, and the Debian package that brings it."""

    arguments: tuple[str, ...]
    package: str


def run(
    arguments: Sequence[str],
    *,
    doing: str,
    package: str,
    folder: Path | None = None,
    given: str = "",
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program to its end and give its standard output; it reads `given`, then the end.

    `doing` says in an error what the program was for, `package` where to get it on Debian. Its
    environment is ours, or `environment`, with messages in English. Raises HostError if it is not
    installed, StepError if it fails, with its last lines.
    """
    log.debug("running %s", shlex.join(arguments))
    try:
        done = subprocess.run(
            arguments,
            input=given,
            capture_output=True,
            text=True,
            errors="replace",
            cwd=folder,
            env=_in_english(environment),
            check=False,
        )
    except FileNotFoundError as error:
        raise _not_installed(Command(tuple(arguments), package), doing) from error
    if done.returncode != 0:
        raise _failed(arguments, done.returncode, done.stderr or done.stdout, doing)
    return done.stdout


def stream(
    *commands: Command,
    doing: str,
    feed: Iterable[bytes] | None = None,
    folder: Path | None = None,
) -> Iterator[bytes]:
    """Run programs as a pipeline and give what comes out of the last one, chunk by chunk.

    `feed` goes into the first, as far as it takes it; without one its standard input is closed.
    Neither needs a thread. Programs still running when the caller stops asking are killed. Raises
    HostError and StepError as `run` does, the latter at the end, for the first program that failed.
    """
    log.debug("running %s", " | ".join(shlex.join(one.arguments) for one in commands))
    with contextlib.ExitStack() as undo:
        said = [undo.enter_context(_memory_file()) for _ in commands]
        started: list[subprocess.Popen[bytes]] = []
        undo.callback(_end, started)
        source: int | IO[bytes] = subprocess.DEVNULL if feed is None else subprocess.PIPE
        for command, errors in zip(commands, said, strict=True):
            try:
                process = subprocess.Popen(
                    command.arguments,
                    stdin=source,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    cwd=folder,
                    env=_in_english(None),
                )
            except FileNotFoundError as error:
                raise _not_installed(command, doing) from error
            if started:
                _close(started[-1].stdout)  # else it would not hear when the next one ends
            started.append(process)
            assert process.stdout is not None  # noqa: S101 - asked for above
            source = process.stdout
        yield from _pump(started[0].stdin, started[-1].stdout, feed or ())
        _check(commands, started, said, doing)


def _pump(
    entry: IO[bytes] | None, outlet: IO[bytes] | None, feed: Iterable[bytes]
) -> Iterator[bytes]:
    """Write `feed` to `entry` and give what `outlet` has, whichever is ready."""
    assert outlet is not None  # noqa: S101 - always a pipe
    with contextlib.suppress(OSError):  # only faster: pipes larger than usual may not be allowed
        fcntl.fcntl(outlet, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    with selectors.DefaultSelector() as selector:
        selector.register(outlet, selectors.EVENT_READ)
        if entry is not None:
            os.set_blocking(entry.fileno(), False)
            selector.register(entry, selectors.EVENT_WRITE)
        chunks = (chunk for chunk in feed if chunk)
        rest: memoryview | None = memoryview(b"")
        while True:
            for ready, _ in selector.select():
                if ready.fileobj is outlet:
                    chunk = os.read(outlet.fileno(), _PIPE_BYTES)
                    if not chunk:
                        return
                    yield chunk
                elif entry is not None:
                    rest = _written(entry, rest or memoryview(next(chunks, b"")))
                    if rest is None:
                        selector.unregister(entry)
                        _close(entry)


def _written(entry: IO[bytes], rest: memoryview) -> memoryview | None:
    """Write what a pipe takes now and give what is left; None if there was nothing, or nobody."""
    if not rest:
        return None
    try:
        return rest[os.write(entry.fileno(), rest) :]
    except BlockingIOError:
        return rest
    except BrokenPipeError:
        return None


def _check(
    commands: Sequence[Command],
    started: Sequence[subprocess.Popen[bytes]],
    said: Sequence[IO[bytes]],
    doing: str,
) -> None:
    """Wait for the end of all, and raise StepError for the first that failed by itself.

    One that was ended by SIGPIPE only noticed that another had.
    """
    failed = [at for at, process in enumerate(started) if process.wait() != 0]
    own = [at for at in failed if started[at].returncode != -signal.SIGPIPE]
    for at in own or failed:
        said[at].seek(0)
        text = said[at].read().decode(errors="replace")
        raise _failed(commands[at].arguments, started[at].returncode, text, doing)


def _end(started: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in started:
        if process.poll() is None:
            process.kill()
        for pipe in (process.stdin, process.stdout):
            _close(pipe)
        process.wait()


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with contextlib.suppress(BrokenPipeError):
            pipe.close()


def _memory_file() -> IO[bytes]:
    """Open a file that takes messages even where no filesystem has room."""
    return open(os.memfd_create("dibflow-messages"), "w+b")  # noqa: PTH123 - a descriptor


def _in_english(environment: Mapping[str, str] | None) -> dict[str, str]:
    """Give an environment in which programs say what went wrong in words that we know."""
    return {**(os.environ if environment is None else environment), "LC_ALL": "C"}


def _not_installed(command: Command, doing: str) -> HostError:
    return HostError(
        f'{doing}: the program "{command.arguments[0]}" is not installed',
        hint=f"apt-get install {command.package} (`dibflow doctor` checks all programs)",
    )


def _failed(arguments: Sequence[str], status: int, text: str, doing: str) -> StepError:
    lines = text.strip().splitlines()[-_LAST_LINES:]
    said = "; ".join(line.strip() for line in lines) or "no message"
    return StepError(
        f'{doing}: "{arguments[0]}" ended with status {status}: {said}',
        hint=f"try it by hand: {shlex.join(arguments)}",
    )
