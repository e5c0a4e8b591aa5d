"""Build the tiny operating system as a user would: with the commands, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from dibflow.engine.journal import Happening, Journal, Line

ELEMENTS = Path(__file__).parent.parent / "elements"
_BIN = Path(sys.executable).parent
PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Ended:
    """A command that has ended: its status, and all it printed."""

    status: int
    output: str


@dataclass
class Workshop:
    """A folder with a store, elements of its own, and outputs."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def elements(self) -> Path:
        return self.folder / "elements"

    def environment(self) -> dict[str, str]:
        """Give the environment of the commands: ours, the store, the elements."""
        path = f"{_BIN}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        return {
            **os.environ,
            "PATH": path,
            "DIBFLOW_STORE": str(self.store),
            "ELEMENTS_PATH": f"{self.elements}:{ELEMENTS}",
            **self.variables,
        }

    def hook(self, path: str, text: str, *, mode: int = 0o755) -> Path:
        """Write a hook: ``element/phase.d/name``."""
        hook = self.elements / path
        hook.parent.mkdir(parents=True, exist_ok=True)
        hook.write_text(f"#!/bin/bash\nset -eu\n{text}\n")
        hook.chmod(mode)
        return hook

    def command(self, *elements: str, types: str = "tar", options: Sequence[str] = ()) -> list[str]:
        """Give the luigi command that builds the tiny system with some elements more."""
        return [
            *("luigi", "--module", "dibflow", "BuildImage", "--local-scheduler", "--skip-base"),
            *("--elements", ",".join(("tiny-os", *elements)), "--name", "demo", "--types", types),
            *options,
        ]

    def run(
        self, *command: str, patience_seconds: float = PATIENCE_SECONDS, **variables: str
    ) -> Ended:
        """Run a command to its end."""
        self.elements.mkdir(exist_ok=True)
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment(), **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=patience_seconds,
            check=False,
        )
        return Ended(done.returncode, done.stdout.decode(errors="replace"))

    def build(self, *elements: str, types: str = "tar", options: Sequence[str] = ()) -> Ended:
        """Build the tiny system with some elements more."""
        return self.run(*self.command(*elements, types=types, options=options))

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a command in a process group of its own."""
        self.elements.mkdir(exist_ok=True)
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def lines(self) -> list[Line]:
        """Give the lines of all journals, oldest first."""
        journals = (self.store / "builds").glob("*.journal")
        found = [line for path in journals for line in Journal(path).lines()]
        return sorted(found, key=lambda line: line.time)

    def titles(self, happening: Happening, *, after: int = 0) -> list[str]:
        """Name the steps that something happened to, from line number `after` on."""
        return [line.title for line in self.lines()[after:] if line.happening is happening]

    def report(self, name: str = "demo") -> dict[str, Any]:
        """Read ``NAME.build.json``."""
        value = json.loads((self.folder / f"{name}.build.json").read_text())
        assert isinstance(value, dict)
        return value

    def text(self, path: str) -> str:
        """Read a file of ``demo.tar``."""
        with tarfile.open(self.folder / "demo.tar") as archive:
            file = archive.extractfile(f"./{path}")
            assert file is not None
            return file.read().decode()

    def trace(self) -> list[str]:
        """Read the lines that the hooks of the tiny system have left, in the order they ran."""
        return self.text("etc/tiny-trace").splitlines()

    def tree(self) -> Mapping[str, tuple[object, ...]]:
        """Describe each entry of ``demo.tar``, but for its times."""
        found: dict[str, tuple[object, ...]] = {}
        with tarfile.open(self.folder / "demo.tar") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isreg() else None
                digest = sha256(file.read()).hexdigest() if file is not None else ""
                found[member.name] = (
                    *(member.type, member.mode, member.uid, member.gid, member.linkname, digest),
                    *(member.devmajor, member.devminor),
                )
        return found

    def staging(self) -> list[str]:
        """Name what lies in the store's staging folder."""
        return [path.name for path in (self.store / "staging").iterdir()]


def loop_devices_of(folder: Path) -> frozenset[str]:
    """Name the loop devices in use that may show files below `folder`, each with its file.

    "/" is all that is told of the file that shows a disk of several layers.
    """
    found = set()
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            file = backing.read_text(encoding="utf-8").strip()
        except OSError:  # detached meanwhile
            continue
        if file.startswith(f"{folder}/") or file == "/":
            found.add(f"{backing.parent.parent.name}: {file}")
    return frozenset(found)
