"""A build as the stream of lines that users of DIB know: what hooks print, each line with its time.

What the engine adds says what is cached and built, in lines that start with ``dibflow:``.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from dibflow.cli.progress import Tally
from dibflow.engine.failure import without_last_lines
from dibflow.engine.journal import Happening, Line
from dibflow.errors import UsageError
from dibflow.wording import human_bytes, human_seconds


@dataclass(slots=True)
class Sink:
    """Where lines go. A reader that has gone away ends nothing but its own copy."""

    file: BinaryIO
    timestamps: bool
    _gone: bool = False

    def write(self, line: bytes, *, time: str) -> None:
        """Write a line, which has no newline of its own."""
        if self._gone:
            return
        prefix = f"{time} | ".encode() if self.timestamps else b""
        try:
            self.file.write(prefix + line + b"\n")
            self.file.flush()
        except BrokenPipeError:
            self._gone = True


@contextlib.contextmanager
def sinks_of(
    variables: Mapping[str, str], logfile: str | None, *, folder: Path
) -> Iterator[tuple[Sink, ...]]:
    """Give the sinks that a caller of DIB asks for: standard output, unless quiet, and a log file.

    A log file alone means DIB_QUIET, which 0 undoes. Raises UsageError for one that cannot be made.
    """
    quiet = variables.get("DIB_QUIET") or ("1" if logfile else "0")
    sinks = []
    with contextlib.ExitStack() as undo:
        if quiet != "1":
            timestamps = variables.get("DIB_NO_TIMESTAMP") != "1"
            sinks.append(Sink(sys.stdout.buffer, timestamps))
        if logfile is not None:
            sinks.append(Sink(undo.enter_context(open_log(folder / logfile)), timestamps=True))
        yield tuple(sinks)


@contextlib.contextmanager
def open_log(path: Path) -> Iterator[BinaryIO]:
    """Open a log file to append to. Raises UsageError if that fails."""
    try:
        file = path.open("ab")
    except OSError as error:
        raise UsageError(
            f'opening the log file "{path}": {error.strerror}', hint="choose another --logfile"
        ) from error
    with file:
        yield file


@dataclass(slots=True)
class _Tail:
    """What is appended to a log, whole lines at a time."""

    path: Path
    _offset: int = 0
    _begun: bytes = field(default=b"", repr=False)

    def lines(self) -> list[bytes]:
        """Give the lines that have come since the last call."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            return []
        self._offset += len(content)
        *lines, self._begun = (self._begun + content).split(b"\n")
        return lines

    def rest(self) -> list[bytes]:
        """Give the lines that have come, and what stands after the last newline."""
        lines = self.lines()
        return [*lines, self._begun] if self._begun else lines


class LogStream:
    """A display of one image: all that its hooks print, and a line for what becomes of each."""

    def __init__(self, tally: Tally, sinks: Sequence[Sink]) -> None:
        self._tally = tally
        self._sinks = sinks
        self._tails: dict[str, _Tail] = {}

    def say(self, text: str) -> None:
        """Write what the engine has to say, line by line."""
        self._write([f"dibflow: {line}".encode() for line in text.splitlines()])

    def update(self, tally: Tally, line: Line) -> None:
        """Follow the log of a step that starts, say what becomes of one that ends."""
        if tally is not self._tally:
            return
        owner = f" (element {line.element})" if line.element else ""
        if line.happening is Happening.STARTED:
            self._tails[line.key] = _Tail(Path(line.text))
            self.say(f"{line.title}{owner}: running")
            return
        if line.key in self._tails:
            self._write(self._tails.pop(line.key).rest())
        if line.happening is Happening.BUILT:
            took = f"{human_seconds(line.seconds)}, {human_bytes(line.size_bytes)}"
            self.say(f"{line.title}{owner}: built, {took}")
        elif line.happening in {Happening.REUSED, Happening.SKIPPED}:
            self.say(f"{line.title}{owner}: {line.happening.value}")
        elif line.happening is Happening.FAILED:
            self.say(without_last_lines(line.text))

    def tick(self) -> None:
        """Pass on what the running hooks have printed."""
        for tail in self._tails.values():
            self._write(tail.lines())

    def close(self) -> None:
        """Pass on the rest."""
        for tail in self._tails.values():
            self._write(tail.rest())
        self._tails.clear()

    def _write(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            time = datetime.now(UTC).isoformat(" ", "milliseconds").removesuffix("+00:00")
            for sink in self._sinks:
                sink.write(line, time=time)


def quieten_closed_output() -> None:
    """Keep the interpreter from complaining, at its end, of a reader that has gone away."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
