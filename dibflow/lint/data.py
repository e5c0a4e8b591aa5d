"""Rules for the data that elements bring: YAML, JSON, and the forms that other elements read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from dibflow.errors import DefinitionError
from dibflow.lint.model import Problem, Rule, Severity
from dibflow.lint.source import ElementSource, SourceFile
from dibflow.lint.surroundings import Surroundings
from dibflow.planning.element import META_FILE
from dibflow.yamlfile import YamlValue, did_you_mean, parse_yaml

_PACKAGE_FILES = ("package-installs.yaml", "package-installs.json")
_PACKAGE_PHASES = ("pre-install.d", "install.d", "post-install.d")
_PACKAGE_KEYS = (
    *("phase", "uninstall", "build-only", "installtype", "arch", "not-arch"),
    *("dib_python_version", "when"),
)
_STATEMENT = re.compile(r"\s*\w+\s*(?:!=|=)\s*.*?\s*")
_FAMILIES = ("debian", "gentoo", "redhat", "suse")
_MAP_SECTIONS = ("default", "family", "distro", "release")
_REPOSITORY_TYPES = ("file", "git", "package", "tar")
_BLOCK_DEVICE_PLUGINS = ("fstab", "local_loop", "lvm", "mkfs", "mount", "partitioning")


def _refusals(file: SourceFile, read: Callable[[YamlValue], None]) -> Iterator[Problem]:
    """Read a YAML or JSON file with `read`; what it refuses is the problem."""
    try:
        value = parse_yaml(_bytes(file), Path(file.path))
        if value is not None:
            read(value)
    except DefinitionError as error:
        yield _problem(file, error)


def _bytes(file: SourceFile) -> bytes:
    content = (file.text or "").encode("utf-8", "surrogateescape")
    # JSON forbids tabs in strings only, YAML in indentation: where both are read, blanks will do.
    return content.expandtabs(1) if file.path in _PACKAGE_FILES else content


def _problem(file: SourceFile, error: DefinitionError) -> Problem:
    place, _, problem = error.message.partition(": ")
    line = place.rpartition(":")[2]
    hint = f" ({error.hint})" if error.hint else ""
    return Problem(file.path, problem + hint, int(line) if line.isdigit() else 1)


def yaml_syntax(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """A file named ``.yaml`` that is no YAML."""
    for file in element.files:
        if file.text is not None and file.name.endswith((".yaml", ".yml")):
            if file.path == META_FILE or file.path in _PACKAGE_FILES:
                continue  # have rules of their own, which see this too
            try:
                parse_yaml(_bytes(file), Path(file.path))
            except DefinitionError as error:
                yield _problem(file, error)


def json_syntax(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """A file named ``.json``, or a pkg-map, that is no JSON."""
    for file in element.files:
        named = file.name.endswith(".json") or file.path == "pkg-map"
        if file.text is None or not named or file.executable:
            continue
        try:
            json.loads(file.text)
        except json.JSONDecodeError as error:
            yield Problem(file.path, f"broken JSON: {error.msg}", error.lineno)
        except RecursionError:
            yield Problem(file.path, "broken JSON: nested too deeply")


def package_installs(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """A list of packages that ``package-installs`` refuses or misreads."""
    for path in _PACKAGE_FILES:
        file = element.file(path)
        if file is not None and file.text is not None:
            yield from _refusals(file, _read_packages)


def _read_packages(value: YamlValue) -> None:
    for package in value.mapping().values():
        if _is_nothing(package):
            continue
        for conditions in package.items() if package.is_list else (package,):
            if not _is_nothing(conditions):
                _read_conditions(conditions)


def _is_nothing(value: YamlValue) -> bool:
    return value.node.tag == "tag:yaml.org,2002:null"


def _read_conditions(value: YamlValue) -> None:
    fields = value.fields(_PACKAGE_KEYS)
    if "phase" in fields and fields["phase"].text() not in _PACKAGE_PHASES:
        fields["phase"].refuse(
            f'packages of phase "{fields["phase"].text()}" are never installed',
            hint=f"the phases are {', '.join(_PACKAGE_PHASES)}",
        )
    if "arch" in fields and "not-arch" in fields:
        fields["not-arch"].refuse("cannot be given with arch")
    for flag in ("uninstall", "build-only"):
        if flag in fields and not fields[flag].boolean():
            fields[flag].refuse("takes effect under diskimage-builder whatever its value: drop it")
    for name in ("arch", "not-arch"):
        if name in fields and not fields[name].is_list and re.search(r"\s", fields[name].text()):
            fields[name].refuse("diskimage-builder takes blanks as a part of the names: drop them")
    if "when" in fields:
        when = fields["when"]
        for statement in when.items() if when.is_list else (when,):
            if not _STATEMENT.fullmatch(statement.text()):
                statement.refuse(
                    f'found the text "{statement.text()}", expected NAME = value or NAME != value'
                )


def package_map(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """A pkg-map in which ``pkg-map`` will not find what is meant."""
    file = element.file("pkg-map")
    if file is not None and file.text is not None and not any(json_syntax(element, _)):
        yield from _refusals(file, _read_package_map)


def _read_package_map(value: YamlValue) -> None:
    sections = value.fields(_MAP_SECTIONS)
    if "default" in sections:
        _read_names(sections["default"])
    for family, names in _entries(sections, "family"):
        if family not in _FAMILIES:
            names.refuse(
                "is no family of distributions",
                hint=did_you_mean(family, _FAMILIES) or f"there are {', '.join(_FAMILIES)}",
            )
        _read_names(names)
    for _, names in _entries(sections, "distro"):
        _read_names(names)
    for _, releases in _entries(sections, "release"):
        for names in releases.mapping().values():
            _read_names(names)


def _entries(sections: dict[str, YamlValue], name: str) -> Iterator[tuple[str, YamlValue]]:
    if name in sections:
        yield from sections[name].mapping().items()


def _read_names(value: YamlValue) -> None:
    for packages in value.mapping().values():
        packages.text()


def service_map(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """A svc-map that is not a map from services to names by distribution."""
    file = element.file("svc-map")
    if file is not None and file.text is not None and not file.executable:
        yield from _refusals(file, _read_service_map)


def _read_service_map(value: YamlValue) -> None:
    for names in value.mapping().values():
        for name in names.mapping().values():
            name.text()


def block_device(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """A description of block devices that is not a list of devices."""
    for file in element.files:
        named = re.fullmatch(r"block-device-[^/]+\.yaml", file.path)
        if named and file.text is not None and _parses(file):
            yield from _refusals(file, _read_devices)


def _parses(file: SourceFile) -> bool:
    """Tell whether a file is YAML at all; `yaml_syntax` says why it is not."""
    try:
        return parse_yaml(_bytes(file), Path(file.path)) is not None
    except DefinitionError:
        return False


def _read_devices(value: YamlValue) -> None:
    for device in value.items():
        fields = device.mapping()
        if len(fields) != 1:
            device.refuse(f"found {len(fields)} keys, expected one: the kind of the device")
        device.fields(_BLOCK_DEVICE_PLUGINS)
        for options in fields.values():
            options.mapping()


def source_repository(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """A line of source-repository-NAME that ``source-repositories`` refuses."""
    for file in element.files:
        if "/" in file.path or not file.name.startswith("source-repository-") or file.text is None:
            continue
        seen: dict[str, int] = {}
        for number, line in enumerate(file.lines, start=1):
            fields = line.split()
            if not fields or fields[0].startswith("#"):
                continue
            problem = _repository_problem(fields)
            if problem:
                yield Problem(file.path, problem, number)
            elif fields[0] in seen:
                yield Problem(
                    file.path, f'"{fields[0]}" is there already, on line {seen[fields[0]]}', number
                )
            seen.setdefault(fields[0], number)


def _repository_problem(fields: list[str]) -> str:
    if not 4 <= len(fields) <= 5:
        return f"found {len(fields)} fields, expected: name type destination location [ref]"
    kind, destination = fields[1], fields[2]
    if "$" not in kind and kind not in _REPOSITORY_TYPES:
        return f'"{kind}" is no type of a repository: {", ".join(_REPOSITORY_TYPES)}'
    if not destination.startswith(("/", "$")):
        return f'the destination "{destination}" is no absolute path'
    return ""


RULES = (
    Rule("yaml", Severity.ERROR, yaml_syntax),
    Rule("json", Severity.ERROR, json_syntax),
    Rule("package-installs", Severity.ERROR, package_installs),
    Rule("pkg-map", Severity.ERROR, package_map),
    Rule("svc-map", Severity.ERROR, service_map),
    Rule("block-device", Severity.ERROR, block_device),
    Rule("source-repository", Severity.ERROR, source_repository),
)
