"""Derive UUIDs and the like from an identity, so that the same image made twice is the same."""

from __future__ import annotations

import uuid

_NAMESPACE = uuid.UUID("6f5a0a3c-6d1e-5a58-9f5d-0d1bf10e0001")


def derived_uuid(identity: str, *what: str) -> uuid.UUID:
    """Give the UUID of one thing, named by the words of `what`, of the image called `identity`."""
    return uuid.uuid5(_NAMESPACE, "\0".join((identity, *what)))


def derived_number(identity: str, *what: str) -> int:
    """Give 32 bits of the UUID that `derived_uuid` gives, never all nothing."""
    return int.from_bytes(derived_uuid(identity, *what).bytes[:4], "big") or 1
