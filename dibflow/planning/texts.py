"""What one text of the hooks tree says, wherever it stands; each is read once for many images."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dibflow.planning.path_names import PathName, path_names
from dibflow.planning.path_patterns import ALL
from dibflow.planning.variable_names import (
    WORD,
    VariableNames,
    python_strings,
    variable_names,
    without_opening_comments,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE_NAME = re.compile(r"[0-9A-Za-z_.+@~-]+")
"""Names of files that can be found as a word of a text."""


@dataclass(frozen=True, slots=True)
class Text:
    """What one text says, wherever it stands.

    `file_names` are its words as file names have them. `goes_anywhere` means that it reaches the
    hooks tree in ways that are not followed. For what is no shell, `joined` are the paths that it
    puts together, and `element_files` those patterns if it finds the elements' folders by itself.
    """

    variables: VariableNames
    file_names: frozenset[str]
    is_shell: bool = True
    paths: frozenset[PathName] = frozenset()
    goes_anywhere: bool = False
    joined: frozenset[str] = frozenset()
    element_files: frozenset[str] = frozenset()


_SHELL = re.compile(r"#!.*\b(?:ba|da|z|k|a)?sh\b")
_READS_TREE_VARIABLE = re.compile(
    r"(?:environb?|ENV|ENVIRON|getenvb?|printenv|process\.env)\W+(?:get\W+)?TMP_HOOKS_PATH"
)
_OWN_PATH = re.compile(r"\b__file__\b|\bsys\.(?:argv|path)\[0\]|\bFindBin\b")
_TREE_PATH = re.compile(r"\bin_target\.d\b|\bTMP_HOOKS_PATH\b|\$0\b")
_ELEMENT_FOLDERS = re.compile(r"\b(?:IMAGE_ELEMENT_YAML|ELEMENTS_PATH)\b")
_LISTS_FOLDERS = re.compile(r"\b(?:listdir|scandir|walk|glob|rglob|iglob|iterdir|copytree)\b")


def _read_text(content: str) -> Text:
    if "\0" in content:  # a program's strings hold the names it asks for, but are no commands
        return Text(
            VariableNames(frozenset(WORD.findall(content))), frozenset(_file_names(content))
        )
    names = variable_names(content)
    body = without_opening_comments(content)
    file_names = frozenset(_file_names(body))
    anywhere = bool(_READS_TREE_VARIABLE.search(body) or _OWN_PATH.search(body))
    if _SHELL.match(body) or not body.startswith("#!"):
        return Text(names, file_names, paths=path_names(body), goes_anywhere=anywhere)
    joined = frozenset({ALL} if _LISTS_FOLDERS.search(body) else python_strings(body))
    joined = joined or frozenset({ALL})
    return Text(
        names,
        file_names,
        is_shell=False,
        goes_anywhere=anywhere or bool(_TREE_PATH.search(body)),
        joined=joined,
        element_files=(joined or frozenset({ALL}))
        if _ELEMENT_FOLDERS.search(body)
        else frozenset(),
    )


def _file_names(text: str) -> Iterator[str]:
    for word in FILE_NAME.findall(text):
        yield word
        yield word.strip(".-~+")  # at the end of a sentence, or glued to an operator


_FUNCTION = re.compile(
    r"^(?:function[ \t]+(?P<name>\w+)[ \t]*(?:\([ \t]*\))?|(?P<plain>\w+)[ \t]*\([ \t]*\))\s*"
    r"(?:\{[^\n]*\}[ \t]*$|\{.*?^\})",
    re.MULTILINE | re.DOTALL,
)


def _functions(text: str) -> dict[str, str]:
    """Split a shell library into its functions, and "" for what stands between them."""
    found = {"": _FUNCTION.sub("", text)}
    for match in _FUNCTION.finditer(text):
        name = match["name"] or match["plain"]
        found[name] = f"{found.get(name, '')}\n{match[0]}"
    return found


@dataclass(slots=True)
class TextReader:
    """Reads texts, each once; share one among all images of a plan."""

    _read: dict[bytes, Text] = field(default_factory=dict)
    _library: dict[bytes, dict[str, Text]] = field(default_factory=dict)
    _words: dict[bytes, frozenset[str]] = field(default_factory=dict)

    def read(self, content: bytes) -> Text:
        """Read a text as a whole."""
        if content not in self._read:
            self._read[content] = _read_text(content.decode("latin-1"))
        return self._read[content]

    def library(self, content: bytes) -> dict[str, Text]:
        """Read a library's functions by name; "" holds what stands outside of them."""
        if content not in self._library:
            parts = _functions(content.decode("latin-1"))
            self._library[content] = {name: _read_text(part) for name, part in parts.items()}
        return self._library[content]

    def words(self, content: bytes) -> frozenset[str]:
        """Give the words of a data file."""
        if content not in self._words:
            self._words[content] = frozenset(WORD.findall(content.decode("latin-1")))
        return self._words[content]
