"""Elements: the folders that hold hooks, found on a search path."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from dibflow.errors import ElementError, ElementsPathError
from dibflow.yamlfile import YamlValue, read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

DEPS_FILE = "element-deps"
PROVIDES_FILE = "element-provides"
META_FILE = "element.yaml"

_VARIABLE = re.compile(r"\A[A-Za-z_][0-9A-Za-z_]*\Z")
_MAX_AGE = re.compile(r"\A([1-9][0-9]{0,5})([mhd])\Z")
_SECONDS = {"m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class ElementMeta:
    """What an element's optional ``element.yaml`` says; diskimage-builder ignores that file.

    `variables` and `files` correct the list of inputs found in its hooks; `files` are paths in the
    hooks tree. `fingerprint` is the path, in the element, of the executable that tells whether
    what the element downloads has changed. `max_age_seconds` says how long to trust it without one.
    `lint_ignore` are rules of the linter that do not count here.
    """

    summary: str = ""
    variables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    fingerprint: str | None = None
    max_age_seconds: int | None = None
    lint_ignore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Element:
    """One element as its folder describes it; the hooks in there are another matter.

    `deps` and `provides` are free of repetitions, in the order of their files. `deps_lines` holds
    the line of each of `deps`. `overrides` are folders of the same name, later on the search path.
    """

    name: str
    path: Path
    deps: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    meta: ElementMeta = ElementMeta()
    deps_lines: tuple[int, ...] = field(default=(), repr=False, compare=False)
    overrides: tuple[Path, ...] = field(default=(), compare=False)

    def where_needed(self, name: str) -> str:
        """Give ``file:line`` of the place where this element names `name` as a dependency."""
        lines = dict(zip(self.deps, self.deps_lines, strict=False))
        line = f":{lines[name]}" if name in lines else ""
        return f"{self.path / DEPS_FILE}{line}"


class ElementPath(Mapping[str, Element]):
    """The elements that a search path offers, by name; its folders are listed once.

    An element's files are read when it is first asked for, and then kept: use one ElementPath for
    many images. A mistake in an element thus troubles only the images that need it.
    """

    def __init__(self, search: Sequence[Path]) -> None:
        """List `search`, of which earlier entries win.

        Each subfolder is an element, named by the last part of its resolved path. Raises
        ElementsPathError for an entry that is no folder or cannot be listed.
        """
        self._folders: dict[str, list[Path]] = {}
        self._elements: dict[str, Element] = {}
        for entry in search:
            for folder in _subfolders(entry):
                self._folders.setdefault(folder.name, []).append(folder)

    def __getitem__(self, name: str) -> Element:
        """Read an element; raises ElementError or DefinitionError if its files are broken."""
        if name not in self._elements:
            folder, *overridden = self._folders[name]
            self._elements[name] = read_element(folder, overrides=overridden)
        return self._elements[name]

    def folder(self, name: str) -> Path:
        """Give the resolved folder of an element, which may be broken. Raises KeyError."""
        return self._folders[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._folders))

    def __len__(self) -> int:
        return len(self._folders)

    def __contains__(self, name: object) -> bool:
        return name in self._folders


def search_path(text: str, *, shipped: Path) -> tuple[Path, ...]:
    """Split the value of ``ELEMENTS_PATH`` and add the folder of shipped elements as the last.

    Raises ElementsPathError for an empty entry: diskimage-builder refuses it too, and taking it as
    the current folder would find other elements than the person meant.
    """
    if not text:
        return (shipped,)
    entries = text.split(":")
    if "" in entries:
        raise ElementsPathError(
            f'ELEMENTS_PATH has an empty entry: "{text}"',
            hint="remove the colon at its start or end, or the double one in between",
        )
    return (*(Path(entry) for entry in entries), shipped)


def read_element(folder: Path, *, overrides: Sequence[Path] = ()) -> Element:
    """Read the files that describe an element; none of them has to exist.

    `folder` is resolved. Raises ElementError for a file that cannot be read, DefinitionError for an
    ``element.yaml`` that says something unknown.
    """
    deps = _read_names(folder / DEPS_FILE)
    return Element(
        name=folder.name,
        path=folder,
        deps=tuple(deps),
        provides=tuple(_read_names(folder / PROVIDES_FILE)),
        meta=_read_meta(folder / META_FILE),
        deps_lines=tuple(deps.values()),
        overrides=tuple(overrides),
    )


def _subfolders(entry: Path) -> list[Path]:
    """List the resolved subfolders of a search path entry, each name once."""
    if not entry.is_dir():
        found = "something else" if entry.exists() else "nothing"
        raise ElementsPathError(
            f'looking for elements in "{entry}": found {found} instead of a folder',
            hint="create it or remove it from ELEMENTS_PATH",
        )
    try:
        folders = [item for item in entry.iterdir() if item.is_dir()]
        # A real folder goes before a link that resolves to the same name: one of them has to.
        folders.sort(key=lambda item: (item.is_symlink(), item.name))
        resolved = [item.resolve() for item in folders]
    except OSError as error:
        raise ElementsPathError(
            f'looking for elements in "{entry}": {error.strerror}: "{error.filename}"',
            hint="make it readable or remove it from ELEMENTS_PATH",
        ) from error
    return list({folder.name: folder for folder in reversed(resolved)}.values())


def _read_names(path: Path) -> dict[str, int]:
    """Read a file of one name a line, as a mapping from name to the line that has it first.

    There is no comment syntax: upstream takes ``# x`` as a name, which then does not exist.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ElementError(
            f'reading "{path}": {error.strerror}', hint="make it a readable file or remove it"
        ) from error
    names: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        name = line.strip()
        if name:
            names.setdefault(name, number)
    return names


