"""Running the shipped elements' programs and hooks as a build would."""

from __future__ import annotations

import os
import shutil
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


_ENTER = """
set -eu
cd "$1"
mount --rbind /usr usr
mount --rbind /proc proc
mount --rbind /dev dev
mount --bind /etc/alternatives etc/alternatives
mount --bind own/local usr/local
mount --bind own/systemd usr/lib/systemd
if [ -e own/cmdline ]; then
    mount --bind own/cmdline proc/cmdline
fi
shift
exec "$(PATH=/usr/sbin:/usr/bin command -v chroot)" . "$@"
"""


@dataclass(frozen=True, slots=True)
class Target:
    """An image's root for hooks inside: programs of the host, everything else its own.

    ``/usr`` is the host's but for ``/usr/local`` and ``/usr/lib/systemd``. It is put together in a
    mount namespace, so nothing of the host changes and nothing is left.
    """

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Target:
        """Make the folders of an empty root."""
        for path in (
            *("usr", "proc", "dev", "etc/alternatives", "var/log", "tmp/in_target.d", "root"),
            *("home", "boot", "own/local/bin", "own/local/sbin", "own/systemd/system"),
        ):
            (folder / path).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            if (Path("/") / name).is_symlink():
                (folder / name).symlink_to(Path("/", name).readlink())
        target = cls(folder)
        target.write("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
        target.write("etc/group", "root:x:0:\n")
        return target

    def add(self, *elements: str) -> None:
        """Merge elements into the hooks tree."""
        for element in elements:
            shutil.copytree(
                ELEMENTS / element, self.folder / "tmp" / "in_target.d", dirs_exist_ok=True
            )

    def own(self, path: str) -> Path:
        """Give the file on the host that is at `path` in the root."""
        for shown, kept in (("usr/local", "own/local"), ("usr/lib/systemd", "own/systemd")):
            if path.startswith(f"{shown}/"):
                return self.folder / kept / path.removeprefix(f"{shown}/")
        return self.folder / path

    def write(self, path: str, text: str) -> None:
        """Write a file of the root."""
        self.own(path).parent.mkdir(parents=True, exist_ok=True)
        self.own(path).write_text(text)

    def read(self, path: str) -> str:
        """Read a file of the root."""
        return self.own(path).read_text()

    def stub(self, name: str, script: str = "") -> None:
        """Replace a program; whatever `script` does, the call is among `calls`."""
        program = f"usr/local/bin/{name}"
        self.write(program, f'#!/bin/bash\nprintf "%s\\n" "{name} $*" >>/own/calls\n{script}\n')
        self.own(program).chmod(0o755)

    def calls(self) -> list[str]:
        """Give the calls of stubs, each with its arguments, oldest first."""
        log = self.folder / "own" / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def run(self, file: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a file of the hooks tree."""
        enter = ["unshare", "--map-root-user", "--mount", "/bin/sh", "-c", _ENTER, "enter"]
        return subprocess.run(
            [*enter, str(self.folder), f"/tmp/in_target.d/{file}", *arguments],
            env={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": "/root",
                "LC_ALL": "C",
                **variables,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    def succeed(self, file: str, *arguments: str, **variables: str) -> str:
        """Run it, twice, as a hook has to stand that; give what it printed the second time."""
        for _ in range(2):
            done = self.run(file, *arguments, **variables)
            assert done.returncode == 0, done.stderr
        return done.stdout
