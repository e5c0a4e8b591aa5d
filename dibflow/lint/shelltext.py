"""A shell text without what the shell does not run: comments and here-documents."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_HERE_DOCUMENT = re.compile(r"(?<!<)<<(?P<tabs>-?)[ \t]*\\?(?P<quote>['\"]?)(?P<word>[A-Za-z_]\w*)")
_SET = re.compile(r"set[ \t]+(?P<options>[^;&|#\n]+)")
_LETTERS = {"e": "errexit", "u": "nounset"}


@dataclass(frozen=True, slots=True)
class Command:
    """One or more lines that the shell reads as one; `line` is the first, counted from 1."""

    line: int
    text: str


def physical_lines(lines: Sequence[str]) -> Iterator[Command]:
    """Give the lines outside of here-documents, comments too."""
    skip_to = 0
    for number, line in enumerate(lines, start=1):
        if number <= skip_to:
            continue
        yield Command(number, line)
        if "<<" in line and not line.lstrip().startswith("#"):
            skip_to = _after_documents(lines, number, line)


def commands(lines: Sequence[str]) -> Iterator[Command]:
    """Give what the shell runs: continued lines joined, without comments and here-documents.

    What stands in single quotes is left out as well, so that nobody takes a program for awk or sed
    as one for the shell.
    """
    start, parts = 0, list[str]()
    quoting = _Quoting()
    for one in physical_lines(lines):
        text = quoting.strip(one.text)
        if not parts and not text.strip():
            continue
        start = start if parts else one.line
        if text.endswith("\\"):
            parts.append(text[:-1])
            continue
        yield Command(start, "".join((*parts, text)))
        parts = []
    if parts:
        yield Command(start, "".join(parts))


class _Quoting:
    """Which quotes are open, from one line to the next.

    A close reading of bash it is not: a ``)`` of a ``case`` inside ``$( )`` ends it too early.
    """

    def __init__(self) -> None:
        self._open = [""]  # "" a command, "(" one in parentheses, and the two quotes

    def strip(self, line: str) -> str:
        """Give a line without comments and without what stands in single quotes."""
        kept: list[str] = []
        position = 0
        while position < len(line):
            character, inside = line[position], self._open[-1]
            position += 1
            if inside == "'":
                if character == "'":
                    self._open.pop()
                    kept.append(character)
                continue
            if inside != '"' and character == "#" and (not kept or kept[-1] in " \t;"):
                break
            kept.append(character)
            if character == "\\" and position < len(line):
                kept.append(line[position])
                position += 1
            else:
                self._turn(character, before=kept[-2] if len(kept) > 1 else "")
        return "".join(kept)

    def _turn(self, character: str, *, before: str) -> None:
        """Open or close what `character` does."""
        inside = self._open[-1]
        if {'"': '"', "(": ")"}.get(inside) == character:
            self._open.pop()
            return
        in_text = inside == '"'
        substitution = character == "(" and before == "$"
        if character == '"' or substitution or (character in "'(" and not in_text):
            self._open.append(character)


def options_set(lines: Sequence[str]) -> frozenset[str]:
    """Name the options that ``set`` switches on at the left margin, by their long names.

    Each spelling counts: ``set -eu -o pipefail``, ``set -euo pipefail``, ``set -o errexit``.
    """
    found: set[str] = set()
    for command in physical_lines(lines):
        match = _SET.match(command.text)
        words = iter(match["options"].split() if match else ())
        for word in words:
            if not word.startswith("-") or word == "--":
                break
            found.update(_LETTERS[letter] for letter in word[1:] if letter in _LETTERS)
            if "o" in word[1:]:
                found.add(next(words, ""))
    return frozenset(found)


def _after_documents(lines: Sequence[str], number: int, line: str) -> int:
    """Give the last line of the here-documents that line `number` starts; `number` for none."""
    last = number
    for match in _HERE_DOCUMENT.finditer(line):
        for later in range(last, len(lines)):
            body = lines[later].lstrip("\t") if match["tabs"] else lines[later]
            if body == match["word"]:
                last = later + 1
                break
        # A word that never comes back was no here-document: 1 << SHIFT, or one in a string.
    return last