def _read_meta(path: Path) -> ElementMeta:
    # Most elements have none, and asking is cheaper than an exception with its message.
    content = read_yaml(path) if path.exists() else None
    if content is None:
        return ElementMeta()
    fields = content.fields(("summary", "inputs", "fingerprint", "max_age", "lint"))
    inputs = fields["inputs"].fields(("variables", "files")) if "inputs" in fields else {}
    lint = fields["lint"].fields(("ignore",)) if "lint" in fields else {}
    return ElementMeta(
        summary=_given(fields.get("summary"), YamlValue.text, ""),
        variables=_given(inputs.get("variables"), _variables, ()),
        files=_given(inputs.get("files"), _inner_paths, ()),
        fingerprint=_given(fields.get("fingerprint"), lambda v: _program(v, path.parent), None),
        max_age_seconds=_given(fields.get("max_age"), _max_age, None),
        lint_ignore=_given(lint.get("ignore"), YamlValue.texts, ()),
    )


def _given(value: YamlValue | None, read: Callable[[YamlValue], T], default: T) -> T:
    return default if value is None else read(value)


def _variables(value: YamlValue) -> tuple[str, ...]:
    for item in value.items():
        if not _VARIABLE.search(item.text()):
            item.refuse(f'found the text "{item.text()}", expected the name of a variable')
    return value.texts()


def _inner_paths(value: YamlValue) -> tuple[str, ...]:
    return tuple(_inner_path(item) for item in value.items())


def _inner_path(value: YamlValue) -> str:
    text = value.text()
    path = PurePosixPath(text)
    if not text or "\0" in text or path.is_absolute() or ".." in path.parts or not path.parts:
        value.refuse(f'found the text "{text}", expected a relative path without ".."')
    return str(path)


def _program(value: YamlValue, folder: Path) -> str | None:
    inner = _inner_path(value)
    program = folder / inner
    if not program.is_file() or not program.stat().st_mode & 0o111:
        value.refuse(
            f'found the text "{inner}", expected the path of an executable in the element',
            hint=f"chmod +x {program}" if program.is_file() else "",
        )
    return inner


def _max_age(value: YamlValue) -> int | None:
    match = _MAX_AGE.search(value.text())
    if match is None:
        value.refuse(
            f'found the text "{value.text()}", expected a number of minutes, hours or days'
            " such as 90m, 24h or 7d"
        )
    return int(match[1]) * _SECONDS[match[2]]
