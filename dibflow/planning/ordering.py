"""Which names count in a folder of hooks, and in which order they take effect."""

from __future__ import annotations

import os
import re
from decimal import Decimal
from typing import TYPE_CHECKING

from dibflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HOOK_NAME = re.compile(r"\A[0-9A-Za-z_-]+\Z")
"""Names that a phase runs: no dots, so that data files may lie beside the hooks."""

ENVIRONMENT_NAME = re.compile(r"\A[0-9A-Za-z_.-]+\Z")
"""Names in ``environment.d`` that are sourced."""

# In coreutils' sort (src/sort.c, NUMERIC comparison): optional blanks, "-", digits, "." and digits.
_LEADING_NUMBER = re.compile(r"[ \t]*(-?[0-9]*(?:\.[0-9]*)?)")

_POSIX_CLASSES = {
    "[:alnum:]": "0-9A-Za-z",
    "[:alpha:]": "A-Za-z",
    "[:digit:]": "0-9",
    "[:lower:]": "a-z",
    "[:upper:]": "A-Z",
    "[:xdigit:]": "0-9A-Fa-f",
}


def hook_order(names: Iterable[str]) -> list[str]:
    """Sort the names of hooks by their leading number, then byte by byte.

    A name without a number counts as zero. The result equals ``LC_ALL=C sort -n`` of coreutils,
    also for numbers of any length, for fractions and for names that are no text (surrogateescape).
    """
    return sorted(names, key=lambda name: (_leading_number(name), os.fsencode(name)))


def environment_order(names: Iterable[str]) -> list[str]:
    """Sort the names of environment files byte by byte: ``100-c`` stands before ``20-b``.

    diskimage-builder sorts these by number too, but over full paths, which start with ``/``: no
    number is ever seen, and elements rely on what comes out.
    """
    return sorted(names, key=os.fsencode)


def hook_name_pattern(environment: Mapping[str, str]) -> re.Pattern[str]:
    """Give the pattern that hook names must contain: ``RUN_PARTS_REGEX``, else HOOK_NAME.

    The variable holds an extended regular expression of ``grep -E``, in the C locale. Raises
    UsageError if it is none.
    """
    expression = environment.get("RUN_PARTS_REGEX", "")
    if not expression:
        return HOOK_NAME
    translated = expression
    for posix, characters in _POSIX_CLASSES.items():
        translated = translated.replace(posix, characters)
    try:
        return re.compile(translated, re.ASCII)
    except re.error as error:
        raise UsageError(
            f'RUN_PARTS_REGEX is no regular expression: "{expression}" ({error})',
            hint="unset it to run every hook whose name has only letters, digits, - and _",
        ) from error


def _leading_number(name: str) -> Decimal:
    match = _LEADING_NUMBER.match(name)
    digits = match[1] if match else ""
    # Comparing decimals is exact at any length; only their arithmetic is rounded.
    return Decimal(digits) if digits.strip("-.") else Decimal(0)
