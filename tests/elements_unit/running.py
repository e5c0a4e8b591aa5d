"""Running the shipped elements' programs and hooks as a build would."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

ELEMENTS = Path(__file__).parents[2] / "elements"


class Run(Protocol):
    """Run a file of the shipped elements, with only the given variables beside PATH and HOME."""

    def __call__(
        self, file: str, *arguments: str | Path, **variables: str
    ) -> subprocess.CompletedProcess[str]: ...


class Stub(Protocol):
    """Put a bash script in front of the PATH that `run` gives to programs."""

    def __call__(self, name: str, script: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Runner:
    """The one `Run`: programs in `stubs` come before those on PATH."""

    stubs: Path

    def __call__(
        self, file: str, *arguments: str | Path, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        environment: Mapping[str, str] = {
            "PATH": f"{self.stubs}:{os.environ['PATH']}",
            "HOME": str(self.stubs),
            "LC_ALL": "C",
            "DIB_PYTHON_EXEC": sys.executable,
            **variables,
        }
        path = ELEMENTS / file
        program = (
            [sys.executable] if path.read_bytes().startswith(b"#!/usr/bin/env python3") else []
        )
        return subprocess.run(
            [*program, path, *arguments],
            env=environment,
            cwd=self.stubs,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
