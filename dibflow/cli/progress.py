"""Show a build as it goes: a live display on a terminal, a line a step elsewhere.

Both follow the build's journal, so they show what other processes do as well: Luigi's workers, or
another build that runs a step we wait for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from dibflow.engine.build import Build
from dibflow.engine.journal import Happening, Line, parse_line
from dibflow.planning.plan import StepKind
from dibflow.wording import human_bytes, human_seconds

if TYPE_CHECKING:
    from rich.console import RenderableType

_POLL_SECONDS = 0.1
_SHOWN_STEPS = 6


@dataclass(slots=True)
class Tally:
    """What has become of the steps of one build so far."""

    image: str
    total: int
    cached: int
    done: dict[str, Line] = field(default_factory=dict)
    running: dict[str, Line] = field(default_factory=dict)
    failed: list[Line] = field(default_factory=list)

    @staticmethod
    def of(build: Build) -> Tally:
        """Start from what the store has of a build."""
        steps = [step for step in build.plan.steps if step.kind is not StepKind.OUTPUT]
        cached = sum(build.store.finished(step.key) is not None for step in steps)
        outputs = [step for step in build.plan.outputs if step.name in build.definition.types]
        cached += sum(build.output(step.name) is not None for step in outputs)
        return Tally(build.stem().name, len(build.plan.steps), cached)

    def add(self, line: Line) -> None:
        """Take in a line of the journal."""
        if line.happening is Happening.STARTED:
            self.running[line.key] = line
        elif line.happening in {Happening.BUILT, Happening.REUSED, Happening.SKIPPED}:
            self.running.pop(line.key, None)
            self.done[line.key] = line
        elif line.happening is Happening.FAILED:
            self.running.pop(line.key, None)
            self.failed.append(line)

    def count(self, happening: Happening) -> int:
        """Give how many steps ended so."""
        return sum(line.happening is happening for line in self.done.values())

    @property
    def finished(self) -> int:
        """The steps that are done, from before or now."""
        return min(self.total, self.cached + len(self.done))

    def summary(self) -> str:
        """Say the counts in a few words."""
        built, reused = self.count(Happening.BUILT), self.count(Happening.REUSED)
        return f"{self.cached} cached, {reused} reused, {built} built"


class JournalTail:
    """Gives the lines that are appended to a journal after it was opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size if path.exists() else 0

    def lines(self) -> Iterator[Line]:
        """Give what has come since the last call; half a line waits for its rest."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            return
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        for raw in whole.decode(errors="replace").splitlines():
            line = parse_line(raw)
            if line is not None:
                yield line


class Display(Protocol):
    """Where progress is shown."""

    def update(self, tally: Tally, line: Line) -> None:
        """Take in that `tally` has changed by `line`."""

    def tick(self) -> None:
        """Show that time goes on."""

    def close(self) -> None:
        """Show nothing more."""


class PlainDisplay:
    """A line for each step that ends, for logs and pipes."""

    def __init__(self, stream: TextIO, tallies: list[Tally]) -> None:
        self._stream = stream
        for tally in tallies:
            if tally.cached:
                print(f"{tally.image}: {tally.cached} of {tally.total} steps cached", file=stream)

    def update(self, tally: Tally, line: Line) -> None:
        """Print a line for a step that has ended."""
        if line.happening in {Happening.STARTED, Happening.BEGIN, Happening.END}:
            return
        clock = datetime.fromtimestamp(line.time).astimezone().strftime("%H:%M:%S")
        detail = ""
        if line.happening in {Happening.BUILT, Happening.REUSED}:
            detail = f"{human_seconds(line.seconds):>10} {human_bytes(line.size_bytes):>10}"
        place = f"[{tally.finished:3}/{tally.total}]"
        text = f"{clock} {place} {line.title:44} {line.happening.value:7} {detail}"
        print(text.rstrip(), file=self._stream, flush=True)

    def tick(self) -> None:
        """Do nothing: a log needs no clock."""

    def close(self) -> None:
        """Do nothing: every line is out."""


class LiveDisplay:
    """A few lines on a terminal that are drawn again as things happen."""

    def __init__(self, tallies: list[Tally]) -> None:
        from rich.live import Live  # noqa: PLC0415 - loaded only where it is shown

        self._tallies = tallies
        self._started = time.monotonic()
        self._live = Live(self._drawing(), refresh_per_second=8, transient=True)
        self._live.start()

    def update(self, tally: Tally, line: Line) -> None:  # noqa: ARG002 - it draws them all
        """Draw anew."""
        self.tick()

    def tick(self) -> None:
        """Draw anew: the seconds of the running hook have changed."""
        self._live.update(self._drawing())

    def close(self) -> None:
        """Take the display away and show the cursor again."""
        self._live.stop()

    def _drawing(self) -> RenderableType:
        from rich.console import Group  # noqa: PLC0415 - see above
        from rich.progress_bar import ProgressBar  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        parts: list[RenderableType] = []
        elapsed = human_seconds(time.monotonic() - self._started)
        for tally in self._tallies:
            head = Table.grid(padding=(0, 1))
            head.add_row(
                Text(tally.image, style="bold"),
                ProgressBar(total=max(1, tally.total), completed=tally.finished, width=24),
                Text(f"{tally.finished}/{tally.total}"),
                Text(tally.summary(), style="dim"),
                Text(elapsed, style="dim"),
            )
            parts.append(head)
            steps = Table.grid(padding=(0, 2))
            for line in list(tally.done.values())[-_SHOWN_STEPS:]:
                steps.add_row(
                    Text("✓" if line.happening is Happening.BUILT else "=", style="green"),
                    Text(line.title, overflow="ellipsis", no_wrap=True),
                    Text(line.element, style="dim"),
                    Text(human_seconds(line.seconds), justify="right", style="dim"),
                    Text(human_bytes(line.size_bytes), justify="right", style="dim"),
                )
            for line in tally.running.values():
                steps.add_row(
                    Text("▶", style="yellow"),
                    Text(line.title, style="bold", overflow="ellipsis", no_wrap=True),
                    Text(line.element, style="dim"),
                    Text(human_seconds(max(0.0, time.time() - line.time)), justify="right"),
                    Text(""),
                )
            parts.append(steps)
        return Group(*parts)


class Follower:
    """Follows the journals of some builds from a thread, for the body of a with statement."""

    def __init__(self, builds: list[Build], display: Display, tallies: list[Tally]) -> None:
        self._tails = [
            (tally, JournalTail(build.journal.path))
            for build, tally in zip(builds, tallies, strict=True)
        ]
        self._display = display
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._take_in()
        self._display.close()

    def _follow(self) -> None:
        while not self._ended.wait(_POLL_SECONDS):
            self._take_in()
            self._display.tick()

    def _take_in(self) -> None:
        for tally, tail in self._tails:
            for line in tail.lines():
                tally.add(line)
                self._display.update(tally, line)
