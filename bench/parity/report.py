"""Compare two builds in every respect, and say it."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bench.parity.builds import Built
from bench.parity.compare import (
    Difference,
    Subject,
    changed_lines,
    compare_maps,
    compare_order,
    compare_trees,
)
from bench.parity.explained import Explanation, Verdict, judge
from bench.parity.initrd import read_initrd
from bench.parity.system import DPKG_STATUS, packages_of, services_of
from bench.parity.tree import Entry, Tree

_INITRD = re.compile(r"boot/initrd\.img-.+")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the comparison of two builds came to."""

    verdict: Verdict
    entries: int
    hooks: int
    dib_seconds: float
    dibflow_seconds: float


def compare(dib: Built, dibflow: Built, explanations: Sequence[Explanation]) -> Comparison:
    """Compare trees, packages, services and hooks, and look for the reasons of differences."""
    trees = (dib.tree, dibflow.tree)
    differences: list[Difference] = [
        *compare_trees(dib.tree.entries, dibflow.tree.entries),
        *compare_initrds(*trees),
        *compare_maps(Subject.PACKAGES, *(packages_of(tree.text(DPKG_STATUS)) for tree in trees)),
        *compare_maps(Subject.SERVICES, *(services_of(tree.entries) for tree in trees)),
        *compare_order(Subject.HOOKS, dib.hooks, dibflow.hooks),
    ]
    by_line = {
        one.name
        for one in differences
        if one.aspect == "digest"
        and any(each.lines and each.name.fullmatch(one.name) for each in explanations)
    }
    theirs, ours = (tree.contents(lambda path: path in by_line) for tree in trees)

    @functools.cache
    def changed(path: str) -> tuple[str, ...]:
        texts = (side.get(path, b"").decode(errors="replace") for side in (theirs, ours))
        return tuple(changed_lines(*texts))

    return Comparison(
        verdict=judge(differences, explanations, changed=changed),
        entries=len(dibflow.tree.entries),
        hooks=len(dibflow.hooks),
        dib_seconds=dib.seconds,
        dibflow_seconds=dibflow.seconds,
    )


def compare_initrds(dib: Tree, dibflow: Tree) -> list[Difference]:
    """Compare what is in the initial RAM filesystems that are not the same, below their paths."""
    paths = {
        path
        for path, entry in dib.entries.items()
        if _INITRD.fullmatch(path)
        and entry.kind == "file"
        and path in dibflow.entries
        and dibflow.entries[path].digest != entry.digest
    }
    sides = []
    for tree in (dib, dibflow):
        found: dict[str, Entry] = {}
        for path, content in tree.contents(lambda path: path in paths).items():
            inner = read_initrd(content)
            found.update({f"{path}/{name}": entry for name, entry in inner.items()})
        sides.append(found)
    return compare_trees(*sides)


def as_text(comparison: Comparison, *, every: bool = False) -> str:
    """Give the comparison for a person; with `every` each explained difference has a line too."""
    verdict = comparison.verdict
    lines = [
        f"{comparison.entries} entries, {comparison.hooks} hooks; "
        f"DIB {comparison.dib_seconds:.0f} s, dibflow {comparison.dibflow_seconds:.0f} s",
        f"{len(verdict.explained)} explained differences:",
        *(f"{count:6}  {reason}" for reason, count in verdict.reasons().items()),
    ]
    if every:
        lines += [f"        {difference}" for difference, _ in verdict.explained]
    lines.append(f"{len(verdict.unexplained)} unexplained differences")
    lines += [f"        {difference}" for difference in verdict.unexplained]
    return "\n".join(lines)
