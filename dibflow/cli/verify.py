"""``dibflow verify``: whether the store still holds what was put into it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from dibflow.cli.selection import add_store_option, store_of
from dibflow.errors import StoreError
from dibflow.store.store import DirectoryStore
from dibflow.store.verify import Verified, verify

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to those of ``dibflow``."""
    parser = subparsers.add_parser(
        "verify",
        help="check the layers and records of the store",
        description="Read every layer and compare it with its name, which is a digest of what it "
        "holds; check the layers of disks with qemu-img, and that records lead to all of them. "
        "Nothing is changed. The exit status is 5 if something is damaged.",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_store_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check the store and print what is damaged."""
    root = store_of(arguments)
    if not (root / "version").exists():
        raise StoreError(f'there is no store at "{root}"', hint="name another one with --store")
    done = verify(DirectoryStore(root).root, on_layer=_tell if sys.stderr.isatty() else _silent)
    print(json.dumps(asdict(done), indent=2) if arguments.json else as_text(done, root=str(root)))
    return StoreError.exit_status if done.damages else 0


def as_text(done: Verified, *, root: str) -> str:
    """Give the result for a person."""
    lines = [f"{root}/{one.path}: {one.problem}" for one in done.damages]
    lines.append(
        f"{done.layers} layers, {done.disks} disk layers, {done.records} records, "
        f"{len(done.damages)} damaged"
    )
    if done.damages:
        lines.append("remove what is named: the next build makes it again")
    return "\n".join(lines)


def _tell(number: int, count: int) -> None:
    print(f"\rlayer {number} of {count}", end="\n" if number == count else "", file=sys.stderr)


def _silent(number: int, count: int) -> None:
    """Say nothing."""
