"""The named inputs of a hook: what decides whether a step that has run may be used again.

Beside its own bytes and mode, these are the environment variables and the files that the hook's
text can name, and the texts of those files in turn. They are found by reading alone: nothing runs,
and nothing but the hooks tree is read. What a text does not name is no input, so a program of the
host or of the image that looks at further variables by itself is outside of what can be found here.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from dibflow.planning.path_names import PathName, Start
from dibflow.planning.path_patterns import element_pattern, joined, matcher
from dibflow.planning.texts import FILE_NAME, Text, TextReader

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from dibflow.planning.variable_names import Computed, VariableNames

LIBRARY = "_LIB"
"""The folder under which a tree may show the engine's shell library, as in ``_LIB/img-functions``.

A text names a file of it by its base name, if ``_LIB`` occurs at all. Of such a file only those
functions count whose names occur.
"""


class SourceTree(Protocol):
    """The hooks tree of one image, as far as texts are read from it."""

    def paths(self) -> Collection[str]:
        """List its files, such as ``install.d/10-x`` or ``source-repository-x``."""

    def text(self, path: str) -> bytes:
        """Read a file; the same object for the same file makes planning many images faster."""

    def element(self, path: str) -> str:
        """Name the element that brought a file."""

    def element_texts(self, pattern: str) -> Collection[bytes]:
        """Read the files of all selected elements that a pattern of `element_files` means."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What an ``element.yaml`` says about the inputs of its element's hooks.

    Both lists add to what is found. A list of variables also answers for every computed name in
    the element's texts: only those it holds can be meant. `files` are paths or folders of the tree.
    """

    variables: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NamedInputs:
    """What a hook can name, besides its own bytes and mode.

    `words` are possible names of variables, `prefixes` possible starts of such names. `reason` is
    not empty when every variable counts: it says which construct in which line is to blame.
    `files` are paths in the tree, sorted, without the hook. `element_files` are patterns, sorted,
    of files in the folders of all selected elements (`element_file_matches`); where there are any
    the list of selected elements is an input as well.
    """

    words: frozenset[str]
    prefixes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    element_files: tuple[str, ...] = ()
    reason: str = ""

    @property
    def everything(self) -> bool:
        """Tell whether the hook can name any variable."""
        return bool(self.reason)

    def variables(self, environment: Iterable[str]) -> list[str]:
        """Pick the names in `environment` that the hook can name, sorted."""
        if self.reason:
            return sorted(environment)
        named = self.words.intersection(environment)
        if self.prefixes:
            named = named.union(name for name in environment if name.startswith(self.prefixes))
        return sorted(named)


class InputFinder:
    """Finds the named inputs of the hooks and environment files of one image."""

    def __init__(
        self,
        tree: SourceTree,
        *,
        visible: Mapping[str, Collection[str]],
        declared: Mapping[str, Declared] | None = None,
        reader: TextReader | None = None,
    ) -> None:
        """Prepare for `tree`.

        `visible` gives, for each element, the elements whose files its texts can name by base name
        alone: itself and what it depends on, however far. By a path any file can be named.
        """
        self._tree = tree
        self._visible = visible
        self._declared = declared or {}
        self._reader = reader or TextReader()
        self._paths = sorted(path for path in tree.paths() if not _is_library(path))
        self._libraries = [path for path in tree.paths() if _is_library(path)]
        # A file that every element has says nothing by its base name; they overwrite one another.
        self._by_name: dict[str, list[str]] = {}
        for path in self._paths:
            if "/" in path or not _METADATA.fullmatch(path):
                self._by_name.setdefault(posixpath.basename(path), []).append(path)
        self._unspeakable = [
            path for path in self._paths if not all(map(FILE_NAME.fullmatch, path.split("/")))
        ]
        self._named: dict[tuple[str, str], frozenset[str]] = {}
        self._matched: dict[tuple[str, ...], frozenset[str]] = {}

    def find(self, path: str) -> NamedInputs:
        """Find the named inputs of the hook or environment file at `path`."""
        search = _Search()
        search.add(path)
        declared = self._declared.get(self._tree.element(path), Declared())
        for name in declared.files:
            search.add_all(self._match(tuple(name.split("/"))))
        while search.waiting:
            current = search.waiting.pop()
            text = self._reader.read(self._tree.text(current))
            self._count(text.variables, current, search)
            search.add_all(self._names_of(current, hook=path))
            search.element_files |= self._element_files(text)
            if not search.waiting:
                self._add_exported(search, hook=path)
                self._add_library(search)
        for pattern in search.element_files:
            for content in self._tree.element_texts(pattern):
                search.words.append(self._reader.words(content))
        return NamedInputs(
            words=frozenset().union(*search.words),
            prefixes=tuple(sorted(search.prefixes)),
            files=tuple(sorted(search.found - {path})),
            element_files=tuple(sorted(search.element_files)),
            reason=min(search.reasons, default=""),
        )

    def _count(self, names: VariableNames, path: str, search: _Search) -> None:
        search.words.append(names.words)
        search.prefixes |= names.prefixes
        declared = self._declared.get(self._tree.element(path), Declared()).variables
        search.words.append(declared)
        if names.computed and not declared and path not in _NAMES_IN_ELEMENT_FILES:
            search.reasons.append(_reason(names.computed, path))

    def _names_of(self, path: str, *, hook: str) -> frozenset[str]:
        """Give the files of the tree that the text at `path` names, for a run of `hook`.

        In a file that a hook sources ``$0`` is the hook.
        """
        if (path, "") not in self._named:
            self._named[path, ""] = frozenset(self._by_base_name(path)) | self._by_path(path, path)
        if path == hook or path.startswith("bin/"):
            return self._named[path, ""]
        folder = posixpath.dirname(hook)
        if (path, folder) not in self._named:
            self._named[path, folder] = self._named[path, ""] | self._by_path(path, hook)
        return self._named[path, folder]

    def _by_base_name(self, path: str) -> Iterator[str]:
        text = self._reader.read(self._tree.text(path))
        element = self._tree.element(path)
        visible = self._visible.get(element, (element,))
        for name in text.file_names.intersection(self._by_name):
            for other in self._by_name[name]:
                if _PROGRAM.match(other) or self._tree.element(other) in visible:
                    yield other
        yield from (o for o in self._unspeakable if self._tree.element(o) in visible)

    def _by_path(self, path: str, own: str) -> frozenset[str]:
        """Give the files that the text at `path` names by paths, where ``$0`` is `own`."""
        text = self._reader.read(self._tree.text(path))
        if text.goes_anywhere:
            return frozenset(self._paths)
        found: frozenset[str] = frozenset()
        for name in text.paths:
            if not name.variable:
                found |= self._use(own, name)
        return found

    def _use(self, own: str, name: PathName) -> frozenset[str]:
        """Give the files that `name` means, or its program finds there, where ``$0`` is `own`."""
        if name.start not in {Start.TREE, Start.SELF}:
            return frozenset()
        parts = joined(tuple(own.split("/")) if name.start is Start.SELF else (), name.parts)
        program = self._program(name.command)
        if program is None or not program.is_shell:
            return self._match(parts)
        used = [inner for inner in program.paths if inner.start is Start.ARGUMENT]
        return self._match(parts, itself=True).union(
            *(self._match(joined(parts, inner.parts)) for inner in used)
        )

    def _program(self, command: str) -> Text | None:
        path = f"bin/{command}"
        if command not in self._by_name or path not in self._by_name[command]:
            return None
        return self._reader.read(self._tree.text(path))

    def _match(self, parts: tuple[str, ...], *, itself: bool = False) -> frozenset[str]:
        """Give the files at a path with wildcards, and those beneath unless `itself`."""
        if itself:
            exact = matcher(parts, beneath=False)
            return frozenset(path for path in self._paths if exact.fullmatch(path))
        if parts not in self._matched:
            pattern = matcher(parts)
            self._matched[parts] = frozenset(p for p in self._paths if pattern.fullmatch(p))
        return self._matched[parts]

    def _element_files(self, text: Text) -> frozenset[str]:
        """Give the patterns of files that a text looks for in the folders of elements."""
        if not text.is_shell:
            return text.element_files
        found: set[str] = set()
        for name in text.paths:
            if name.start is not Start.ELEMENT:
                continue
            program = self._program(name.command)
            if name.parts or program is None:
                found.add(element_pattern(name.parts))
            elif program.is_shell:
                inner = [used.parts for used in program.paths if used.start is Start.ARGUMENT]
                found.update(element_pattern(parts) for parts in inner)
            else:
                found |= program.joined
        return frozenset(found)

    def _add_exported(self, search: _Search, *, hook: str) -> None:
        """Add paths that a text exports, where another text has the name of the variable."""
        texts = {path: self._reader.read(self._tree.text(path)) for path in search.found}
        for path, text in texts.items():
            for name in text.paths:
                if name.variable and any(
                    name.variable in other.variables.words
                    for at, other in texts.items()
                    if at != path
                ):
                    search.add_all(self._use(path, name) | self._use(hook, name))

    def _add_library(self, search: _Search) -> None:
        """Add what the texts found so far call in the engine's library."""
        while self._libraries and any(LIBRARY in words for words in search.words):
            parts = [
                (path, name, part)
                for path in self._libraries
                if self._is_sourced(path, search)
                for name, part in self._reader.library(self._tree.text(path)).items()
                if (path, name) not in search.functions
                if not name or any(name in words for words in search.words)
            ]
            if not parts:
                return
            for path, name, part in parts:
                search.functions.add((path, name))
                search.found.add(path)
                self._count(part.variables, path, search)
                for used in part.paths:
                    search.add_all(self._use(path, used))
                search.add_all(f"bin/{n}" for n in part.file_names if self._program(n))

    def _is_sourced(self, path: str, search: _Search) -> bool:
        base_name = _name(path)
        return path in search.found or any(
            base_name in self._reader.read(self._tree.text(other)).file_names
            for other in search.found
        )


