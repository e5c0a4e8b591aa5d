"""Digests of outputs: of a stream while it is written, of a file in one read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

_CHUNK = 1 << 20


def algorithms(wanted: str) -> tuple[str, ...]:
    """Give what is to be computed for the checksums that are `wanted`, by name with commas.

    SHA-256 always is: the report of a build names each output by it.
    """
    return tuple(dict.fromkeys(("sha256", *filter(None, wanted.split(",")))))


def _new(names: Sequence[str]) -> dict[str, _Hash]:
    # MD5 is what a user asked for to find damage, not to keep anybody out.
    return {name: hashlib.new(name, usedforsecurity=False) for name in names}


def write_digested(chunks: Iterable[bytes], output: Path, names: Sequence[str]) -> dict[str, str]:
    """Write `chunks` to a new file and give its digests by name.

    Without threads: it runs in a child that was forked (see `dibflow.sandbox.run`).
    """
    hashes = _new(names)
    with output.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
            for one in hashes.values():
                one.update(chunk)
    return {name: one.hexdigest() for name, one in hashes.items()}


def digests_of(path: Path, names: Sequence[str]) -> dict[str, str]:
    """Read a file once and give its digests by name, each computed in a thread of its own.

    hashlib gives up the interpreter's lock, so the threads take a core each while this one reads.
    """
    hashes = _new(names)
    running: list[Future[None]] = []
    with path.open("rb", buffering=0) as file, ThreadPoolExecutor(len(hashes)) as pool:
        while chunk := file.read(_CHUNK):
            # A digest takes its chunks one after the other; reading runs ahead by one.
            for future in running:
                future.result()
            running = [pool.submit(one.update, chunk) for one in hashes.values()]
    return {name: one.hexdigest() for name, one in hashes.items()}


def chosen(digests: Mapping[str, str], wanted: str) -> dict[str, str]:
    """Give those of `digests` that a user asked for."""
    return {name: digests[name] for name in filter(None, wanted.split(","))}
