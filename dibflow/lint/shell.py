"""Rules for shell scripts that need no other program."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dibflow.lint.model import Problem, Rule, Severity
from dibflow.lint.shelltext import Command, commands, options_set, physical_lines
from dibflow.lint.source import ElementSource, SourceFile
from dibflow.lint.surroundings import Surroundings

# A command that would give its status to nobody: the assignment's own status is 0.
_MASKED = re.compile(
    r"(?:^|[;&|({]|\bthen|\bdo|\belse)\s*(?:export|readonly|declare|typeset|local)\s+"
    r"(?:-\w+\s+)*\w+=[^;]*(?:\$\((?!\()|`)"
)
_WHICH = re.compile(r"(?:^|[;&|({!`]|\$\(|\b(?:then|do|else|if|while|sudo))\s*which\s")
_SUDO = re.compile(r"(?:^|[;&|({!`\"]|\$\(|\b(?:then|do|else|if|while))\s*sudo\s(?P<rest>.*)")
_BUILD_PATHS = re.compile(
    r"\b(?:TARGET_ROOT|TMP_MOUNT_PATH|TMP_BUILD_DIR|TMP_HOOKS_PATH|TMP_IMAGE_(?:DIR|PATH)"
    r"|IMAGE_BLOCK_DEVICE\w*|IMAGE_NAME|DIB_IMAGE_CACHE|BOOTDIR)\b"
)
"""BOOTDIR is what DIB's function ``select_boot_kernel_initrd`` finds below its argument."""

_ASSIGNED = re.compile(
    r"\b(?P<name>[A-Za-z_]\w*)\+?=(?P<value>\(.*|\S*)"
    r"|\bfor\s+(?P<each>[A-Za-z_]\w*)\s+in\s+(?P<words>[^;]*)"
)


def _bash_scripts(element: ElementSource) -> Iterator[SourceFile]:
    for file in element.files:
        if file.language == "bash" and file.shebang:
            yield file


def _shell_files(element: ElementSource) -> Iterator[SourceFile]:
    for file in element.files:
        if file.language in {"bash", "sh"}:
            yield file


def _lacks(option: str, spelling: str, why: str) -> Rule:
    def check(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
        for file in _bash_scripts(element):
            if option not in options_set(file.lines):
                yield Problem(file.path, f"{why}: write {spelling}")

    return Rule(f"set-{option}", Severity.ERROR, check)


def masked_status(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """A declaration that hides the failure of the command in its value."""
    for file in _shell_files(element):
        for command in commands(file.lines):
            if _MASKED.search(command.text):
                yield Problem(
                    file.path,
                    "hides a failure of the command in its value: assign first, declare apart",
                    command.line,
                )


def indent(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """Indentation that is no multiple of four blanks."""
    for file in _shell_files(element):
        continued = False
        for line in physical_lines(file.lines):
            if not continued and re.match(r"(?: {4})* {1,3}[^ \t]", line.text):
                yield Problem(file.path, "is not indented by a multiple of four blanks", line.line)
                break
            continued = line.text.endswith("\\")


def which(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """``which``, a program that small images lack."""
    for file in _shell_files(element):
        for command in commands(file.lines):
            if _WHICH.search(command.text):
                yield Problem(
                    file.path, 'calls "which", which may not be there: use type -P', command.line
                )


def unsafe_sudo(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """``sudo`` in a hook outside the target that names no path of the build."""
    for file in _shell_files(element):
        if file.phase is None or file.phase.inside:
            continue
        ours = _names_from_build_paths(file)
        for command in commands(file.lines):
            match = _SUDO.search(command.text)
            if match and not _BUILD_PATHS.search(command.text) and not ours(command):
                yield Problem(
                    file.path, "may change the host: it names no path of the build", command.line
                )


class _Names:
    """The shell variables of a file whose values start from a path of the build."""

    def __init__(self, names: frozenset[str]) -> None:
        self._pattern = re.compile(rf"\$\{{?(?:{'|'.join(sorted(names))})\b") if names else None

    def __call__(self, command: Command) -> bool:
        """Tell whether a command uses one."""
        return self._pattern is not None and self._pattern.search(command.text) is not None


def _names_from_build_paths(file: SourceFile) -> _Names:
    names: set[str] = set()
    for command in commands(file.lines):
        for match in _ASSIGNED.finditer(command.text):
            value = match["value"] or match["words"] or ""
            from_ours = any(f"${name}" in value or f"${{{name}" in value for name in names)
            if from_ours or _BUILD_PATHS.search(value):
                names.add(match["name"] or match["each"])
    return _Names(frozenset(names))


RULES = (
    _lacks("errexit", "set -e", "goes on after a failed command"),
    _lacks("nounset", "set -u", "takes a misspelt variable as empty"),
    _lacks("pipefail", "set -o pipefail", "does not notice a failure inside a pipe"),
    Rule("masked-status", Severity.ERROR, masked_status),
    Rule("indent", Severity.WARNING, indent),
    Rule("which", Severity.WARNING, which),
    Rule("unsafe-sudo", Severity.WARNING, unsafe_sudo),
)
