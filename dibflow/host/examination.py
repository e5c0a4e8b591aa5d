"""Examine a host: each thing a build needs of it, as a value that says what to do if it is missing.

What is asked of the machine goes through the `Host` protocol, so that the rules here (what is
needed, what is only noted, which command mends it) are tested without a machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from dibflow.host import capabilities
from dibflow.host.tools import Need, Tool, is_older, version_in

ROOM_BYTES = 4 * 1024**3
"""What a store should have free: the layers of a small Debian image and the image itself."""

_VERSION_SECONDS = 10


class State(Enum):
    """How a finding counts."""

    FOUND = "found"
    MISSING = "missing"
    """A build cannot go without it."""
    NOTE = "note"
    """Missing, but only some builds use it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One need of a build, and what the host has for it."""

    name: str
    purpose: str
    state: State
    found: str
    """A version or an amount, or "yes"; empty if there is nothing."""
    minimum: str = ""
    problem: str = ""
    """Why it does not count as found."""
    fix: str = ""
    """The exact command that mends it, or a sentence where no command can."""
    package: str = ""
    """The Debian package to install, if that is the fix."""


class Host(Protocol):
    """What an examination asks of a machine; a refusal is a reason, empty if it is allowed."""

    def is_debian(self) -> bool:
        """Tell whether apt-get installs packages here."""

    def is_root(self) -> bool:
        """Tell whether commands run as root, so that a fix needs no sudo."""

    def has(self, tool: str) -> bool:
        """Tell whether a program is on PATH, or a file (an absolute path) is there."""

    def version(self, tool: str, argument: str) -> str:
        """Give the version that a program prints, empty if it prints none."""

    def namespaces_refused(self) -> str:
        """Tell why namespaces cannot be made."""

    def overlay_refused(self, folder: Path) -> str:
        """Tell why the filesystem of `folder` cannot hold an overlay."""

    def loop_refused(self) -> str:
        """Tell why no loop device can be attached."""

    def fuse_refused(self) -> str:
        """Tell why no FUSE filesystem can be mounted."""

    def free_bytes(self, folder: Path) -> int:
        """Give the room left on the filesystem of `folder`."""


def examine(host: Host, *, tools: Sequence[Tool], store: Path) -> tuple[Finding, ...]:
    """Look for everything a build may need: the kernel's permissions first, then the tools.

    `store` is where layers will be kept; it need not exist. Tools for tests are left out.
    """
    return (
        *_kernel(host, store),
        _room(host, store),
        *(_tool(host, tool) for tool in tools if tool.need is not Need.TEST),
    )


def fixes(host: Host, findings: Sequence[Finding]) -> tuple[str, ...]:
    """Give what mends all that a build cannot go without, all packages in one command, last."""
    missing = [finding for finding in findings if finding.state is State.MISSING]
    packages = sorted({finding.package for finding in missing if finding.package})
    others = dict.fromkeys(finding.fix for finding in missing if not finding.package)
    return (*others, install_command(host, packages)) if packages else tuple(others)


def install_command(host: Host, packages: Sequence[str]) -> str:
    """Say how Debian packages are installed here; elsewhere name them, as names differ."""
    names = " ".join(packages)
    if not host.is_debian():
        return f"install what the Debian packages bring: {names}"
    command = f"apt-get install --no-install-recommends {names}"
    return command if host.is_root() else f"sudo {command}"


def _kernel(host: Host, store: Path) -> tuple[Finding, ...]:
    namespaces = host.namespaces_refused()
    not_tried = "not tried, as namespaces are refused"
    overlay = not_tried if namespaces else host.overlay_refused(store)
    fuse = not_tried if namespaces else host.fuse_refused()
    privileges = (
        "give the container the capability CAP_SYS_ADMIN and an unmasked /proc"
        if host.is_root()
        else "run dibflow as root, with sudo"
    )
    # Whoever may not make namespaces may not load modules or attach devices either.
    overlay_fix = privileges if namespaces else "modprobe overlay, or a store on ext4: --store"
    loop_fix = privileges if namespaces else "modprobe loop"
    fuse_fix = privileges if namespaces else "modprobe fuse"
    need, note = State.MISSING, State.NOTE
    return (
        _permission("namespaces", "keep hooks from the host", namespaces, need, privileges),
        _permission("overlayfs", "keeps what a hook changed", overlay, need, overlay_fix),
        _permission("loop devices", "show images as disks", host.loop_refused(), note, loop_fix),
        _permission("fuse", "shows qcow2 images as files", fuse, note, fuse_fix),
    )


def _permission(name: str, purpose: str, refusal: str, absent: State, fix: str) -> Finding:
    if refusal:
        return Finding(name, purpose, absent, found="", problem=refusal, fix=fix)
    return Finding(name, purpose, State.FOUND, found="yes")


def _room(host: Host, store: Path) -> Finding:
    free = host.free_bytes(store)
    enough = free >= ROOM_BYTES
    return Finding(
        "room in the store",
        f'holds layers and images: "{store}"',
        State.FOUND if enough else State.NOTE,
        found=_gibibytes(free),
        minimum=_gibibytes(ROOM_BYTES),
        problem="" if enough else "an image of a small Debian may not fit",
        fix="" if enough else "make room there, or choose another store: --store",
    )


def _gibibytes(size_bytes: int) -> str:
    return f"{size_bytes / 1024**3:.1f} GiB"


def _tool(host: Host, tool: Tool) -> Finding:
    problem = ""
    version = ""
    if not host.has(tool.name):
        problem = "not installed"
    elif tool.version_argument:
        version = host.version(tool.name, tool.version_argument)
        # A version that cannot be told is no reason to stop: the tool itself will say.
        if tool.minimum and version and is_older(version, tool.minimum):
            problem = f"older than {tool.minimum}"
    absent = State.MISSING if tool.need is Need.IMAGE else State.NOTE
    return Finding(
        tool.name,
        tool.purpose,
        absent if problem else State.FOUND,
        found=version or ("" if problem else "yes"),
        minimum=tool.minimum,
        problem=problem,
        fix=install_command(host, [tool.package]) if problem else "",
        package=tool.package if problem else "",
    )


class ThisHost:
    """The machine that runs this process, asked by trying."""

    def is_debian(self) -> bool:
        """Look for apt-get, and for the file that Debian and its children have."""
        return Path("/etc/debian_version").exists() and self.has("apt-get")

    def is_root(self) -> bool:
        """Compare the effective user."""
        return os.geteuid() == 0

    def has(self, tool: str) -> bool:
        """Look in PATH, and in the folders that Debian leaves out of a plain user's PATH."""
        return _located(tool) is not None

    def version(self, tool: str, argument: str) -> str:
        """Run the program; some print their version on standard error."""
        try:
            done = subprocess.run(
                [_located(tool) or tool, argument],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=_VERSION_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return version_in(done.stdout)

    def namespaces_refused(self) -> str:
        """Make them."""
        return capabilities.refusal_of(capabilities.try_namespaces)

    def overlay_refused(self, folder: Path) -> str:
        """Mount one and change files in it."""
        existing = _existing(folder)
        return capabilities.refusal_of(lambda: capabilities.try_overlay(existing))

    def loop_refused(self) -> str:
        """Attach one."""
        return capabilities.refusal_of(capabilities.try_loop_device)

    def fuse_refused(self) -> str:
        """Mount one."""
        return capabilities.refusal_of(capabilities.try_fuse)

    def free_bytes(self, folder: Path) -> int:
        """Ask statvfs(3); what is reserved, not always for root, does not count."""
        room = os.statvfs(_existing(folder))
        return room.f_frsize * room.f_bavail


def _located(tool: str) -> str | None:
    if tool.startswith("/"):
        return tool if Path(tool).exists() else None
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    return shutil.which(tool, path=path)


def _existing(folder: Path) -> Path:
    """Give `folder` or the nearest folder above it that exists."""
    candidates = (folder, *folder.absolute().parents)
    # Path.is_dir raises where a folder on the way may not be searched; this says no.
    return next(path for path in candidates if os.path.isdir(path))  # noqa: PTH112
