"""Rules for every file: modes, interpreters, blanks, links."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from dibflow.lint.model import Problem, Rule, Severity
from dibflow.lint.shelltext import Command, physical_lines
from dibflow.lint.source import ElementSource, SourceFile
from dibflow.lint.surroundings import Surroundings
from dibflow.planning.ordering import HOOK_NAME

NUMBERED = re.compile(r"\d+-")
"""How the names of hooks start by custom."""

_FOR_THE_IMAGE = frozenset(("static", "init-scripts"))
"""Folders whose content is copied into the image as it is."""

_DESCRIPTIONS = frozenset(("element-deps", "element-provides", "pkg-map", "svc-map"))


def executable(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """A program, or what is named like a hook, without the executable bit."""
    for file in element.files:
        if file.executable or file.text is None or file.folder == "environment.d":
            continue
        hook_like = file.phase and HOOK_NAME.search(file.name) and NUMBERED.match(file.name)
        if hook_like:
            yield Problem(file.path, f"is named like a hook but not executable: {_chmod(file)}")
        elif file.shebang and not file.name.endswith(".py"):
            yield Problem(file.path, f"names an interpreter but is not executable: {_chmod(file)}")


def _chmod(file: SourceFile) -> str:
    return f"chmod +x {file.path}"


def shebang(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """An executable text that does not say what runs it."""
    for file in element.files:
        if file.executable and file.text is not None and not file.shebang:
            if file.folder == "environment.d":  # has a rule of its own
                continue
            if file.phase or file.top == "bin":
                yield Problem(file.path, 'is started, but its first line is no "#!" line')
            else:
                yield Problem(file.path, "is executable, but no program", severity=Severity.WARNING)


def interpreter(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """Bash by another spelling than ``#!/bin/bash``."""
    for file in element.files:
        if file.shebang and file.language == "bash" and file.shebang != "#!/bin/bash":
            yield Problem(file.path, f'found "{file.shebang}", expected "#!/bin/bash"')


def _is_checked_text(file: SourceFile) -> bool:
    """Tell whether an author writes it by hand for this element, rather than for the image."""
    if file.text is None or file.top in _FOR_THE_IMAGE:
        return bool(file.text is not None and file.shebang)
    return bool(
        file.language
        or file.executable
        or file.path in _DESCRIPTIONS
        or file.name.startswith(("README", "source-repository-"))
        or file.name.endswith((".yaml", ".yml", ".json"))
    )


def _own_lines(file: SourceFile) -> Iterator[Command]:
    """Give the lines of a text; here-documents of a shell are data."""
    if file.language in {"bash", "sh"}:
        yield from physical_lines(file.lines)
    else:
        yield from (Command(number, line) for number, line in enumerate(file.lines, start=1))


def tabs(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """A tab in the indentation."""
    for file in filter(_is_checked_text, element.files):
        for line in _own_lines(file):
            if re.match(r" *\t", line.text):
                yield Problem(file.path, "is indented with a tab", line.line)
                break


def trailing_blanks(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """Blanks at the end of a line, or a carriage return."""
    for file in filter(_is_checked_text, element.files):
        for line in _own_lines(file):
            if line.text.endswith("\r"):
                # bash takes it as a part of the last word.
                yield Problem(
                    file.path,
                    "a line ends with a carriage return",
                    line.line,
                    severity=Severity.ERROR,
                )
                break
            # In Markdown, two blanks after a word break the line.
            markdown_break = file.name.endswith(".md") and re.search(r"\S {2}$", line.text)
            if line.text.endswith((" ", "\t")) and not markdown_break:
                yield Problem(file.path, "a line ends with blanks", line.line)
                break


def final_newline(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """A last line that does not end; readers like ``while read`` lose it."""
    for file in filter(_is_checked_text, element.files):
        if file.text and not file.text.endswith("\n"):
            lost = file.name.startswith("source-repository-")
            yield Problem(
                file.path,
                "the last line is not read: it has no newline" if lost else "has no final newline",
                len(file.lines),
                severity=Severity.ERROR if lost else None,
            )


def links(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """A symlink that leads out of the element, or nowhere."""
    folders = {parent for file in element.files for parent in _parents(file.path)}
    paths = {file.path for file in element.files}
    for file in element.files:
        if file.link_target is None or file.top in _FOR_THE_IMAGE:
            continue
        target = posixpath.normpath(posixpath.join(file.folder, file.link_target))
        if target == ".." or target.startswith(("/", "../")):
            yield Problem(
                file.path, f'leads out of the element, to "{file.link_target}": copy what it needs'
            )
        elif target not in paths and target not in folders:
            yield Problem(
                file.path,
                f'leads to "{file.link_target}", which the element does not have',
                severity=Severity.WARNING,  # another element of the image may bring it
            )


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


RULES = (
    Rule("executable", Severity.ERROR, executable),
    Rule("shebang", Severity.ERROR, shebang),
    Rule("interpreter", Severity.ERROR, interpreter),
    Rule("tabs", Severity.ERROR, tabs),
    Rule("trailing-blanks", Severity.WARNING, trailing_blanks),
    Rule("final-newline", Severity.WARNING, final_newline),
    Rule("links", Severity.ERROR, links),
)
