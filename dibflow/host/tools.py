"""The programs and files that dibflow uses of its host, read from the list that ships with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from dibflow.errors import HostError

_VERSION = re.compile(r"\d+(?:\.\d+)+")


class Need(Enum):
    """Who needs a tool."""

    IMAGE = "image"
    """Every build."""
    OPTION = "option"
    """Some builds, or none if there is another way."""
    TEST = "test"
    """The project's own tests and checks."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One program on PATH, or one file by its absolute path, and where it comes from."""

    name: str
    need: Need
    package: str
    """The Debian package."""
    minimum: str
    """The oldest version that will do; empty if any does."""
    version_argument: str
    """What makes the program print its version; empty if it has none."""
    purpose: str


def read_tools(text: str, *, source: str) -> tuple[Tool, ...]:
    """Read a list of tools (its first lines explain the columns), in its order.

    `source` names the list in errors. Raises HostError for a line that is none.
    """
    tools = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        columns = line.split(maxsplit=5)
        try:
            need, name, package, minimum, version_argument, purpose = columns
            tool = Tool(
                name=name,
                need=Need(need),
                package=package,
                minimum="" if minimum == "-" else minimum,
                version_argument="" if version_argument == "-" else version_argument,
                purpose=purpose,
            )
        except ValueError as error:
            raise HostError(
                f'{source}:{number}: not a line of the list of tools: "{line}"',
                hint="install dibflow again: this file is part of it",
            ) from error
        tools.append(tool)
    return tuple(tools)


def version_in(output: str) -> str:
    """Give the first thing in a program's output that looks like a version, or an empty string."""
    found = _VERSION.search(output)
    return found.group() if found else ""


def is_older(version: str, minimum: str) -> bool:
    """Compare versions number by number: 4.9 is older than 4.10, 5.1 is as new as 5.1.0."""
    numbers = [int(number) for number in version.split(".")]
    wanted = [int(number) for number in minimum.split(".")]
    length = max(len(numbers), len(wanted))
    return numbers + [0] * (length - len(numbers)) < wanted + [0] * (length - len(wanted))
