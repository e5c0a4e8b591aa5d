"""The linter: all rules over some elements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dibflow.lint import data, description, files, hooks, programs, shell, together
from dibflow.lint.model import Finding, Problem, Rule, Severity
from dibflow.lint.programs import Shellcheck, shellcheck_rule
from dibflow.lint.source import ElementSource
from dibflow.lint.suppression import is_suppressed, unknown_rules
from dibflow.lint.surroundings import Surroundings, neighbour

_PURE = (
    *description.RULES,
    *files.RULES,
    *hooks.RULES,
    *shell.RULES,
    *data.RULES,
    *programs.RULES,
    *together.RULES,
)
RULE_NAMES = (*(rule.name for rule in _PURE), "shellcheck", "unknown-rule")
"""All rules there are, whether shellcheck is installed or not."""


def rules(*, shellcheck: Shellcheck | None) -> tuple[Rule, ...]:
    """Give all rules; without `shellcheck` those that need it are left out."""
    unknown = Rule(
        "unknown-rule", Severity.WARNING, lambda element, _: unknown_rules(element, RULE_NAMES)
    )
    asking = (shellcheck_rule(shellcheck),) if shellcheck is not None else ()
    return (*_PURE, *asking, unknown)


def lint(
    elements: Iterable[ElementSource], *, around: Surroundings, rules: Iterable[Rule]
) -> Iterator[Finding]:
    """Give what `rules` find in `elements`, element by element, sorted by place."""
    chosen = tuple(rules)
    for element in elements:
        beside = around
        if element.element is not None:
            beside = around.beside(neighbour(element.element))
        found = [
            _finding(element, problem, rule)
            for rule in chosen
            for problem in rule.check(element, beside)
            if not is_suppressed(element, problem, rule.name)
        ]
        yield from sorted(found, key=lambda one: (str(one.path), one.line, one.rule, one.message))


def _finding(element: ElementSource, problem: Problem, rule: Rule) -> Finding:
    return Finding(
        element=element.name,
        path=element.path / problem.path,
        line=problem.line,
        severity=problem.severity or rule.severity,
        rule=rule.name,
        message=problem.message,
    )
