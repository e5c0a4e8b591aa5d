"""The one door for external programs of the engine (hooks go through the sandbox instead)."""

from __future__ import annotations

import logging
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from dibflow.errors import HostError, StepError

log = logging.getLogger(__name__)

_LAST_LINES = 5


def run(
    arguments: Sequence[str],
    *,
    doing: str,
    package: str,
    folder: Path | None = None,
    given: str = "",
) -> str:
    """Run a program to its end and give its standard output; it reads `given`, then the end.

    `doing` says in an error what the program was for, `package` where to get it on Debian. Raises
    HostError if it is not installed, StepError if it fails, with its last lines.
    """
    log.debug("running %s", shlex.join(arguments))
    try:
        done = subprocess.run(
            arguments,
            input=given,
            capture_output=True,
            text=True,
            errors="replace",
            cwd=folder,
            check=False,
        )
    except FileNotFoundError as error:
        raise HostError(
            f'{doing}: the program "{arguments[0]}" is not installed',
            hint=f"apt-get install {package} (`dibflow doctor` checks all programs)",
        ) from error
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()[-_LAST_LINES:]
        said = "; ".join(line.strip() for line in lines) or "no message"
        raise StepError(
            f'{doing}: "{arguments[0]}" ended with status {done.returncode}: {said}',
            hint=f"try it by hand: {shlex.join(arguments)}",
        )
    return done.stdout
