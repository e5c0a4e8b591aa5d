"""Digests over values: sorted JSON in, hexadecimal SHA-256 out.

Keys name steps and layers in the store, so their form never depends on dictionary order, on the
platform or on who runs the build.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

KEY_LENGTH = 32
"""Characters of a key: 128 bits, short enough that 64 layers fit one ``mount(2)`` option page."""


def digest_of(value: object) -> str:
    """Give the key of a JSON value: equal values, equal keys.

    `value` is made of dicts with string keys, lists, tuples, strings, numbers, booleans and None;
    a tuple counts as a list. Raises TypeError for anything else.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def digest_of_file(path: Path) -> str:
    """Give the full SHA-256 of a file's content, 64 hexadecimal characters."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_bytes(content: bytes) -> str:
    """Give the full SHA-256 of `content`, 64 hexadecimal characters."""
    return hashlib.sha256(content).hexdigest()
