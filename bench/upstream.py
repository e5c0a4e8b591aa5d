"""Run diskimage-builder itself, and read from its log how long each part took.

Where the kernel has no device-mapper, which diskimage-builder needs for any disk with partitions,
programs of ours in ``bench/stand-ins`` take the place of kpartx and dmsetup.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bench.workshop import CHECKOUT, BenchmarkError

DISK = "(sizing, partitions, filesystem, copy of the tree)"
QCOW2 = "(conversion to qcow2)"

_STAND_INS = CHECKOUT / "bench" / "stand-ins"
_IN_FRONT = 'mount --bind "$0" /usr/local/sbin && exec "$@"'
_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) \| (.*)")
_RUNNING = re.compile(r"dib-run-parts Running \S*/(\w[\w-]*\.d/\S+)$")
_COMPLETED = re.compile(r"dib-run-parts \S+ completed$")
_CONVERTING = "Converting image using qemu-img convert"
_CREATED = re.compile(r"Image file \S+ created")


@dataclass(frozen=True, slots=True)
class Times:
    """What each part of a build took, in seconds, and all from the end of post-root.d on."""

    parts: Mapping[str, float]
    disk_stage: float


def elements_folder() -> Path:
    """Give the folder of upstream's own elements. Raises BenchmarkError if it is not installed."""
    spec = importlib.util.find_spec("diskimage_builder")
    if spec is None or not spec.submodule_search_locations:
        raise BenchmarkError(
            "looking for diskimage-builder: it is not installed", hint="run scripts/setup test"
        )
    return Path(spec.submodule_search_locations[0], "elements")


def command(elements: Sequence[str], *, output: str) -> list[str]:
    """Give the command that builds a qcow2 image."""
    program = str(Path(sys.executable).with_name("disk-image-create"))
    plain = [program, "-t", "qcow2", "-o", output, *elements]
    if has_device_mapper():
        return plain
    # sudo looks in /usr/local/sbin first. The mount is seen by this command alone.
    namespace = ["unshare", "--mount", "--propagation", "private"]
    return [*namespace, "bash", "-c", _IN_FRONT, str(_STAND_INS), *plain]


def has_device_mapper() -> bool:
    """Tell whether kpartx is installed and the kernel answers dmsetup."""
    if shutil.which("kpartx") is None or shutil.which("dmsetup") is None:
        return False
    done = subprocess.run(["dmsetup", "version"], capture_output=True, check=False)
    return done.returncode == 0


def read_log(text: str, *, last_of_tree: str) -> Times:
    """Read a log with timestamps; `last_of_tree` is the last hook of post-root.d.

    Raises BenchmarkError for a log that does not tell.
    """
    parts: dict[str, float] = {}
    marks: dict[str, float] = {}
    hook, since = "", 0.0
    for when, said in _lines(text):
        if match := _RUNNING.match(said):
            hook, since = match[1], when
            if hook.startswith("finalise.d/"):
                marks.setdefault("finalise", when)
        elif hook and _COMPLETED.match(said):
            parts[hook] = when - since
            if hook == last_of_tree:
                marks["tree"] = when
            hook = ""
        elif said == _CONVERTING:
            marks["converting"] = when
        elif _CREATED.match(said):
            marks["created"] = when
    missing = {"tree", "finalise", "converting", "created"} - marks.keys()
    if missing:
        raise BenchmarkError(f"the log of disk-image-create does not tell when: {sorted(missing)}")
    parts[DISK] = marks["finalise"] - marks["tree"]
    parts[QCOW2] = marks["created"] - marks["converting"]
    return Times(parts, marks["created"] - marks["tree"])


def _lines(text: str) -> Iterator[tuple[float, str]]:
    for line in text.splitlines():
        if match := _LINE.match(line):
            yield datetime.fromisoformat(match[1]).timestamp(), match[2]
