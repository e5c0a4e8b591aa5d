"""``dibflow log``: what happened in a build, or what one step printed."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dibflow.cli.selection import add_store_option, store_of
from dibflow.engine.history import find_build, find_step, past_builds
from dibflow.engine.journal import Happening, Line
from dibflow.errors import UsageError
from dibflow.store.empty import existing_store
from dibflow.wording import human_bytes, human_seconds

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_POLL_SECONDS = 0.2


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to those of ``dibflow``."""
    parser = subparsers.add_parser(
        "log",
        help="show what happened in a build, or what a step printed",
        description="Without STEP: what happened in the last build, a line each. With STEP: what "
        "its last try printed.",
        epilog="example: dibflow log install.d/10-cloud-init",
    )
    parser.add_argument("step", nargs="?", metavar="STEP", help="title, hook, number or key")
    parser.add_argument("--build", metavar="BUILD", help="name or id of a build (default: last)")
    parser.add_argument("--path", action="store_true", help="print the path of the log instead")
    parser.add_argument("--follow", action="store_true", help="go on as the step prints more")
    parser.add_argument("--json", action="store_true", help="print the journal as JSON lines")
    add_store_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the journal or a log."""
    store = existing_store(store_of(arguments))
    builds = past_builds(store) if (store.root / "builds").is_dir() else ()
    if arguments.step is None:
        build = find_build(builds, arguments.build, store=store.root)
        for line in build.journal.lines():
            print(json.dumps(_as_json(line)) if arguments.json else as_text(line))
        if not arguments.json:
            print(f"{build.name} is {build.state}")
        return 0
    if arguments.build is not None:
        builds = (find_build(builds, arguments.build, store=store.root),)
    _, step = find_step(builds, arguments.step, store=store.root)
    path = last_log(store.root, step.key)
    if path is None:
        raise UsageError(
            f"{step.title} has not run in this store, so it has no log",
            hint="its result was reused from a step with the same content, or it has yet to run",
        )
    if arguments.path:
        print(path)
        return 0
    for text in _read(path, follow=arguments.follow):
        print(text, end="", flush=arguments.follow)
    return 0


def last_log(store: Path, key: str) -> Path | None:
    """Give the log of the last try of a step; None if it never ran here."""
    logs = sorted((store / "logs" / key).glob("*.log"), key=lambda path: int(path.stem))
    return logs[-1] if logs else None


def _read(path: Path, *, follow: bool) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as file:
        while True:
            text = file.read()
            if text:
                yield text
            elif not follow:
                return
            else:
                time.sleep(_POLL_SECONDS)


def _as_json(line: Line) -> dict[str, object]:
    return asdict(line) | {"happening": line.happening.value}


def as_text(line: Line) -> str:
    """Give a line of the journal for a person."""
    clock = datetime.fromtimestamp(line.time).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    detail = ""
    if line.happening in {Happening.BUILT, Happening.REUSED}:
        detail = f"{human_seconds(line.seconds):>10}  {human_bytes(line.size_bytes):>10}"
    elif line.text:
        detail = line.text.splitlines()[0]
    return f"{clock}  {line.happening.value:8} {line.title:45} {detail}".rstrip()
