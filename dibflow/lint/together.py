"""Rules for elements that are used together."""

from __future__ import annotations

from collections.abc import Iterator

from dibflow.lint.model import Problem, Rule, Severity
from dibflow.lint.source import ElementSource
from dibflow.lint.surroundings import Surroundings


def duplicate_hook(element: ElementSource, around: Surroundings) -> Iterator[Problem]:
    """A file that another element brings under the same path, where an image may have both."""
    own = around.neighbours.get(element.name)
    if own is None:
        return
    for other in around.neighbours.values():
        shared = own.merged & other.merged
        if other.name == element.name or not shared:
            continue
        if around.usable_together(element.name, other.name):
            for path in sorted(shared):
                yield Problem(path, f'the element "{other.name}" brings the same path')


RULES = (Rule("duplicate-hook", Severity.ERROR, duplicate_hook),)
