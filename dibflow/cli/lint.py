"""``dibflow lint``: find mistakes in elements without a build."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from dibflow import resources
from dibflow.errors import ElementNotFound, UsageError
from dibflow.lint.linter import RULE_NAMES, lint, rules
from dibflow.lint.model import Finding, Rule, Severity
from dibflow.lint.programs import installed_shellcheck
from dibflow.lint.source import read_source
from dibflow.lint.surroundings import look_around
from dibflow.planning.element import ElementPath, search_path
from dibflow.yamlfile import did_you_mean

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

FOUND_ERRORS = 1
"""The exit status when there are errors, as with other linters."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to those of ``dibflow``."""
    parser = subparsers.add_parser(
        "lint",
        help="find mistakes in elements",
        description="Check the files of elements by rules, which docs/linting.md explains. The "
        "exit status is 0 without errors, 1 with some; warnings and notes do not count.",
        epilog="example: dibflow lint my-elements/motd --ignore shellcheck",
    )
    parser.add_argument(
        "elements",
        nargs="*",
        metavar="ELEMENT",
        help="names on the elements path, or folders (default: all of ELEMENTS_PATH, or else the "
        "shipped elements)",
    )
    parser.add_argument("--rule", action="append", metavar="RULE,...", help="only these rules")
    parser.add_argument("--ignore", action="append", metavar="RULE,...", help="not these rules")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check the elements and print the findings."""
    chosen = chosen_rules(
        rules(shellcheck=installed_shellcheck()),
        only=_words(arguments.rule),
        ignored=_words(arguments.ignore),
    )
    shipped = resources.elements_directory()
    path = os.environ.get("ELEMENTS_PATH", "")
    offered = ElementPath(search_path(path, shipped=shipped))
    folders = [_folder(name, offered) for name in arguments.elements]
    if not arguments.elements:
        own = ElementPath(search_path(path, shipped=shipped)[:-1]) if path else offered
        folders = [own.folder(name) for name in own]
    sources = [read_source(folder) for folder in folders]
    findings = tuple(lint(sources, around=look_around(offered), rules=chosen))
    if arguments.json:
        print(json.dumps(as_json(findings, elements=len(sources)), indent=2))
    else:
        print(as_text(findings, elements=len(sources)))
    return exit_status(findings)


def chosen_rules(
    offered: Sequence[Rule], *, only: Sequence[str], ignored: Sequence[str]
) -> tuple[Rule, ...]:
    """Give the rules that a person wants. Raises UsageError for a name that no rule has."""
    for name in (*only, *ignored):
        if name not in RULE_NAMES:
            raise UsageError(
                f'there is no rule "{name}"',
                hint=did_you_mean(name, RULE_NAMES) or f"there are {', '.join(RULE_NAMES)}",
            )
    return tuple(
        rule for rule in offered if rule.name not in ignored and (not only or rule.name in only)
    )


def exit_status(findings: Sequence[Finding]) -> int:
    """Give 0 if there is no error among the findings."""
    return FOUND_ERRORS if any(one.severity is Severity.ERROR for one in findings) else 0


def as_json(findings: Sequence[Finding], *, elements: int) -> dict[str, object]:
    """Give findings for programs: how many of each severity, and each with its fields."""
    return {
        "elements": elements,
        **{f"{one.value}s": _count(findings, one) for one in Severity},
        "findings": [
            asdict(one) | {"path": str(one.path), "severity": one.severity.value}
            for one in findings
        ],
    }


def as_text(findings: Sequence[Finding], *, elements: int) -> str:
    """Give findings for a person: a line each, and a last one with their numbers."""
    here = Path.cwd()
    lines = [
        f"{_shown(one.path, here)}:{one.line}: {one.severity.value} [{one.rule}] {one.message}"
        for one in findings
    ]
    counts = [_plural(_count(findings, one), one.value) for one in Severity]
    return "\n".join((*lines, f"{_plural(elements, 'element')}: {', '.join(counts)}"))


def _count(findings: Sequence[Finding], severity: Severity) -> int:
    return sum(one.severity is severity for one in findings)


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _shown(path: Path, here: Path) -> Path:
    return path.relative_to(here) if path.is_relative_to(here) else path


def _words(texts: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(word.strip() for text in texts or () for word in text.split(",") if word.strip())


def _folder(name: str, offered: ElementPath) -> Path:
    """Find an element by its name on the path, else by its folder."""
    if name in offered:
        return offered.folder(name)
    if Path(name).is_dir():
        return Path(name)
    raise ElementNotFound(
        f'no element "{name}" on the elements path, and no folder of that name',
        hint=did_you_mean(name, offered) or "check the name and ELEMENTS_PATH",
    )
