"""``dibflow``: the commands, one module each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dibflow.cli import (
    boot,
    build,
    doctor,
    dropin,
    gc,
    graph,
    lint,
    log,
    new_element,
    plan,
    shell,
    verify,
    why,
)
from dibflow.errors import DibflowError, Interrupted

_COMMANDS = (build, plan, graph, why, log, shell, boot, doctor, gc, verify, lint, new_element)


_DROP_INS = {"disk-image-create": False, "ramdisk-image-create": True}
"""DIB's commands, and whether they make a ramdisk. They read their arguments as DIB does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status; a person's mistake is told without a traceback."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        return _run(words)
    except DibflowError as error:
        print(f"dibflow: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return Interrupted.exit_status
    except BrokenPipeError:
        # Whoever read us (head, less) has seen enough.
        sys.stderr.close()
        return 0


def _run(words: Sequence[str]) -> int:
    if words and words[0] in _DROP_INS:
        return dropin.run(words[1:], ramdisk=_DROP_INS[words[0]])
    parser = argparse.ArgumentParser(
        prog="dibflow",
        description="Build operating-system disk images from diskimage-builder elements, hook by "
        "hook, resumable and cached.",
        epilog="Exit statuses: 0 done, 1 lint found errors, 2 wrong usage or definition, "
        "3 elements, 4 this machine, 5 the store, 6 a step of the build or a boot, "
        "128+N stopped by signal N.",
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(subparsers)
    for name in _DROP_INS:
        subparsers.add_parser(name, help="take the arguments of diskimage-builder's " + name)
    chosen = parser.parse_args(words)
    return int(chosen.run(chosen))
