"""Tell whether what elements download has changed since the last build.

A token stands for the state of the world that an element builds from; it is part of the keys of the
element's hooks, so an unchanged token reuses them and a changed one rebuilds from there.

- An element with a ``fingerprint`` program is asked: its token is the digest of what it prints.
- Where no element that fills root.d has one, each of those elements gets the time of its first
  use, until that is older than its ``max_age``.

A build that has not finished never asks: it keeps the tokens of its pinned plan.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from dibflow.errors import StepError
from dibflow.planning.element import Element

log = logging.getLogger(__name__)

DEFAULT_MAX_AGE = timedelta(hours=24)


class Clock(Protocol):
    """What tells the time."""

    def now(self) -> datetime:
        """Give the time, with its zone."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Give the time in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Token:
    """What an element's hooks are keyed with: `value`, standing for `answer` since a time.

    They differ after a refresh, which must give a new key though the answer may be the old one.
    """

    value: str
    answer: str
    since: str


class TokenStore(Protocol):
    """Where tokens are kept between builds, one for each element."""

    def token(self, element: str) -> Token | None:
        """Give the token last used; None if there is none."""

    def keep(self, element: str, token: Token) -> None:
        """Keep a token for later builds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """Finds the tokens of a new build.

    `ask` runs an element's fingerprint program and gives what it printed; it raises StepError when
    the program cannot tell. `refresh` takes every answer as changed, `offline` asks nobody.
    """

    tokens: TokenStore
    clock: Clock
    ask: Callable[[Element], str]
    refresh: bool = False
    offline: bool = False

    def of(self, elements: Sequence[Element], *, root: frozenset[str]) -> Mapping[str, str]:
        """Give the token of each element that has one; `root` names those with hooks in root.d."""
        asked = [element for element in elements if element.meta.fingerprint is not None]
        found = {element.name: self._asked(element) for element in asked}
        covered = any(element.name in root for element in asked)
        for element in elements:
            if element.name in found or element.name not in root:
                continue
            if element.meta.max_age_seconds is not None or not covered:
                found[element.name] = self._aged(element)
        return found

    def _asked(self, element: Element) -> str:
        known = self.tokens.token(element.name)
        if self.offline and known is not None:
            return known.value
        if self.offline:
            return "offline"
        try:
            answer = hashlib.sha256(self.ask(element).encode()).hexdigest()
        except StepError as error:
            if known is None or self.refresh:
                raise
            log.warning(
                "%s; taking its last answer, of %s, as still true", error.message, known.since
            )
            return known.value
        if known is not None and known.answer == answer and not self.refresh:
            return known.value
        now = self.clock.now().isoformat(timespec="seconds")
        value = f"{answer} {now}" if self.refresh else answer
        self.tokens.keep(element.name, Token(value, answer, now))
        return value

    def _aged(self, element: Element) -> str:
        known = self.tokens.token(element.name)
        now = self.clock.now()
        seconds = element.meta.max_age_seconds
        limit = DEFAULT_MAX_AGE if seconds is None else timedelta(seconds=seconds)
        if known is not None and (self.offline or not self.refresh):
            age = now - datetime.fromisoformat(known.since)
            if self.offline or age < limit:
                return known.value
        stamp = now.isoformat(timespec="seconds")
        self.tokens.keep(element.name, Token(stamp, "", stamp))
        return stamp
