"""What an author has said about findings: some rules do not count here.

- a line ``# dib-lint: disable=RULE...`` in a file is for the file;
- ``# dib-lint: RULE`` at the end of a line is for that line;
- ``lint: {ignore: [RULE...]}`` in ``element.yaml`` is for the element.

The comments are those of diskimage-builder's own linter, whose names of rules count too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from dibflow.lint.model import Problem
from dibflow.lint.source import ElementSource, SourceFile
from dibflow.planning.element import META_FILE
from dibflow.yamlfile import did_you_mean

UPSTREAM_NAMES: Mapping[str, str] = {
    "executable": "executable",
    "indent": "indent",
    "newline": "final-newline",
    "safe_sudo": "unsafe-sudo",
    "sete": "set-errexit",
    "setpipefail": "set-pipefail",
    "setu": "set-nounset",
    "tabindent": "tabs",
    "which": "which",
}
"""Rules of diskimage-builder's linter, and ours that check the same."""

UPSTREAM_ONLY = frozenset(("dibdebugtrace", "mddocs"))
"""Rules of its that we do not have."""

_DISABLE = re.compile(r"\s*# dib-lint: disable=(?P<rules>.*)")
_AT_END = re.compile(r"# dib-lint: (?!disable=)(?P<rules>\w[\w ,-]*)")


def _rules(text: str) -> Iterator[str]:
    for word in re.split(r"[\s,]+", text.strip()):
        if word:
            yield UPSTREAM_NAMES.get(word, word)


def _of_file(file: SourceFile) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(file.lines, start=1):
        match = _DISABLE.match(line) if "dib-lint" in line else None
        if match:
            yield from ((number, rule) for rule in _rules(match["rules"]))


def _of_line(file: SourceFile, number: int) -> Iterator[str]:
    if 1 <= number <= len(file.lines):
        for match in _AT_END.finditer(file.lines[number - 1]):
            yield from _rules(match["rules"])


def is_suppressed(element: ElementSource, problem: Problem, rule: str) -> bool:
    """Tell whether the author does not want to hear of a problem."""
    if element.element is not None and rule in element.element.meta.lint_ignore:
        return True
    file = element.file(problem.path)
    if file is None:
        return False
    return rule in {name for _, name in _of_file(file)} or rule in _of_line(file, problem.line)


def unknown_rules(element: ElementSource, known: Collection[str]) -> Iterator[Problem]:
    """Find suppressions of what is no rule: they would hide nothing."""
    for file in element.files:
        named = [*_of_file(file)]
        named += [
            (number, rule)
            for number, line in enumerate(file.lines, start=1)
            if "dib-lint" in line
            for rule in _of_line(file, number)
        ]
        for number, rule in named:
            if rule not in known and rule not in UPSTREAM_ONLY:
                yield Problem(file.path, _message(rule, known), number)
    ignored = element.element.meta.lint_ignore if element.element else ()
    meta = element.file(META_FILE)
    for rule in ignored:
        if rule not in known:
            lines = enumerate(meta.lines if meta else (), start=1)
            line = next((number for number, text in lines if rule in text), 1)
            yield Problem(META_FILE, _message(rule, known), line)


def _message(rule: str, known: Collection[str]) -> str:
    hint = did_you_mean(rule, known)
    return f'"{rule}" is no rule' + (f": {hint}" if hint else "")
