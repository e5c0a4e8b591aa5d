"""Explanations: what they fit, what they leave unexplained, and how they are read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.parity.compare import Difference, Subject
from bench.parity.explained import Explanation, judge, read_explanations
from dibflow.errors import DefinitionError

MODE = Difference(Subject.TREE, "etc/motd", "mode", "0644", "0600")
CONTENT = Difference(Subject.TREE, "etc/motd", "digest", "1", "2")


def explanation(
    *,
    subject: Subject = Subject.TREE,
    name: str = "etc/motd",
    aspects: tuple[str, ...] = (),
    dib: str | None = None,
    lines: str | None = None,
) -> Explanation:
    return Explanation(
        reason="because",
        subject=subject,
        name=re.compile(name),
        aspects=aspects,
        dib=re.compile(dib) if dib is not None else None,
        lines=re.compile(lines) if lines is not None else None,
    )


def unexplained(
    difference: Difference, by: Explanation, *, changed: Sequence[str] = ()
) -> tuple[Difference, ...]:
    return judge([difference], [by], changed=lambda _: changed).unexplained


def test_an_explanation_fits_by_its_name_alone() -> None:
    assert unexplained(MODE, explanation()) == ()


@pytest.mark.parametrize(
    "by",
    [
        explanation(name="etc"),
        explanation(subject=Subject.SERVICES),
        explanation(aspects=("digest",)),
        explanation(dib="0640"),
    ],
    ids=["a part of the name", "another subject", "another aspect", "another value"],
)
def test_what_does_not_fit_in_every_respect_is_unexplained(by: Explanation) -> None:
    assert unexplained(MODE, by) == (MODE,)


def test_lines_explain_a_content_whose_changed_lines_all_fit() -> None:
    by = explanation(aspects=("digest",), lines="^. Date: ")

    assert unexplained(CONTENT, by, changed=["- Date: 1", "+ Date: 2"]) == ()


def test_one_changed_line_that_does_not_fit_leaves_the_content_unexplained() -> None:
    by = explanation(aspects=("digest",), lines="^. Date: ")

    assert unexplained(CONTENT, by, changed=["- Date: 1", "+ Date: 2", "+ x"]) == (CONTENT,)


def test_lines_do_not_explain_a_content_without_changed_lines() -> None:
    assert unexplained(CONTENT, explanation(lines="."), changed=[]) == (CONTENT,)


def test_the_first_explanation_that_fits_counts() -> None:
    verdict = judge([MODE, CONTENT], [explanation(), explanation()], changed=lambda _: [])

    assert verdict.reasons() == {"because": 2}


def test_the_shipped_explanations_can_be_read() -> None:
    assert all(one.reason for one in read_explanations())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {subject: tree, name: x}", 'has no "reason"'),
        ("- {subject: trees, name: x, reason: r}", "expected one of tree, packages"),
        ("- {subject: tree, name: '(', reason: r}", "is no regular expression"),
        ("- {subject: tree, name: x, reason: r, line: x}", 'did you mean "lines"'),
    ],
)
def test_a_wrong_explanation_is_refused(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "explained.yaml"
    file.write_text(text)

    with pytest.raises(DefinitionError) as refused:
        read_explanations(file)

    assert said in str(refused.value)
