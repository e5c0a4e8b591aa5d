"""Rules for the folders of hooks: what will run, and what an author may think will run."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from dibflow.lint.files import NUMBERED
from dibflow.lint.model import Problem, Rule, Severity
from dibflow.lint.shelltext import commands
from dibflow.lint.source import ElementSource
from dibflow.lint.surroundings import Surroundings
from dibflow.planning.hooks import ENVIRONMENT_DIRECTORY, FETCH_DIRECTORY
from dibflow.planning.ordering import ENVIRONMENT_NAME, HOOK_NAME
from dibflow.planning.phases import Phase

_HOOK_FOLDERS = (*(phase.directory for phase in Phase), ENVIRONMENT_DIRECTORY, FETCH_DIRECTORY)
_READ_BY_ELEMENTS = frozenset(
    {
        *("binary-deps.d", "init.d", "udev.d", "ramdisk-install.d", "dracut-drivers.d"),
        *("modprobe.d", "dracut.conf.d", "yum.repos.d"),
    }
)
"""Folders of the same kind that some element of DIB reads."""

_CLOSE = 0.75
_INSTALL_TYPE = re.compile(r"[^/]+-[^/-]+-install")


def hook_name(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """An executable in a phase whose name keeps it from running."""
    for file in element.files:
        if file.phase and file.executable and ("\n" in file.name or not _is_hook_name(file.name)):
            yield Problem(
                file.path,
                f'never runs: "{file.name}" has more than letters, digits, "-" and "_"'
                " (a name such as 50-name runs)",
            )


def _is_hook_name(name: str) -> bool:
    return HOOK_NAME.search(name) is not None


def hook_number(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """A hook whose name says nothing about when it runs."""
    for file in element.files:
        runs = file.phase and file.executable and _is_hook_name(file.name)
        if runs and not re.match(r"\d{2,}-", file.name):
            yield Problem(
                file.path, "has no two digits and a hyphen before its name, so it runs early"
            )


def unknown_phase(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """Hooks in a folder that nothing runs."""
    folders: dict[str, list[str]] = {}
    for file in element.files:
        if file.top.endswith((".d", "_d", "-d")) and file.top not in _HOOK_FOLDERS:
            folders.setdefault(file.top, []).append(
                file.path if file.executable and NUMBERED.match(file.name) else ""
            )
    for folder, hooks in folders.items():
        if folder in _READ_BY_ELEMENTS:
            continue
        spelling = folder[:-2].replace("_", "-").lower() + ".d"
        close = difflib.get_close_matches(spelling, _HOOK_FOLDERS, n=1, cutoff=_CLOSE)
        if close:
            yield Problem(folder, f'is no phase: did you mean "{close[0]}"?')
        elif any(hooks):
            first = next(hook for hook in hooks if hook)
            yield Problem(first, f'looks like a hook, but "{folder}" is no phase')


def buried_hook(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """What looks like a hook in a folder below that of a phase, where nothing runs it."""
    for file in element.files:
        if not file.executable or not NUMBERED.match(file.name) or file.folder == file.top:
            continue
        inner = file.folder.partition("/")[2]
        if file.top in _HOOK_FOLDERS and not _INSTALL_TYPE.fullmatch(inner):
            yield Problem(file.path, f'looks like a hook, but only "{file.top}" itself is run')


def environment_name(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """A file of ``environment.d`` whose name keeps it from being sourced."""
    for file in element.files:
        in_folder = file.folder == ENVIRONMENT_DIRECTORY and not file.name.startswith(".")
        if in_folder and not ENVIRONMENT_NAME.search(file.name):
            yield Problem(file.path, f'is never sourced: "{file.name}" has other characters')


def environment_mode(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """An executable file of ``environment.d``: they are sourced, never started."""
    for file in element.files:
        if file.folder == ENVIRONMENT_DIRECTORY and file.executable:
            yield Problem(file.path, f"is sourced, not started: chmod -x {file.path}")


def environment_body(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """Tracing or an early end in ``environment.d``, where it concerns all hooks of the phase."""
    for file in element.files:
        if file.folder != ENVIRONMENT_DIRECTORY or file.text is None:
            continue
        for command in commands(file.lines):
            if re.search(r"(?:^|[;&|({]|\bthen|\bdo|\belse)\s*set\s+-\w*x", command.text):
                yield Problem(file.path, "traces every hook of the phase", command.line)
            if re.search(
                r"(?:^|[;&|({]|\bthen|\bdo|\belse)\s*exit(?:\s+0)?\s*(?:$|[;})])", command.text
            ):
                yield Problem(
                    file.path, 'ends the phase: write "return 0" to leave this file', command.line
                )


RULES = (
    Rule("hook-name", Severity.ERROR, hook_name),
    Rule("hook-number", Severity.WARNING, hook_number),
    Rule("unknown-phase", Severity.ERROR, unknown_phase),
    Rule("buried-hook", Severity.WARNING, buried_hook),
    Rule("environment-name", Severity.ERROR, environment_name),
    Rule("environment-mode", Severity.ERROR, environment_mode),
    Rule("environment-body", Severity.ERROR, environment_body),
)
