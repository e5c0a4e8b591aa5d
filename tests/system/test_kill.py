"""kill -9 at any moment: nothing is left, and the image is the same in the end."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from dibflow.engine.journal import Happening
from tests.system.harness import PATIENCE_SECONDS, Workshop

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("root-namespaces", "overlay", "mknod", "mkfs.ext4", "qemu-img"),
]

MOMENTS = 20
_LONGEST_SECONDS = 3.0


def descendants(pid: int) -> list[int]:
    """Give the children of a process, and theirs."""
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = [int(word) for task in tasks for word in (task / "children").read_text().split()]
    except OSError:
        return []
    return [other for child in children for other in (child, *descendants(child))]


def kill(process_id: int, victim: str, *, choose: random.Random) -> None:
    """Kill the command, all of its process group, or one process below it."""
    if victim == "command":
        os.kill(process_id, signal.SIGKILL)
    elif victim == "group":
        os.killpg(process_id, signal.SIGKILL)
    else:
        below = descendants(process_id)
        if below:
            os.kill(choose.choice(below), signal.SIGKILL)


def processes_of(workshop: Workshop) -> list[str]:
    """Name the processes that have the workshop's store in their environment."""
    mark = f"DIBFLOW_STORE={workshop.store}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_build_survives_kills_at_random_moments(
    workshop: Workshop, tmp_path_factory: pytest.TempPathFactory, workers: str
) -> None:
    seed = int(workers) * 1000
    choose = random.Random(seed)  # noqa: S311 - moments, not secrets
    for undisturbed in (Workshop(tmp_path_factory.mktemp("undisturbed")), workshop):
        for number in range(4):
            undisturbed.hook(
                f"slow/install.d/{40 + number}-slow", "sleep 0.2; date +%Z >>/etc/zone"
            )
    calm = Workshop(tmp_path_factory.mktemp("calm"))
    for number in range(4):
        calm.hook(f"slow/install.d/{40 + number}-slow", "sleep 0.2; date +%Z >>/etc/zone")
    assert calm.build("slow", "tiny-extra").status == 0
    command = workshop.command("slow", "tiny-extra", options=("--workers", workers))
    mounts = Path("/proc/self/mountinfo").read_text()
    finished_before: set[str] = set()

    for moment in range(MOMENTS // 2):
        process = workshop.start(*command)
        time.sleep(choose.uniform(0.3, _LONGEST_SECONDS))
        victim = choose.choice(("command", "group", "child"))
        kill(process.pid, victim, choose=choose)
        process.wait(PATIENCE_SECONDS)
        deadline = time.monotonic() + 10
        while processes_of(workshop) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert processes_of(workshop) == [], f"seed {seed}, moment {moment}: {victim}"
        assert Path("/proc/self/mountinfo").read_text() == mounts
        finished = {path.name for path in (workshop.store / "steps").glob("*.json")}
        assert finished_before <= finished
        finished_before = finished

    ended = workshop.run(*command)

    assert ended.status == 0, ended.output
    assert workshop.staging() == []
    assert list(workshop.folder.glob(".demo*")) == []
    assert workshop.tree() == calm.tree()
    # No step that had finished was run again.
    built = workshop.titles(Happening.BUILT)
    assert len(built) == len(set(built))
