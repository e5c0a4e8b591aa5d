"""Choose what a store can do without: pure, over what the records say.

The unit is a step's record: with the last record that needs a layer goes the layer. Records go by
the time they were last of use; of those of one time, the ones with the longest stack go first,
because the others are below them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Use:
    """A record that needs layers and files: `needs` are their names.

    `last_used` is in seconds since the epoch. One that is `pinned` belongs to a build that has not
    finished, and stays.
    """

    name: str
    needs: frozenset[str]
    last_used: float
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Garbage:
    """What goes: names of records and of what they needed, and how many bytes that is."""

    uses: tuple[str, ...]
    items: tuple[str, ...]
    freed_bytes: int
    left_bytes: int


def choose(
    uses: Iterable[Use], sizes: Mapping[str, int], *, max_size_bytes: int | None = None
) -> Garbage:
    """Choose what goes, so that at most `max_size_bytes` are left, as far as pins allow.

    `sizes` has every layer and file there is. What no record needs goes in any case; without a
    maximum, nothing else does.
    """
    order = sorted(uses, key=lambda use: (use.last_used, -len(use.needs), use.name))
    holders = Counter(item for use in order for item in use.needs)
    gone = {item for item in sizes if holders[item] == 0}
    left = sum(size for item, size in sizes.items() if item not in gone)
    dropped: list[str] = []
    for use in order:
        if max_size_bytes is None or left <= max_size_bytes:
            break
        if use.pinned:
            continue
        dropped.append(use.name)
        for item in use.needs:
            holders[item] -= 1
            if holders[item] == 0 and item in sizes:
                gone.add(item)
                left -= sizes[item]
    return Garbage(
        uses=tuple(dropped),
        items=tuple(sorted(gone)),
        freed_bytes=sum(sizes[item] for item in gone),
        left_bytes=left,
    )
