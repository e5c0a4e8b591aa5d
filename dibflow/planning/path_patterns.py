"""Paths with wildcards, in the hooks tree and in the folders of elements."""

from __future__ import annotations

import functools
import re

from dibflow.planning.path_names import ANY_DEPTH, ANYTHING

ALL = "*"
"""The pattern of `NamedInputs.element_files` that stands for every file of every element."""


def element_file_matches(pattern: str, path: str) -> bool:
    """Tell whether `pattern` means the file at `path` in an element: itself or a folder above."""
    return matcher(tuple(pattern.split("/"))).fullmatch(path) is not None


def joined(folder: tuple[str, ...], parts: tuple[str, ...]) -> tuple[str, ...]:
    """Follow `parts` from a folder of the tree; the empty tuple stands for its top.

    What leads out of the tree may come back in, so it counts as the top.
    """
    found: list[str] = []
    for part in (*folder, *parts):
        if found and (ANYTHING in found[-1] or found[-1] == ANY_DEPTH) and part == "..":
            return (*found[:-1], ANYTHING)
        if part != "..":
            found.append(part)
        elif found:
            found.pop()
        else:
            return ()
    return tuple(found)


@functools.lru_cache(maxsize=4096)
def matcher(parts: tuple[str, ...], *, beneath: bool = True) -> re.Pattern[str]:
    """Compile a path with wildcards; with `beneath` it also matches what its folders hold."""
    pattern = ""
    for part in parts:
        if part == ANY_DEPTH:
            pattern += "(?:[^/]+/)*"
            continue
        pattern += _WILDCARD.sub(_wildcard, part) + "/"
        if ANYTHING in part:
            break
    pattern = pattern.removesuffix("/")
    if not beneath:
        return re.compile(pattern, re.DOTALL)
    return re.compile(f"{pattern}(?:/.*)?" if pattern else ".*", re.DOTALL)


_WILDCARD = re.compile(rf"\[[^\]]*\]|\*|\?|{ANYTHING}|[^\[*?{ANYTHING}]+|\[")


def _wildcard(match: re.Match[str]) -> str:
    text = match[0]
    if text == ANYTHING:
        return ".*"
    if text == "*":
        return "[^/]*"
    return "[^/]" if text[0] in "?[" else re.escape(text)


def element_pattern(parts: tuple[str, ...]) -> str:
    """Write the parts of a path in an element's folder as a pattern."""
    found: list[str] = []
    for part in parts:
        if part in {"..", ANY_DEPTH}:
            return ALL
        if ANYTHING in part:
            found.append(part.split(ANYTHING)[0] + "*")
            break
        found.append(part)
    return "/".join(found) or ALL
