"""Look into the root of a built image: its files, its services, and what its own programs say."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_ENTER = """
mount --rbind /dev "$1/dev"
mount -t proc none "$1/proc"
mount -t tmpfs none "$1/run"
mkdir "$1/run/sshd"
exec chroot "$@"
"""


@dataclass(frozen=True, slots=True)
class BuiltTree:
    """A root, unpacked in a folder."""

    folder: Path

    @classmethod
    def unpack(cls, archive: Path, folder: Path) -> BuiltTree:
        """Unpack a tar output, with owners and modes."""
        folder.mkdir()
        subprocess.run(
            ["tar", "--numeric-owner", "-xpf", archive, "-C", folder], check=True, timeout=300
        )
        return cls(folder)

    def path(self, path: str) -> Path:
        """Give the file on the host that is at `path` in the root."""
        return self.folder / path

    def read(self, path: str) -> str:
        """Read a file of the root."""
        return self.path(path).read_text()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the root in it, with devices, proc and an empty /run."""
        return subprocess.run(
            [
                *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
                *("/bin/sh", "-eu", "-c", _ENTER, "enter", str(self.folder), *command),
            ],
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def said(self, *command: str) -> str:
        """Run a program of the root that has to succeed; give what it printed."""
        done = self.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def enabled_units(self) -> set[str]:
        """Name the units that start by themselves, as the image's own systemd sees them."""
        listed = self.said(
            *("systemctl", "--root=/", "list-unit-files", "--state=enabled", "--no-legend"),
            "--no-pager",
        )
        return {line.split()[0] for line in listed.splitlines()}

    def complaints(self, *units: str) -> list[str]:
        """Give what the image's systemd has to say against units of the image."""
        done = self.run("systemd-analyze", "verify", "--man=no", *units)
        return [line for line in done.stderr.splitlines() if any(unit in line for unit in units)]

    def packages(self) -> set[str]:
        """Name the installed packages."""
        listed = self.said("dpkg-query", "--show", "--showformat=${db:Status-Abbrev} ${Package}\\n")
        return {line.split()[1] for line in listed.splitlines() if line.startswith("ii")}
