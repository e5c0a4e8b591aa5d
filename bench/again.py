"""What it takes to find that nothing is to be done, and to come back to where a kill struck."""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.figures import Figure
from bench.workshop import BenchmarkError, Workshop, has_command

FINISHED_LIMIT_S = 1.0
RESUME_LIMIT_S = 2.0
HOOKS_BEFORE = 150
_PATIENCE_S = 120.0


def measure_finished(workshop: Workshop, rounds: int) -> list[Figure]:
    """Measure a finished build that is asked for again, as a whole process, by each command."""
    commands = {"luigi": workshop.luigi(types="tar,qcow2")}
    if has_command("dibflow"):
        commands["dibflow build"] = workshop.dibflow(types="tar,qcow2")
    for command in commands.values():
        workshop.run(command)
    plain: list[float] = []
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        plain.append(import_seconds())
        for name, command in commands.items():
            seconds[name].append(workshop.run(command).seconds)
    return [
        Figure(
            name=f"finished build again, {name} (plain: import luigi)",
            unit="s",
            samples=tuple(samples),
            plain=tuple(plain),
            limit=FINISHED_LIMIT_S,
        )
        for name, samples in seconds.items()
    ]


def import_seconds() -> float:
    """Give what an interpreter takes that imports Luigi and ends."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-W", "ignore", "-c", "import luigi"], check=True)
    return time.monotonic() - started


def measure_resume(workshop: Workshop, rounds: int) -> list[Figure]:
    """Measure from the start of a command to when the hook runs that kill -9 has hit before.

    `HOOKS_BEFORE` steps that write a file each lie before it. The hook says when it runs.
    """
    hooks = {
        f"install.d/{number}-bench": '#!/bin/sh\nprintf x >"/var/lib/${0##*/}"\n'
        for number in range(100, 100 + HOOKS_BEFORE)
    }
    late = "#!/bin/bash\nprintf '%s\\n' \"${EPOCHREALTIME}\"\nexec sleep 600\n"
    workshop.element("bench-resume", {**hooks, "post-install.d/90-late": late})
    command = workshop.luigi("bench-resume")
    with workshop.running(command) as process:
        log = _wait_for(lambda: _late_log(workshop, after=None), process)
    samples = []
    plain = []
    for _ in range(rounds):
        plain.append(import_seconds())
        started = time.time()
        with workshop.running(command) as process:
            earlier = log
            look = functools.partial(_late_log, workshop, after=earlier)
            log = _wait_for(look, process)
            samples.append(float(log.read_text()) - started)
    return [
        Figure(
            name=f"kill -9 to late hook ({HOOKS_BEFORE} before) again (plain: import luigi)",
            unit="s",
            samples=tuple(samples),
            plain=tuple(plain),
            limit=RESUME_LIMIT_S,
        )
    ]


def _late_log(workshop: Workshop, *, after: Path | None) -> Path | None:
    """Give the log in which the late hook has said when it ran, but the one `after` which we wait.

    That hook alone prints one line with a time.
    """
    for log in (workshop.store / "logs").glob("*/*.log"):
        if after is not None and (log.parent != after.parent or int(log.stem) <= int(after.stem)):
            continue
        if log.stat().st_size and log.read_text().strip().replace(".", "").isdigit():
            return log
    return None


def _wait_for(look: Callable[[], Path | None], process: subprocess.Popen[bytes]) -> Path:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        if process.poll() is not None:
            raise BenchmarkError(f"the build ended with {process.returncode} before its late hook")
        time.sleep(0.05)
    raise BenchmarkError(f"the late hook has not run within {_PATIENCE_S:g} s")
