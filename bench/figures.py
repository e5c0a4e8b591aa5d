"""Figures: what was measured, against what, and how they are shown."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured quantity: a sample for each round, in `unit`.

    `plain` are samples of what the same work takes without the engine, taken in the same rounds,
    in the same unit; empty where there is no such thing. `limit` is None for what is only shown.
    """

    name: str
    unit: str
    samples: tuple[float, ...]
    plain: tuple[float, ...] = ()
    limit: float | None = None

    @property
    def median(self) -> float:
        """The middle of the samples."""
        return statistics.median(self.samples)

    @property
    def p90(self) -> float:
        """The value that nine of ten samples do not pass."""
        ordered = sorted(self.samples)
        return ordered[max(0, -(-9 * len(ordered) // 10) - 1)]

    @property
    def ratio(self) -> float | None:
        """How many times the plain work: the median over that of `plain`."""
        return self.median / statistics.median(self.plain) if self.plain else None

    @property
    def passes(self) -> bool:
        """Tell whether the median keeps the limit; what has none passes."""
        return self.limit is None or self.median <= self.limit

    def to_json(self) -> dict[str, object]:
        """Give a JSON value with the samples and all that the table shows."""
        return {
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "p90": self.p90,
            "min": min(self.samples),
            "max": max(self.samples),
            "ratio": self.ratio,
            "limit": self.limit,
            "passes": self.passes,
            "samples": self.samples,
            "plain": self.plain,
        }


_HEAD = ("what", "median", "p90", "min..max", "plain", "ratio", "limit", "")


def table(figures: Iterable[Figure]) -> str:
    """Lay figures out in columns, one a line."""
    rows = [_HEAD, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _row(figure: Figure) -> tuple[str, ...]:
    ratio, limit = figure.ratio, figure.limit
    verdict = "" if limit is None else "pass" if figure.passes else "FAIL"
    return (
        figure.name,
        f"{figure.median:.3g} {figure.unit}",
        f"{figure.p90:.3g}",
        f"{min(figure.samples):.3g}..{max(figure.samples):.3g}",
        f"{statistics.median(figure.plain):.3g}" if figure.plain else "",
        f"{ratio:.3g}x" if ratio is not None else "",
        f"{limit:.4g} {figure.unit}" if limit is not None else "",
        verdict,
    )


def machine(folder: Path) -> str:
    """Say on what was measured: cores, kernel, Python, and the filesystem of `folder`."""
    done = subprocess.run(
        ["stat", "--file-system", "--format=%T", str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cores} cores, Linux {platform.release()}, Python {platform.python_version()}, "
        f"store on {done.stdout.strip()}"
    )


def deltas(times: Sequence[float], *, scale: float = 1.0) -> tuple[float, ...]:
    """Give the differences between neighbours, multiplied by `scale`."""
    return tuple((later - earlier) * scale for earlier, later in pairwise(times))
