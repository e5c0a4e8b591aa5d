"""Compare two builds, entry by entry; nothing here reads or writes anything.

Each difference is a value of its own, so that one of a mode does not hide one of the content.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum

from bench.parity.tree import Entry

ABSENT = "absent"


class Subject(Enum):
    """What is compared."""

    TREE = "tree"
    PACKAGES = "packages"
    SERVICES = "services"
    HOOKS = "hooks"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same: `aspect` of `name`, as it is in each of the two builds."""

    subject: Subject
    name: str
    aspect: str
    dib: str
    dibflow: str

    def __str__(self) -> str:
        """Give the difference as a line."""
        return (
            f"{self.subject.value}: {self.name}: {self.aspect}: "
            f"DIB {self.dib}, dibflow {self.dibflow}"
        )


def compare_trees(dib: Mapping[str, Entry], dibflow: Mapping[str, Entry]) -> list[Difference]:
    """Compare each entry of either tree, in the order of their paths."""
    found = []
    for path in sorted(dib.keys() | dibflow.keys()):
        theirs, ours = dib.get(path), dibflow.get(path)
        if theirs is None or ours is None:
            found.append(_presence(Subject.TREE, path, theirs, ours))
            continue
        for aspect in fields(Entry):
            their, our = getattr(theirs, aspect.name), getattr(ours, aspect.name)
            if their != our:
                shown = (_shown(aspect.name, value) for value in (their, our))
                found.append(Difference(Subject.TREE, path, aspect.name, *shown))
    return found


def compare_maps(
    subject: Subject, dib: Mapping[str, str], dibflow: Mapping[str, str]
) -> list[Difference]:
    """Compare what has a name and a value: packages with versions, services with their links."""
    found = []
    for name in sorted(dib.keys() | dibflow.keys()):
        theirs, ours = dib.get(name, ABSENT), dibflow.get(name, ABSENT)
        if theirs != ours:
            found.append(Difference(subject, name, "value", theirs, ours))
    return found


def compare_order(subject: Subject, dib: Sequence[str], dibflow: Sequence[str]) -> list[Difference]:
    """Compare two sequences: what only one of them has at a place is a difference."""
    matcher = difflib.SequenceMatcher(a=dib, b=dibflow, autojunk=False)
    found: list[Difference] = []
    for tag, start, end, other_start, other_end in matcher.get_opcodes():
        if tag == "equal":
            continue
        found += [
            Difference(subject, dib[index], "order", f"number {index + 1}", ABSENT)
            for index in range(start, end)
        ]
        found += [
            Difference(subject, dibflow[index], "order", ABSENT, f"number {index + 1}")
            for index in range(other_start, other_end)
        ]
    return found


def changed_lines(dib: str, dibflow: str) -> Iterator[str]:
    """Give the lines that only one of two texts has: ``- `` before DIB's, ``+ `` before ours."""
    theirs, ours = dib.splitlines(), dibflow.splitlines()
    matcher = difflib.SequenceMatcher(a=theirs, b=ours, autojunk=False)
    for tag, start, end, other_start, other_end in matcher.get_opcodes():
        if tag != "equal":
            yield from (f"- {line}" for line in theirs[start:end])
            yield from (f"+ {line}" for line in ours[other_start:other_end])


def _presence(subject: Subject, name: str, theirs: Entry | None, ours: Entry | None) -> Difference:
    shown = (entry.kind if entry is not None else ABSENT for entry in (theirs, ours))
    return Difference(subject, name, "presence", *shown)


def _shown(aspect: str, value: object) -> str:
    if aspect == "mode":
        return f"{value:04o}"
    if aspect == "digest":
        return str(value)[:12] or ABSENT
    return str(value) if value not in ("", (), None) else ABSENT
