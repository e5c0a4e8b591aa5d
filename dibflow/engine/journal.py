"""The journal of a build: one line for each thing that happens to a step.

Written by whichever process runs a step, read by whoever shows progress: a person's terminal, a
later `dibflow log`. A line is one JSON object, appended in one write(2), so that processes writing
at once do not tear each other's lines (POSIX, write(), O_APPEND).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

from dibflow.planning.plan import Step


class Happening(Enum):
    """What a line of the journal tells."""

    BEGIN = "begin"
    STARTED = "started"
    BUILT = "built"
    REUSED = "reused"
    CACHED = "cached"
    SKIPPED = "skipped"
    FAILED = "failed"
    END = "end"


@dataclass(frozen=True, slots=True)
class Line:
    """One line: when (seconds since the epoch), what, and to which step.

    `size_bytes` is what the step's layer or output holds, `seconds` what it took. `text` is the
    path of the log where a step starts, and the whole error where it fails; `status` is then the
    exit status that the error stands for, and `hook_status` that of the hook, if one failed. BEGIN,
    END and what fails beside the steps have no key.
    """

    time: float
    happening: Happening
    key: str = ""
    title: str = ""
    element: str = ""
    seconds: float = 0.0
    size_bytes: int = 0
    text: str = ""
    status: int = 0
    hook_status: int = 0


class Journal:
    """An append-only file of lines."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, text: str) -> None:
        """Start a run; earlier runs stay above it."""
        self._append(Line(time.time(), Happening.BEGIN, text=text))

    def end(self, text: str) -> None:
        """Say how the run ended."""
        self._append(Line(time.time(), Happening.END, text=text))

    def fail(
        self, title: str, *, text: str, status: int, hook_status: int = 0, step: Step | None = None
    ) -> None:
        """Append that something failed: `step`, or what `title` names beside the steps."""
        key, element = (step.key, step.element) if step else ("", "")
        self._append(
            Line(
                time.time(),
                Happening.FAILED,
                key,
                title,
                element,
                text=text,
                status=status,
                hook_status=hook_status,
            )
        )

    def note(
        self,
        step: Step,
        happening: Happening,
        *,
        seconds: float = 0.0,
        size_bytes: int = 0,
        text: str = "",
    ) -> None:
        """Append what happened to `step`."""
        self._append(
            Line(
                time.time(),
                happening,
                step.key,
                step.title,
                step.element,
                round(seconds, 3),
                size_bytes,
                text,
            )
        )

    def _append(self, line: Line) -> None:
        data = {**asdict(line), "happening": line.happening.value}
        text = json.dumps({name: value for name, value in data.items() if value}) + "\n"
        descriptor = os.open(
            self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    def lines(self) -> Iterator[Line]:
        """Give all lines so far; a line that a crash cut short is passed over."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        for raw in text.splitlines():
            line = parse_line(raw)
            if line is not None:
                yield line


def parse_line(raw: str) -> Line | None:
    """Read one line; None if it is not whole."""
    try:
        value = json.loads(raw)
        return Line(**{**value, "happening": Happening(value["happening"])})
    except (ValueError, KeyError, TypeError):
        return None
