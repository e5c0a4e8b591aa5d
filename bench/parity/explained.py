"""The differences that have a reason, kept as data in ``explained.yaml``.

An explanation names what differs as narrowly as it can: a pattern of names, aspects, the two
values, and, for the content of a text, the lines that may differ. What it does not name stays
unexplained.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.parity.compare import Difference, Subject
from dibflow.yamlfile import YamlValue, read_yaml

FILE = Path(__file__).with_name("explained.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A reason, and the differences it is the reason of.

    All that is given must fit: `name` and the values as whole regular expressions, `aspects` as a
    list. With `lines`, each line that only one of the two files has must fit it somewhere.
    """

    reason: str
    subject: Subject
    name: re.Pattern[str]
    aspects: tuple[str, ...] = ()
    dib: re.Pattern[str] | None = None
    dibflow: re.Pattern[str] | None = None
    lines: re.Pattern[str] | None = None

    def fits(self, difference: Difference, *, changed: Callable[[str], Sequence[str]]) -> bool:
        """Tell whether this explains `difference`; `changed` gives the changed lines of a file."""
        return (
            difference.subject is self.subject
            and self.name.fullmatch(difference.name) is not None
            and (not self.aspects or difference.aspect in self.aspects)
            and (self.dib is None or self.dib.fullmatch(difference.dib) is not None)
            and (self.dibflow is None or self.dibflow.fullmatch(difference.dibflow) is not None)
            and (self.lines is None or self._fits_lines(changed(difference.name)))
        )

    def _fits_lines(self, changed: Sequence[str]) -> bool:
        pattern = self.lines
        return pattern is not None and bool(changed) and all(map(pattern.search, changed))


@dataclass(frozen=True, slots=True)
class Verdict:
    """The differences of two builds: each with the reason of the first explanation that fits it."""

    explained: tuple[tuple[Difference, Explanation], ...]
    unexplained: tuple[Difference, ...]

    def reasons(self) -> dict[str, int]:
        """Count the differences of each reason."""
        counts: dict[str, int] = {}
        for _, explanation in self.explained:
            counts[explanation.reason] = counts.get(explanation.reason, 0) + 1
        return counts


def judge(
    differences: Iterable[Difference],
    explanations: Sequence[Explanation],
    *,
    changed: Callable[[str], Sequence[str]],
) -> Verdict:
    """Find the reason of each difference."""
    explained, unexplained = [], []
    for difference in differences:
        for explanation in explanations:
            if explanation.fits(difference, changed=changed):
                explained.append((difference, explanation))
                break
        else:
            unexplained.append(difference)
    return Verdict(tuple(explained), tuple(unexplained))


def read_explanations(path: Path = FILE) -> tuple[Explanation, ...]:
    """Read the explanations, in the order of the file. Raises DefinitionError."""
    content = read_yaml(path)
    return tuple(map(_explanation, content.items())) if content is not None else ()


_KEYS = ("reason", "subject", "name", "aspects", "dib", "dibflow", "lines")


def _explanation(value: YamlValue) -> Explanation:
    fields = value.fields(_KEYS)
    for key in ("reason", "subject", "name"):
        if key not in fields:
            value.refuse(f'has no "{key}"', hint="an explanation needs reason, subject and name")
    try:
        subject = Subject(fields["subject"].text())
    except ValueError:
        known = ", ".join(one.value for one in Subject)
        fields["subject"].refuse(f"expected one of {known}")
    return Explanation(
        reason=" ".join(fields["reason"].text().split()),
        subject=subject,
        name=_pattern(fields["name"]),
        aspects=fields["aspects"].texts() if "aspects" in fields else (),
        dib=_pattern(fields["dib"]) if "dib" in fields else None,
        dibflow=_pattern(fields["dibflow"]) if "dibflow" in fields else None,
        lines=_pattern(fields["lines"]) if "lines" in fields else None,
    )


def _pattern(value: YamlValue) -> re.Pattern[str]:
    try:
        return re.compile(value.text())
    except re.error as error:
        value.refuse(f"is no regular expression: {error}")
