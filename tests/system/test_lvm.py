"""Logical volumes, in a machine whose kernel has device-mapper, where ``guests/lvm`` runs."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.needs(
        *("root-namespaces", "overlay", "loop", "fuse", "debian-mirror", "mmdebstrap"),
        *("mkfs.ext4", "qemu-img", "qemu-storage-daemon", "qemu-system-x86_64"),
    ),
]

ROOT = Path(__file__).parents[2]
GUEST = Path(__file__).with_name("guests") / "lvm"
OURS = ("config", "dibflow", "elements", "tasks", "tests/elements")
MODULES = (
    *("daemon", "dateutil", "lockfile", "luigi", "markdown_it", "mdurl", "networkx", "pygments"),
    *("rich", "six", "tenacity", "tornado", "typing_extensions", "yaml"),
)
"""What dibflow imports, directly or not, that Debian's python3 has not."""

_BUILD_SECONDS = 1800
_RUN_SECONDS = 3600


def pack_seed(folder: Path) -> None:
    """Write the seed: dibflow, what it imports, and the script that the machine runs."""
    for name in ("user-data", "meta-data"):
        (folder / name).touch()
    with tarfile.open(folder / "seed.tar", "w") as archive:
        archive.add(GUEST, "run")
        for name in OURS:
            archive.add(ROOT / name, name, filter=without_bytecode)
        for name in MODULES:
            found = importlib.util.find_spec(name)
            if found is not None and found.origin is not None:
                path = Path(found.origin)
                path = path.parent if path.name == "__init__.py" else path
                archive.add(path, f"site/{path.name}", filter=without_bytecode)


def without_bytecode(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if Path(member.name).name == "__pycache__" else member


def test_disks_with_logical_volumes_are_built_and_survive_kills(tmp_path: Path) -> None:
    seed = tmp_path / "seed"
    seed.mkdir()
    pack_seed(seed)
    environment = {
        **os.environ,
        # The cache of layers may be shared with other builds, so that roots are made once.
        "DIBFLOW_STORE": os.environ.get("DIBFLOW_STORE", str(tmp_path / "store")),
        "ELEMENTS_PATH": str(ROOT / "tests" / "elements"),
        "DIB_RELEASE": "bookworm",
    }
    dibflow = Path(sys.executable).with_name("dibflow")

    def run(*words: str, seconds: int) -> str:
        done = subprocess.run(
            [dibflow, *words],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=seconds,
        )
        output = done.stdout.decode(errors="replace")
        assert done.returncode == 0, output[-6000:]
        return output

    options = ("-o", "guest", "-t", "qcow2", "-u", "--image-size", "6")
    run("build", "vm", "debian-minimal", "seed-runner", *options, seconds=_BUILD_SECONDS)
    console = run(
        *("boot", "guest.qcow2", "-v", "--seed", str(seed), "--memory", "1536", "--cpus", "1"),
        *("--timeout", str(_RUN_SECONDS), "--wait-for", r"seed-runner: ended with status \d+"),
        seconds=_RUN_SECONDS + 60,
    )

    said = re.findall(r"^lvm: (.*?)\r?$", console, re.MULTILINE)
    assert said, console[-6000:]
    assert said[-1] == "all is well", console[-6000:]
    assert "seed-runner: ended with status 0" in console
