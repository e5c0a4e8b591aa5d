"""The words of the linter: rules look at an element and name problems, which become findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from dibflow.lint.source import ElementSource
from dibflow.lint.surroundings import Surroundings


class Severity(Enum):
    """How bad a finding is; only errors make the command fail."""

    ERROR = "error"
    """A build fails, or does something else than the author meant."""
    WARNING = "warning"
    """It works, but will mislead somebody."""
    NOTE = "note"
    """A matter of style."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What a rule found: `path` in the element ("" for its folder), `line` from 1.

    `severity` is for rules whose findings are not all alike; else that of the rule counts.
    """

    path: str
    message: str
    line: int = 1
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One check with the name by which it is chosen and suppressed.

    `check` is pure: what it knows is in the element's source and its surroundings.
    """

    name: str
    severity: Severity
    check: Callable[[ElementSource, Surroundings], Iterable[Problem]]


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem in a file of an element, as a person sees it."""

    element: str
    path: Path
    line: int
    severity: Severity
    rule: str
    message: str
