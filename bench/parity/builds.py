"""Build elements with diskimage-builder, and with dibflow, each in a folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.parity.system import hooks_among, hooks_in_log
from bench.parity.tree import Tree, read_tree
from bench.workshop import CHECKOUT, BenchmarkError
from dibflow.engine.journal import Happening, Journal
from dibflow.errors import HostError

_BIN = Path(sys.executable).parent
_NAME = "image"
_PATIENCE_SECONDS = 1800
_GRACE_SECONDS = 60
_MIRRORS = """
source "$1"
apt_mirrors_of_host debian
"""
_VARIABLES = {"archive": "DIB_DISTRIBUTION_MIRROR", "security": "DIB_DEBIAN_SECURITY_MIRROR"}


@dataclass(frozen=True, slots=True)
class Built:
    """What one of the two has made of the elements: the tree, the hooks in order, wall time."""

    tree: Tree
    hooks: tuple[str, ...]
    seconds: float


def upstream_elements() -> Path:
    """Say where the elements of the installed diskimage-builder are. Raises HostError."""
    try:
        from diskimage_builder import paths  # type: ignore[import-untyped] # noqa: PLC0415
    except ImportError as error:
        raise HostError(
            "diskimage-builder is not installed", hint="scripts/setup test installs it"
        ) from error
    return Path(paths.get_path("elements"))


def common_environment(given: Mapping[str, str]) -> dict[str, str]:
    """Give what both are called with: upstream's elements, and the mirrors that apt knows.

    Upstream's elements ask a fixed archive unless told otherwise; ours ask apt. They also gather
    packages in a set, and apt's marks and logs keep the order that Python gives it: with one seed
    it is the same order. What `given` says already stays.
    """
    path = f"{_BIN}:{given.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
    script = next((CHECKOUT / "elements" / "dpkg" / "environment.d").glob("05-*"))
    said = subprocess.run(
        ["bash", "-c", _MIRRORS, "mirrors", script],
        env={**given, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    ).stdout
    mirrors = dict(line.split(" ", 1) for line in said.splitlines())
    return {
        **{_VARIABLES[kind]: url for kind, url in mirrors.items()},
        "DIB_RELEASE": "bookworm",
        "PYTHONHASHSEED": "0",
        **given,
        "PATH": path,
        "ELEMENTS_PATH": given.get("ELEMENTS_PATH") or str(upstream_elements()),
    }


def build_with_dib(
    elements: Sequence[str], folder: Path, environment: Mapping[str, str], *, skip_base: bool
) -> Built:
    """Build with ``disk-image-create``, in a mount namespace, so that no mount outlives it."""
    folder.mkdir(parents=True)
    scratch = folder / "scratch"
    scratch.mkdir()
    command = [
        *("unshare", "--mount", str(_BIN / "disk-image-create")),
        *(("-n",) if skip_base else ()),
        *("-t", "tar", "-o", _NAME, *elements),
    ]
    own = {
        "DIB_IMAGE_CACHE": str(folder / "cache"),
        "DIB_LOCKFILES": str(folder / "locks"),
        "TMP_DIR": str(scratch),
        "DIB_NO_TMPFS": "1",
    }
    seconds = _run(command, folder, {**environment, **own})
    with (folder / "log").open(encoding="utf-8", errors="replace") as log:
        hooks = tuple(hooks_in_log(log))
    return Built(read_tree(folder / f"{_NAME}.tar"), hooks, seconds)


def build_with_dibflow(
    elements: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    *,
    skip_base: bool,
    store: Path,
) -> Built:
    """Build with ``dibflow build``.

    In a new store every hook runs, and the journal tells in which order. A store that knows some
    of them already has them in the image's report.
    """
    fresh = not store.exists()
    folder.mkdir(parents=True)
    command = [
        *(sys.executable, "-m", "dibflow", "build"),
        *(("-n",) if skip_base else ()),
        *("-t", "tar", "-o", _NAME, *elements),
    ]
    own = {"PYTHONPATH": str(CHECKOUT), "DIBFLOW_STORE": str(store), "TERM": "dumb"}
    seconds = _run(command, folder, {**environment, **own})
    titles = _started(store) if fresh else _reported(folder / f"{_NAME}.build.json")
    return Built(read_tree(folder / f"{_NAME}.tar"), tuple(hooks_among(titles)), seconds)


def _started(store: Path) -> list[str]:
    journals = (Journal(file) for file in (store / "builds").glob("*.journal"))
    lines = [line for journal in journals for line in journal.lines()]
    return [line.title for line in lines if line.happening is Happening.STARTED]


def _reported(file: Path) -> list[str]:
    return [str(step["step"]) for step in json.loads(file.read_text())["steps"]]


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> float:
    """Run a build to its end and give its wall time; its output is in ``log``."""
    log = folder / "log"
    with log.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with _stopped_at_the_end(process):
            status = process.wait(_PATIENCE_SECONDS)
        seconds = time.monotonic() - started
    if status != 0:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-40:])
        raise BenchmarkError(f'"{" ".join(command)}" ended with status {status}:\n{last}')
    return seconds


@contextlib.contextmanager
def _stopped_at_the_end(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Stop a build that is still running when the body ends; it may clean up first."""
    try:
        yield
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
