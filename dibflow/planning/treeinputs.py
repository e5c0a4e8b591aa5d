"""Join the hooks tree to the finder of named inputs: texts in, keys' parts out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dibflow.digest import digest_of, digest_of_bytes
from dibflow.planning.element import Element
from dibflow.planning.hooks import HookTree, TreeFile
from dibflow.planning.inputs import LIBRARY, Declared, InputFinder
from dibflow.planning.path_patterns import element_file_matches
from dibflow.planning.plan import Names
from dibflow.planning.planner import Inputs
from dibflow.planning.texts import TextReader

ELEMENT_FILES = "elements/"
"""The start of what stands for files read from the elements' own folders in a step's files."""


@dataclass(slots=True)
class FileTexts:
    """Reads files of elements, each once; share one among all images of a plan."""

    reader: TextReader = field(default_factory=TextReader)
    _texts: dict[Path, bytes] = field(default_factory=dict)
    _digests: dict[Path, str] = field(default_factory=dict)
    _listings: dict[Path, tuple[str, ...]] = field(default_factory=dict)

    def text(self, path: Path) -> bytes:
        """Give the content of a file; empty if it is not there (a link that leads nowhere)."""
        if path not in self._texts:
            try:
                self._texts[path] = path.read_bytes()
            except (FileNotFoundError, IsADirectoryError):
                self._texts[path] = b""
        return self._texts[path]

    def digest(self, path: Path) -> str:
        """Give the SHA-256 of a file's content."""
        if path not in self._digests:
            self._digests[path] = digest_of_bytes(self.text(path))
        return self._digests[path]

    def files_below(self, folder: Path) -> tuple[str, ...]:
        """List the files of an element's folder, relative to it, sorted."""
        if folder not in self._listings:
            self._listings[folder] = tuple(
                sorted(
                    str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
                )
            )
        return self._listings[folder]


_ELEMENT_LIST = "get_image_element_array"
"""The exported function that prints the elements of the image and where they are."""


class TreeInputs:
    """The named inputs of each file of one image's hooks tree."""

    def __init__(
        self,
        tree: HookTree,
        elements: Sequence[Element],
        *,
        library: Path,
        texts: FileTexts | None = None,
    ) -> None:
        """Prepare for `tree`, which `elements` make; `library` is the folder shown as ``$_LIB``."""
        self._tree = tree
        self._library = library
        self._elements = elements
        self._texts = texts or FileTexts()
        self._finder = InputFinder(
            self,
            visible=dependencies(elements),
            declared={
                element.name: Declared(
                    frozenset(element.meta.variables), frozenset(element.meta.files)
                )
                for element in elements
            },
            reader=self._texts.reader,
        )
        self._found: dict[str, Inputs] = {}

    def of(self, path: str) -> Inputs:
        """Give what the file at `path` may read: itself, other files, and variables' names.

        A file's part of the key is the digest of its content, its mode and, for a symlink, where it
        leads.
        """
        if path not in self._found:
            named = self._finder.find(path)
            files = [(name, self._mark(name)) for name in (path, *named.files)]
            files += [
                (f"{ELEMENT_FILES}{pattern}", self._element_files_digest(pattern))
                for pattern in named.element_files
            ]
            if named.element_files or _ELEMENT_LIST in named.words:
                files.append((ELEMENT_FILES, digest_of([one.name for one in self._elements])))
            names = Names(
                exact=tuple(sorted(named.words)),
                prefixes=named.prefixes,
                everything=named.everything,
            )
            self._found[path] = Inputs(tuple(files), names)
        return self._found[path]

    def _mark(self, path: str) -> str:
        if path.startswith(f"{LIBRARY}/"):
            return self._texts.digest(self._source(path))
        file = self._file(path)
        link = f" -> {file.link_target}" if file.link_target is not None else ""
        mode = "x" if file.executable else "-"
        return f"{self._texts.digest(file.source)} {mode}{link}"

    def _file(self, path: str) -> TreeFile:
        file = self._tree.file(path)
        if file is None:
            raise KeyError(path)
        return file

    def _element_files_digest(self, pattern: str) -> str:
        return digest_of(
            [
                [path.parent.name, path.name, self._texts.digest(path)]
                for path in self._matching(pattern)
            ]
        )

    def _matching(self, pattern: str) -> Iterable[Path]:
        """Give the files that a pattern means, also of elements that others of the name hide.

        Programs that walk ``ELEMENTS_PATH`` read those too.
        """
        for element in self._elements:
            for folder in (element.path, *element.overrides):
                for name in self._texts.files_below(folder):
                    if element_file_matches(pattern, name):
                        yield folder / name

    # What follows is the SourceTree that the finder reads.

    def paths(self) -> Collection[str]:
        """List the files of the tree."""
        library = self._texts.files_below(self._library)
        return [
            *(file.path for file in self._tree.files),
            *(f"{LIBRARY}/{name}" for name in library),
        ]

    def text(self, path: str) -> bytes:
        """Read a file of the tree, or of the library."""
        return self._texts.text(self._source(path))

    def element(self, path: str) -> str:
        """Name the element that brought a file; empty for the library."""
        return "" if path.startswith(f"{LIBRARY}/") else self._file(path).element

    def _source(self, path: str) -> Path:
        if path.startswith(f"{LIBRARY}/"):
            return self._library / path.removeprefix(f"{LIBRARY}/")
        return self._file(path).source

    def element_texts(self, pattern: str) -> Collection[bytes]:
        """Read the files of all elements of the image that a pattern means."""
        return [self._texts.text(path) for path in self._matching(pattern)]


def dependencies(elements: Sequence[Element]) -> Mapping[str, frozenset[str]]:
    """Give, for each element, itself and all that it depends on, however far, of `elements`."""
    by_name = {element.name: element for element in elements}
    found: dict[str, frozenset[str]] = {}
    for element in elements:
        seen = {element.name}
        waiting = [element]
        while waiting:
            for name in waiting.pop().deps:
                if name in by_name and name not in seen:
                    seen.add(name)
                    waiting.append(by_name[name])
        found[element.name] = frozenset(seen)
    return found
