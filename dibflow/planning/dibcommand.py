"""The command line of DIB's image commands: read into a definition, and written from one.

Read with getopt and not with argparse, because DIB reads it so: options may stand anywhere among
the elements, may be joined (``-xu``, ``-oNAME``) and shortened (``--check``), ``--`` ends them.

Source: ``disk-image-create --help``; getopt(1).
"""

from __future__ import annotations

import getopt
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

from dibflow.errors import UsageError
from dibflow.planning.definition import DEFAULT_NAME, ImageDefinition

_SHORT = "a:ho:t:xucnp:"
_FLAGS = {"--checksum": "checksum", "--no-tmpfs": "no_tmpfs", "--offline": "offline"}
_TEXTS = {
    "-a": "arch",
    "-o": "name",
    "--logfile": "logfile",
    "--image-cache": "image_cache",
    "--mkfs-options": "mkfs_options",
    "--qemu-img-options": "qemu_img_options",
    "--root-label": "root_label",
    "--ramdisk-element": "ramdisk_element",
    "--install-type": "install_type",
    "--docker-target": "docker_target",
}
_NUMBERS: dict[str, tuple[str, Callable[[str], float]]] = {
    "--image-size": ("image_size_gib", float),
    "--image-extra-size": ("image_extra_size_mib", int),
    "--max-online-resize": ("max_online_resize", int),
    "--min-tmpfs": ("min_tmpfs_gib", int),
    "--mkfs-journal-size": ("mkfs_journal_size_mib", int),
}
_LONG = (
    *("help", "version"),
    *(option[2:] for option in _FLAGS),
    *(f"{option[2:]}=" for option in (*_TEXTS, *_NUMBERS) if option.startswith("--")),
)


class Answer(Enum):
    """What a person asks for instead of an image."""

    HELP = "help"
    VERSION = "version"


def read_command(
    arguments: Sequence[str], environment: Mapping[str, str], *, ramdisk: bool
) -> ImageDefinition | Answer:
    """Read the arguments of ``disk-image-create``, or of ``ramdisk-image-create``.

    Of `environment` count the variables that only this command line knows: IMAGE_NAME, CLEAR_ENV,
    and DIB_DEBUG_TRACE, to which each ``-x`` adds. Raises UsageError.
    """
    try:
        options, elements = getopt.gnu_getopt(list(arguments), _SHORT, list(_LONG))
    except getopt.GetoptError as error:
        raise UsageError(str(error), hint="--help lists the options") from error
    given = [name for name, _ in options]
    for name in given:
        if name in {"-h", "--help"}:
            return Answer.HELP
        if name == "--version":
            return Answer.VERSION
    clear = "-c" in given or environment.get("CLEAR_ENV") == "1"
    if clear:
        environment = {}
    if not elements:
        raise UsageError(
            "found no element, expected at least one", hint="name an operating system element"
        )
    fields: dict[str, Any] = {"name": environment.get("IMAGE_NAME") or DEFAULT_NAME}
    fields |= {field: True for option, field in _FLAGS.items() if option in given}
    packages: list[str] = []
    for name, value in options:
        if name in _TEXTS:
            fields[_TEXTS[name]] = value
        elif name in _NUMBERS:
            field, read = _NUMBERS[name]
            fields[field] = _number(name, value, read)
        elif name == "-t":
            fields["types"] = _words(value)
        elif name == "-p":
            packages += _words(value)
    return ImageDefinition(
        **fields,
        elements=tuple(elements),
        packages=tuple(packages),
        ramdisk=ramdisk,
        uncompressed="-u" in given,
        skip_base="-n" in given,
        clear=clear,
        debug_trace=given.count("-x") + _trace(environment),
    )


def _words(value: str) -> tuple[str, ...]:
    return tuple(value.replace(",", " ").split())


def _number(name: str, value: str, read: Callable[[str], float]) -> float:
    try:
        return read(value)
    except ValueError as error:
        kind = "whole number" if read is int else "number"
        raise UsageError(f'{name}: found "{value}", expected a {kind}') from error


def _trace(environment: Mapping[str, str]) -> int:
    value = environment.get("DIB_DEBUG_TRACE") or "0"
    return int(_number("the variable DIB_DEBUG_TRACE", value, int))


def command_line(definition: ImageDefinition) -> str:
    """Give the shell command that asks for `definition`, variables first, as DIB prints it."""
    program = "ramdisk-image-create" if definition.ramdisk else "disk-image-create"
    variables = [f"{name}={shlex.quote(value)}" for name, value in definition.environment]
    return " ".join([*variables, "dibflow", program, shlex.join(words(definition))])


def words(definition: ImageDefinition) -> tuple[str, ...]:
    """Give the arguments that `read_command` turns back into `definition`."""
    found = ["-o", definition.name]
    found += _valued("-a", definition.arch)
    found += ["-t", ",".join(definition.types)] if definition.types else []
    found += ["-x"] * definition.debug_trace
    found += ["-u"] if definition.uncompressed else []
    found += ["-c"] if definition.clear else []
    for option, field in _TEXTS.items():
        if option.startswith("--"):
            found += _valued(option, getattr(definition, field))
    for option, (field, _) in _NUMBERS.items():
        number = getattr(definition, field)
        found += _valued(option, None if number is None else f"{number:.12g}")
    found += [option for option, field in _FLAGS.items() if getattr(definition, field)]
    found += _valued("-p", ",".join(definition.packages))
    found += ["-n"] if definition.skip_base else []
    if any(element.startswith("-") for element in definition.elements):
        found.append("--")
    return (*found, *definition.elements)


def _valued(option: str, value: str | None) -> Iterator[str]:
    if value:
        yield from (option, value)
