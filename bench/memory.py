"""How much memory the engine takes while it builds, whatever the size of the image.

Counted are the luigi process and what it forks of itself, each by its own peak (VmHWM); not the
programs of hooks, nor tar and mkfs.

Source: proc_pid_status(5).
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from bench.figures import Figure
from bench.workshop import BenchmarkError, Workshop

LIMIT_MIB = 150.0
SIZES_MB = (10, 1000)

_PEAK = re.compile(rb"VmHWM:\s+(\d+) kB")


def measure(workshop: Workshop, rounds: int) -> list[Figure]:
    """Measure builds of a small and of a large tree."""
    figures = []
    for size in SIZES_MB:
        element = f"bench-size-{size}"
        write = f"dd if=/dev/urandom of=/var/lib/bench bs=1M count={size}"
        workshop.element(element, {"install.d/50-bench": f"#!/bin/bash\nset -e\n{write}\n"})
        samples = []
        for _ in range(rounds):
            workshop.element(
                f"{element}-mark", {"root.d/90-mark": f"#!/bin/sh\n# {time.time()}\nexit 0\n"}
            )
            samples.append(peak_mib(workshop, element, f"{element}-mark"))
        name = f"memory of the engine, tree of {size} MB"
        figures.append(Figure(name=name, unit="MiB", samples=tuple(samples), limit=LIMIT_MIB))
    return figures


def peak_mib(workshop: Workshop, *elements: str) -> float:
    """Build, and give the largest peak of any process of the engine."""
    peak = 0
    command = workshop.luigi(*elements, types="tar,raw")
    with workshop.running(command) as process:
        while process.poll() is None:
            peak = max(peak, *(_peak_kib(pid) for pid in _engine(process.pid)))
            time.sleep(0.02)
        if process.returncode != 0:
            raise BenchmarkError(f"the build that is measured ended with {process.returncode}")
    return peak / 1024


def _engine(pid: int) -> list[int]:
    """Give a process and those of its descendants that run the same program."""
    found = [pid]
    try:
        program = Path(f"/proc/{pid}/cmdline").read_bytes()
        waiting = [pid]
        while waiting:
            for task in Path(f"/proc/{waiting.pop()}/task").iterdir():
                for child in (task / "children").read_text().split():
                    if Path(f"/proc/{child}/cmdline").read_bytes() == program:
                        found.append(int(child))
                        waiting.append(int(child))
    except OSError:
        pass  # one of them has ended meanwhile
    return found


def _peak_kib(pid: int) -> int:
    try:
        match = _PEAK.search(Path(f"/proc/{pid}/status").read_bytes())
    except OSError:
        return 0
    return int(match[1]) if match else 0
