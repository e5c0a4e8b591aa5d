"""A folder to measure in: generated elements, a store of its own, and the commands that build."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dibflow.engine.journal import Happening, Journal, Line
from dibflow.errors import DibflowError

CHECKOUT = Path(__file__).resolve().parent.parent


class BenchmarkError(DibflowError):
    """A build that is measured went wrong, so there is nothing to measure."""


@dataclass(frozen=True, slots=True)
class Run:
    """One finished command: wall time, and the largest resident set of any of its processes."""

    seconds: float
    peak_kib: int


@dataclass(frozen=True, slots=True)
class Workshop:
    """A folder with elements, store and outputs.

    `root` names the elements that every image starts from: an operating system of few files, or one
    that unpacks a given archive.
    """

    folder: Path
    root: tuple[str, ...]

    @property
    def store(self) -> Path:
        """The store of all builds here."""
        return self.folder / "store"

    @property
    def elements(self) -> Path:
        """The folder of generated elements."""
        return self.folder / "elements"

    def element(self, name: str, hooks: Mapping[str, str]) -> None:
        """Write an element; `hooks` are texts by path, as ``install.d/10-x``."""
        shutil.rmtree(self.elements / name, ignore_errors=True)
        for path, text in hooks.items():
            hook = self.elements / name / path
            hook.parent.mkdir(parents=True, exist_ok=True)
            hook.write_text(text)
            hook.chmod(0o755)

    def environment(self) -> dict[str, str]:
        """Give the environment of every command: this checkout's code, this folder's elements."""
        return {
            **os.environ,
            "PYTHONPATH": str(CHECKOUT),
            "ELEMENTS_PATH": f"{self.elements}:{CHECKOUT / 'tests' / 'elements'}",
            "DIBFLOW_STORE": str(self.store),
            "OVERWRITE_OLD_IMAGE": "1",
        }

    def luigi(self, *elements: str, types: str = "tar") -> list[str]:
        """Give the luigi command that builds the root with `elements`."""
        return [
            _script("luigi"),
            *("--module", "dibflow", "BuildImage", "--local-scheduler", "--skip-base"),
            *("--elements", ",".join((*self.root, *elements))),
            *("--name", "image", "--types", types),
        ]

    def dibflow(self, *elements: str, types: str = "tar") -> list[str]:
        """Give the `dibflow build` command for the same image."""
        return [
            _script("dibflow"),
            "build",
            "-n",
            "-t",
            types,
            "-o",
            "image",
            *self.root,
            *elements,
        ]

    def run(self, command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Run:
        """Run a command to its end; raise BenchmarkError with its last lines if it fails."""
        log = self.folder / "command.log"
        with log.open("wb") as output:
            started = time.monotonic()
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**self.environment(), **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-60:])
            raise BenchmarkError(
                f'"{" ".join(command)}" ended with status {process.returncode}:\n{last}'
            )
        return Run(seconds, usage.ru_maxrss)

    @contextlib.contextmanager
    def running(self, command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
        """Start a command in a session of its own; kill -9 that session when the body ends."""
        with (self.folder / "command.log").open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def built(self, suffix: str) -> list[Line]:
        """Give the lines of the last build for the hooks it built whose names end in `suffix`."""
        journals = (self.store / "builds").glob("*.journal")
        last = max(journals, key=lambda path: path.stat().st_mtime_ns)
        return [
            line
            for line in Journal(last).lines()
            if line.happening is Happening.BUILT and line.title.endswith(suffix)
        ]


def has_command(name: str) -> bool:
    """Tell whether the command is installed beside the interpreter that runs us."""
    return Path(_script(name)).exists()


def _script(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


_UNPACK = """\
#!/bin/bash
# Unpack the root to measure over.
set -euo pipefail
tar --extract --numeric-owner --xattrs --directory="${{TARGET_ROOT}}" --file={archive}
"""


@contextlib.contextmanager
def workshop(parent: Path, *, archive: Path | None = None) -> Iterator[Workshop]:
    """Make a workshop in `parent` and remove it afterwards.

    Its images start from the tiny operating system of the tests, or from `archive`, a tar.
    """
    folder = Path(tempfile.mkdtemp(prefix="dibflow-bench-", dir=parent))
    try:
        made = Workshop(folder, ("tiny-os",) if archive is None else ("given-root",))
        made.elements.mkdir()
        if archive is not None:
            text = _UNPACK.format(archive=archive.resolve())
            made.element("given-root", {"root.d/10-unpack": text})
            (made.elements / "given-root" / "element-provides").write_text("operating-system\n")
            settings = made.elements / "given-root" / "environment.d" / "10-given-root"
            settings.parent.mkdir()
            settings.write_text("export DISTRO_NAME=given\n")
        yield made
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    # As root nothing refuses; overlayfs's work folders have no mode bits, which root passes over.
    shutil.rmtree(folder)
