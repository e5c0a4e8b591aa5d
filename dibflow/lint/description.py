"""Rules for what describes an element: its README, dependencies and ``element.yaml``."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from dibflow.errors import DefinitionError
from dibflow.lint.model import Problem, Rule, Severity
from dibflow.lint.source import ElementSource, SourceFile
from dibflow.lint.surroundings import Surroundings
from dibflow.planning.element import DEPS_FILE, META_FILE, PROVIDES_FILE
from dibflow.yamlfile import did_you_mean

ENGINE_VARIABLES = frozenset(
    {
        *("DIB_ARGS", "DIB_BLOCK_DEVICE", "DIB_BLOCK_DEVICE_PARAMS_YAML", "DIB_BOOT_LABEL"),
        *("DIB_CHECKSUM", "DIB_DEBUG_TRACE", "DIB_DEFAULT_INSTALLTYPE", "DIB_ENV"),
        *("DIB_IMAGE_CACHE", "DIB_IMAGE_SIZE", "DIB_LOCKFILES", "DIB_MIN_TMPFS"),
        *("DIB_MOUNTPOINTS", "DIB_NO_TMPFS", "DIB_OFFLINE", "DIB_PYTHON_EXEC", "DIB_QUIET"),
        *("DIB_ROOT_FSTYPE", "DIB_ROOT_LABEL"),
        "DIB_RELEASE",  # every operating system has it
    }
)
"""Variables that every hook may count on; ``docs/elements.md`` describes them."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_SHELL_READ = re.compile(
    r"(?<!\\)\$\{?[#]?(?P<name>DIB_\w*[A-Za-z0-9])(?![\w@*])(?P<default>:?[-=])?"
)
_SHELL_TEST = re.compile(r"(?:^|\s)-v\s+(?P<name>DIB_\w+)")
_PYTHON_READ = re.compile(
    r"""(?:environ(?:\.get|\.pop|\.setdefault)?|getenv|environment(?:\.get)?)\s*[\[(]\s*"""
    r"""["'](?P<name>DIB_\w*[A-Za-z0-9])["']"""
)


def readme(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """An element that tells nobody what it is for."""
    if element.readme is None:
        yield Problem("", "has neither README.md nor README.rst")
    elif not (element.readme.text or "").strip():
        yield Problem(element.readme.path, "is empty")


def undocumented_variable(element: ElementSource, around: Surroundings) -> Iterator[Problem]:
    """A ``DIB_*`` variable that hooks read and no README of the element or what it needs names."""
    if element.readme is None:
        return
    known = [element.readme.text or ""]
    known += [
        one.readme for name, one in around.closure(element.name).items() if name != element.name
    ]
    computed = _computed(element)
    told: set[str] = set()
    for file in element.files:
        for name, line, has_default in _reads(file):
            if name in told or name in ENGINE_VARIABLES or (name in computed and not has_default):
                continue
            told.add(name)
            if not any(re.search(rf"\b{name}\b", text) for text in known):
                yield Problem(
                    file.path, f"reads {name}, which {element.readme.path} does not name", line
                )


def _reads(file: SourceFile) -> Iterator[tuple[str, int, bool]]:
    """Give the variables that a text reads: name, line, whether with a default."""
    if not file.language or file.top in {"static", "init-scripts"}:
        return
    for number, line in enumerate(file.lines, start=1):
        if line.lstrip().startswith("#"):
            continue
        if file.language == "python":
            for match in _PYTHON_READ.finditer(line):
                yield match["name"], number, False
            continue
        for match in _SHELL_READ.finditer(line):
            yield match["name"], number, match["default"] is not None
        for match in _SHELL_TEST.finditer(line):
            yield match["name"], number, True


def _computed(element: ElementSource) -> frozenset[str]:
    """Name the variables that the element gives values of its own."""
    found = set()
    for file in element.files:
        if file.language in {"bash", "sh"}:
            for line in file.lines:
                match = re.match(r"\s*(?:export\s+|local\s+)?(DIB_\w+)\+?=(.*)", line)
                if match and not re.search(rf"\$\{{?{match[1]}\b", match[2]):
                    found.add(match[1])
    return frozenset(found)


def name_lists(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """A line of element-deps or element-provides that is no name of an element."""
    for path in (DEPS_FILE, PROVIDES_FILE):
        first: dict[str, int] = {}
        for number, line in _listed(element.file(path)):
            if line.startswith("#"):
                yield Problem(
                    path, f'there are no comments here: "{line}" is taken as a name', number
                )
            elif not _NAME.fullmatch(line):
                yield Problem(path, f'"{line}" is no name of an element; write one a line', number)
            elif line in first:
                yield Problem(
                    path,
                    f'"{line}" is there already, on line {first[line]}',
                    number,
                    severity=Severity.WARNING,
                )
            first.setdefault(line, number)


def _listed(file: SourceFile | None) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(file.lines if file else (), start=1):
        if line.strip():
            yield number, line.strip()


def deps_order(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """A list of dependencies that is not sorted."""
    names = list(_listed(element.file(DEPS_FILE)))
    for (__, before), (number, name) in itertools.pairwise(names):
        if name < before:
            yield Problem(DEPS_FILE, f'"{name}" stands after "{before}": sort the names', number)
            break


def dependencies(element: ElementSource, around: Surroundings) -> Iterator[Problem]:
    """A dependency that no element of the path is or provides."""
    for number, name in _listed(element.file(DEPS_FILE)):
        if name == element.name:
            yield Problem(DEPS_FILE, "names the element itself", number)
        elif _NAME.fullmatch(name) and not around.offers(name):
            close = did_you_mean(name, around.neighbours)
            yield Problem(
                DEPS_FILE,
                f'needs "{name}", which no element of the path is or provides'
                + (f" ({close})" if close else ""),
                number,
            )


def element_yaml(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """An ``element.yaml`` that a build refuses."""
    refusal = element.refusal
    if isinstance(refusal, DefinitionError):
        place, __, problem = refusal.message.partition(": ")
        line = place.rpartition(":")[2]
        hint = f" ({refusal.hint})" if refusal.hint else ""
        yield Problem(META_FILE, problem + hint, int(line) if line.isdigit() else 1)
    elif refusal is not None:
        yield Problem("", refusal.message)


RULES = (
    Rule("readme", Severity.ERROR, readme),
    Rule("undocumented-variable", Severity.WARNING, undocumented_variable),
    Rule("name-list", Severity.ERROR, name_lists),
    Rule("deps-order", Severity.WARNING, deps_order),
    Rule("unknown-dependency", Severity.ERROR, dependencies),
    Rule("element-yaml", Severity.ERROR, element_yaml),
)