@dataclass(slots=True)
class _Search:
    """What has been found so far for one hook."""

    found: set[str] = field(default_factory=set)
    waiting: list[str] = field(default_factory=list)
    words: list[frozenset[str]] = field(default_factory=list)
    prefixes: set[str] = field(default_factory=set)
    element_files: set[str] = field(default_factory=set)
    functions: set[tuple[str, str]] = field(default_factory=set)
    reasons: list[str] = field(default_factory=list)

    def add(self, path: str) -> None:
        if path not in self.found:
            self.found.add(path)
            self.waiting.append(path)

    def add_all(self, paths: Iterable[str]) -> None:
        for path in paths:
            self.add(path)


_METADATA = re.compile(
    r"README.*|element-deps|element-provides|element\.yaml|pkg-map|svc-map|package-installs\..*"
    r"|__init__\.py|LICENSE"
)
_PROGRAM = re.compile(r"(?:bin|static/(?:.*/)?s?bin)/[^/]+")

_NAMES_IN_ELEMENT_FILES = frozenset(("bin/package-installs-squash",))
"""Programs whose computed names of variables all stand in the element files that they read.

Of package-installs-squash those are the conditions after `when`.
"""


def _reason(computed: Computed, path: str) -> str:
    return f'uses "{computed.construct}" in {path}:{computed.line}'


def _is_library(path: str) -> bool:
    return path.startswith(f"{LIBRARY}/")


def _name(path: str) -> str:
    return posixpath.basename(path)
