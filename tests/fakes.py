"""Stand-ins for what has effects: a clock that is wound by hand, tokens kept in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from dibflow.engine.freshness import Token


@dataclass
class HandWoundClock:
    """Tells the time it was last set to."""

    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def forward(self, by: timedelta) -> None:
        self.time += by


@dataclass
class MemoryTokens:
    """Keeps tokens of freshness in memory."""

    kept: dict[str, Token] = field(default_factory=dict)

    def token(self, element: str) -> Token | None:
        return self.kept.get(element)

    def keep(self, element: str, token: Token) -> None:
        self.kept[element] = token
