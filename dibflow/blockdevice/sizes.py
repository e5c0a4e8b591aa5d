"""Read sizes and shares as block-device configurations write them.

Source: the documentation of diskimage-builder, "Disk image layout", and its tests of sizes.
"""

from __future__ import annotations

import re
from fractions import Fraction

from dibflow.errors import UsageError

KIB = 1024
MIB = 1024**2
GIB = 1024**3
TIB = 1024**4

_UNITS = {
    "TiB": TIB,
    "GiB": GIB,
    "MiB": MIB,
    "KiB": KIB,
    "TB": 1000**4,
    "GB": 1000**3,
    "MB": 1000**2,
    "KB": 1000,
    "T": 1000**4,
    "G": 1000**3,
    "M": 1000**2,
    "K": 1000,
    "B": 1,
    "": 1,
}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?([A-Za-z]*)", re.ASCII)
_SHARE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?%", re.ASCII)
_UNIT_HINT = "units are TiB GiB MiB KiB (1024), TB GB MB KB T G M K (1000) and B"


def parse_size(text: str) -> int:
    """Give the bytes of ``550MiB``, ``3 G`` or ``1.5TB``, rounded down to a whole byte.

    ``G`` and ``GB`` count in thousands, ``GiB`` in 1024; a plain number is bytes; case counts.
    Raises UsageError for anything else.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UsageError(f'found "{text}", expected a size as in "550MiB"', hint=_UNIT_HINT)
    number, unit = match.groups()
    if unit not in _UNITS:
        same = [known for known in _UNITS if known.lower() == unit.lower()]
        hint = f'did you mean "{number}{same[0]}"?' if same else _UNIT_HINT
        raise UsageError(f'found "{text}", whose unit "{unit}" is not known', hint=hint)
    return int(Fraction(number) * _UNITS[unit])


def parse_share(text: str) -> Fraction:
    """Give the share of ``40%``: two fifths.

    Raises UsageError for anything else, and for what is not above nothing and at most all.
    """
    match = _SHARE.fullmatch(text)
    if match is None:
        raise UsageError(f'found "{text}", expected a share as in "40%"')
    share = Fraction(match[1]) / 100
    if not 0 < share <= 1:
        raise UsageError(f'found "{text}", expected a share above 0 % and up to 100 %')
    return share


def is_share(text: str) -> bool:
    """Tell whether a text means a share, right or wrong, and not a size."""
    return text.rstrip().endswith("%")


def round_up(number: int, step: int) -> int:
    """Give the next multiple of `step` that is not below `number`."""
    return -(-number // step) * step


def at_least_mib(size_bytes: int) -> str:
    """Say a size that is needed, so that who takes the number gets enough: ``1025 MiB``."""
    return f"{round_up(size_bytes, MIB) // MIB} MiB"


def at_most_mib(size_bytes: int) -> str:
    """Say a size that there is, without promising more: ``1023 MiB``."""
    return f"{size_bytes // MIB} MiB"
