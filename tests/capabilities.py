"""What tests may need of the machine, each word tried once in a session.

A word that is not listed here is a program on PATH.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from dibflow.host import capabilities
from dibflow.host.capabilities import refusal_of

SCRATCH = Path(tempfile.gettempdir())
"""Where tests make their files, so the filesystem that counts."""

_PATIENCE_SECONDS = 20


@functools.cache
def lacking(capability: str) -> str:
    """Tell why this machine lacks a capability; give an empty string if it has it."""
    if capability in PROBES:
        return refusal_of(PROBES[capability])
    # Tools of the virtual environment count although nobody activated it.
    path = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]
    )
    return "" if shutil.which(capability, path=path) else f'"{capability}" is not installed'


def _try_debian_mirror() -> None:
    """Ask for the first archive of Debian that apt is set up for, as a build will."""
    listed = subprocess.run(
        ["apt-get", "update", "--print-uris"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    index = re.search(r"^'(http[^']*/debian/dists/[^']*/InRelease)'", listed.stdout, re.MULTILINE)
    if index is None:
        raise LookupError("apt has no archive of Debian among its sources")
    patience = ["--max-time", str(_PATIENCE_SECONDS)]
    asked = subprocess.run(
        ["curl", "--fail", "--silent", "--show-error", "--location", "--head", *patience, index[1]],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode != 0:
        raise LookupError(f"the archive of Debian does not answer: {asked.stderr.strip()}")


def _try_device_node() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.mknod(f"{folder}/null", stat.S_IFCHR | 0o600, os.makedev(1, 3))


def _try_pypi() -> None:
    """Download something small, as the element simple-init does."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, "glean"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )


def _try_trusted_attribute() -> None:
    with tempfile.NamedTemporaryFile() as file:
        os.setxattr(file.name, "trusted.dibflow", b"try")


def _try_user_mounts() -> None:
    subprocess.run(
        ["unshare", "--map-root-user", "--mount", "mount", "--rbind", "/usr", "/usr"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )


PROBES: Mapping[str, Callable[[], None]] = {
    "root-namespaces": capabilities.try_namespaces,
    "overlay": lambda: capabilities.try_overlay(SCRATCH),
    "loop": capabilities.try_loop_device,
    "fuse": capabilities.try_fuse,
    "mknod": _try_device_node,
    "trusted-xattrs": _try_trusted_attribute,
    "user-mounts": _try_user_mounts,
    "debian-mirror": _try_debian_mirror,
    "pypi": _try_pypi,
}
