"""Say how a hook failed: what, where, its last words, and the commands to go on with."""

from __future__ import annotations

import shlex
from pathlib import Path

from dibflow.errors import HookFailed
from dibflow.planning.plan import Step, StepKind

LAST_LINES = 20
_TAIL_BYTES = 64 * 1024


def last_lines(log: Path, count: int = LAST_LINES) -> tuple[str, ...]:
    """Give the last lines of a log, fewer if it is short, none if it is not there."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ()
    return tuple(text.splitlines()[-count:])


_QUOTED = "    "


def without_last_lines(text: str) -> str:
    """Give the text of an error without what the hook said, for who has seen that already."""
    kept = (line for line in text.splitlines() if not line.startswith(_QUOTED))
    return "\n".join(kept).replace("; its last lines:", "", 1)


def hook_failed(step: Step, *, status: int, log: Path, store: Path) -> HookFailed:
    """Give the error for a hook (or environment.d) that ended with `status`."""
    owner = f' of element "{step.element}"' if step.element else ""
    ended = f"was ended by signal {status - 128}" if status > 128 else f"ended with status {status}"
    what = "environment.d of" if step.kind is StepKind.ENVIRONMENT else "hook"
    name = step.phase.directory if step.kind is StepKind.ENVIRONMENT and step.phase else step.title
    lines = last_lines(log)
    said = "".join(f"\n{_QUOTED}{line}" for line in lines) or f"\n{_QUOTED}(nothing)"
    reopen = shlex.join(["dibflow", "shell", "--store", str(store), step.key[:12]])
    return HookFailed(
        f"{what} {name}{owner} {ended}; its last lines:{said}\n  log: {log}",
        hint=f"look around in its sandbox with `{reopen}`, mend the hook, then give the same "
        "command again: it goes on from this hook",
        status=status,
    )
