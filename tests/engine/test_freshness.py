from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from dibflow.engine.freshness import Freshness
from dibflow.errors import StepError
from dibflow.planning.element import Element, ElementMeta
from tests.fakes import HandWoundClock, MemoryTokens

ASKED = Element("debootstrap", Path("/e/debootstrap"), meta=ElementMeta(fingerprint="fingerprint"))
PLAIN = Element("dpkg", Path("/e/dpkg"))


@dataclass
class World:
    """What the fingerprint programs would print, and when."""

    answer: str = "bookworm 1"
    clock: HandWoundClock = field(default_factory=HandWoundClock)
    tokens: MemoryTokens = field(default_factory=MemoryTokens)
    asked: int = 0
    broken: bool = False

    def ask(self, element: Element) -> str:
        self.asked += 1
        if self.broken:
            raise StepError(f"asking {element.name}: no network")
        return self.answer

    def fresh(
        self, *elements: Element, refresh: bool = False, offline: bool = False
    ) -> dict[str, str]:
        freshness = Freshness(
            tokens=self.tokens, clock=self.clock, ask=self.ask, refresh=refresh, offline=offline
        )
        return dict(freshness.of(elements, root=frozenset({"debootstrap", "dpkg"})))


def test_an_unchanged_answer_is_the_same_token() -> None:
    world = World()

    assert world.fresh(ASKED) == world.fresh(ASKED)


def test_a_changed_answer_is_another_token() -> None:
    world = World()
    before = world.fresh(ASKED)

    world.answer = "bookworm 2"

    assert world.fresh(ASKED) != before


def test_a_refresh_is_another_token_and_stays_until_the_answer_changes() -> None:
    world = World()
    before = world.fresh(ASKED)

    refreshed = world.fresh(ASKED, refresh=True)

    assert refreshed != before
    assert world.fresh(ASKED) == refreshed


def test_offline_asks_nobody() -> None:
    world = World()
    known = world.fresh(ASKED)

    assert world.fresh(ASKED, offline=True) == known
    assert world.asked == 1


def test_an_element_that_cannot_tell_is_taken_at_its_last_word() -> None:
    world = World()
    known = world.fresh(ASKED)

    world.broken = True

    assert world.fresh(ASKED) == known


def test_an_element_that_never_told_stops_the_build() -> None:
    with pytest.raises(StepError, match="no network"):
        World(broken=True).fresh(ASKED)


def test_without_any_fingerprint_a_root_lasts_a_day() -> None:
    world = World()
    first = world.fresh(PLAIN)

    world.clock.forward(timedelta(hours=23))
    second = world.fresh(PLAIN)
    world.clock.forward(timedelta(hours=2))

    assert second == first
    assert world.fresh(PLAIN) != first


def test_an_old_root_stays_offline() -> None:
    world = World()
    first = world.fresh(PLAIN)

    world.clock.forward(timedelta(days=30))

    assert world.fresh(PLAIN, offline=True) == first


def test_one_fingerprint_stands_for_the_whole_root() -> None:
    assert set(World().fresh(ASKED, PLAIN)) == {"debootstrap"}


def test_an_elements_own_age_counts_beside_a_fingerprint() -> None:
    aged = Element("keys", Path("/e/keys"), meta=ElementMeta(max_age_seconds=60))
    freshness = World()

    found = Freshness(tokens=freshness.tokens, clock=freshness.clock, ask=freshness.ask).of(
        [ASKED, aged], root=frozenset({"debootstrap", "keys"})
    )

    assert set(found) == {"debootstrap", "keys"}
