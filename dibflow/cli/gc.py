"""``dibflow gc``: make room in the store."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING

from dibflow.cli.selection import add_store_option, store_of
from dibflow.engine.collect import collect, survey
from dibflow.errors import StoreError
from dibflow.store.garbage import Garbage
from dibflow.store.store import DirectoryStore
from dibflow.wording import human_bytes

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?) ?(?P<unit>[KMGT]?)(?:i?B)?")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def size_bytes(text: str) -> int:
    """Read a size such as ``20G``, ``1.5 GiB`` or ``0``; units are powers of 1024."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f'found "{text}", expected a size such as 20G or 500M')
    return int(float(match["number"]) * _UNITS[match["unit"]])


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to those of ``dibflow``."""
    parser = subparsers.add_parser(
        "gc",
        help="remove from the store what is not needed",
        description="Remove layers and disks that no finished step needs. With --max-size, also "
        "steps that were not used for the longest time, with their layers, until the rest fits. "
        "Unfinished builds keep theirs, downloads and finished images are not touched. While a "
        "build runs nothing is removed, and the exit status is 5.",
        epilog="example: dibflow gc --max-size 20G --dry-run",
    )
    parser.add_argument("--max-size", type=size_bytes, metavar="SIZE", help="such as 20G")
    parser.add_argument("--dry-run", action="store_true", help="say what would go, remove nothing")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_store_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Collect garbage and say how much it was."""
    root = store_of(arguments)
    if not (root / "version").exists():
        raise StoreError(f'there is no store at "{root}"', hint="name another one with --store")
    act = survey if arguments.dry_run else collect
    garbage = act(DirectoryStore(root), max_size_bytes=arguments.max_size)
    if arguments.json:
        print(json.dumps({**asdict(garbage), "dry_run": arguments.dry_run}, indent=2))
    else:
        print(as_text(garbage, max_size=arguments.max_size, dry_run=arguments.dry_run))
    return 0


def as_text(garbage: Garbage, *, max_size: int | None, dry_run: bool) -> str:
    """Say it for a person, each thing by its path in a dry run."""
    lines = [*garbage.uses, *garbage.items] if dry_run else []
    verb = "would remove" if dry_run else "removed"
    lines.append(
        f"{verb} {len(garbage.uses)} records, {len(garbage.items)} layers and disks: "
        f"{human_bytes(garbage.freed_bytes)}; {human_bytes(garbage.left_bytes)} left"
    )
    if max_size is not None and garbage.left_bytes > max_size:
        lines.append("what is left belongs to unfinished builds")
    return "\n".join(lines)
