"""An element as the linter sees it: every file with its bytes, read once."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dibflow.errors import DefinitionError, ElementError
from dibflow.planning.element import Element, read_element
from dibflow.planning.phases import Phase

LARGEST_TEXT_BYTES = 1 << 20
"""Longer files are data; no rule reads them."""

_LEFT_OUT = frozenset(("tests", "test-elements", "__pycache__", ".git"))
_INTERPRETER = re.compile(r"#![ \t]*(?:\S*/)?(?:env[ \t]+(?:-S[ \t]+)?)?(?:\S*/)?(\S+)")
_SHELLS = {"bash": "bash", "sh": "sh", "dash": "sh", "ash": "sh"}


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file or symlink of an element; `path` is relative to it.

    `text` is None for symlinks and for what is no text. Bytes that are no UTF-8 are kept as
    surrogates.
    """

    path: str
    text: str | None = None
    executable: bool = False
    link_target: str | None = None
    lines: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Only a line feed ends a line: "\r", "\f" and the rest belong to it.
        lines = (self.text or "").split("\n")
        if lines[-1] == "":
            lines.pop()
        object.__setattr__(self, "lines", tuple(lines))

    @property
    def name(self) -> str:
        """Give the last part of `path`."""
        return self.path.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """Give the folder of the element that it lies in, "" for the element itself."""
        return self.path.rpartition("/")[0]

    @property
    def top(self) -> str:
        """Give the direct folder of the element that it lies in, "" for none."""
        return self.path.partition("/")[0] if "/" in self.path else ""

    @property
    def phase(self) -> Phase | None:
        """Give the phase whose folder it lies directly in."""
        return _PHASES.get(self.folder)

    @property
    def shebang(self) -> str:
        """Give the line that names its interpreter, or an empty string."""
        return self.lines[0] if self.lines and self.lines[0].startswith("#!") else ""

    @property
    def language(self) -> str:
        """Name what it is written in: ``bash``, ``sh``, ``python``, or "" for anything else.

        Files of ``environment.d`` are bash, because bash sources them.
        """
        if self.text is None:
            return ""
        match = _INTERPRETER.match(self.shebang)
        program = match[1] if match else ""
        if "python" in program or self.name.endswith(".py"):
            return "python"
        return "bash" if self.folder == "environment.d" else _SHELLS.get(program, "")


_PHASES = {phase.directory: phase for phase in Phase}


@dataclass(frozen=True, slots=True)
class ElementSource:
    """All files of one element, by path in byte order; its own tests are left out.

    `element` is what a build reads of it; None if a build refuses it, and `refusal` says why.
    """

    name: str
    path: Path
    files: tuple[SourceFile, ...]
    element: Element | None = None
    refusal: ElementError | DefinitionError | None = None

    def file(self, path: str) -> SourceFile | None:
        """Find a file by its path."""
        return next((file for file in self.files if file.path == path), None)

    @property
    def readme(self) -> SourceFile | None:
        """Give the file for people, in Markdown or, as upstream has it, in reStructuredText."""
        return self.file("README.md") or self.file("README.rst")


def read_source(folder: Path) -> ElementSource:
    """Read an element's folder. Raises ElementError for what cannot be read."""
    try:
        resolved = folder.resolve(strict=True)
        files = sorted(_read_folder(resolved, ""), key=lambda file: os.fsencode(file.path))
    except OSError as error:
        raise ElementError(
            f'reading the element "{folder}": {error.strerror}: "{error.filename}"'
        ) from error
    try:
        return ElementSource(resolved.name, resolved, tuple(files), element=read_element(resolved))
    except (ElementError, DefinitionError) as refusal:
        return ElementSource(resolved.name, resolved, tuple(files), refusal=refusal)


def _read_folder(folder: Path, prefix: str) -> Iterator[SourceFile]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = f"{prefix}{entry.name}"
            if entry.is_symlink():
                yield SourceFile(path, link_target=os.readlink(entry))  # noqa: PTH115 - not tidied
            elif entry.is_dir():
                if prefix or entry.name not in _LEFT_OUT:
                    yield from _read_folder(Path(entry.path), f"{path}/")
            elif not entry.name.endswith(".pyc"):
                yield _read_file(entry, path)


def _read_file(entry: os.DirEntry[str], path: str) -> SourceFile:
    status = entry.stat()
    text = None
    if stat.S_ISREG(status.st_mode) and status.st_size <= LARGEST_TEXT_BYTES:
        content = Path(entry.path).read_bytes()
        text = None if b"\0" in content else content.decode("utf-8", "surrogateescape")
    return SourceFile(path, text, executable=bool(status.st_mode & 0o111))
