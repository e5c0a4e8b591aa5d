"""Fixtures of the tests that use the kernel."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system.archive import Key, keyring, make_archive, served
from tests.system.harness import Workshop, loop_devices_of

_PATIENCE_SECONDS = 10
_SESSION = "DIBFLOW_TEST_SESSION"
"""A variable that all processes started by the tests inherit, so that lost ones are known."""


@dataclass(frozen=True)
class Leftovers:
    """What a test can leave on the machine, each as a line to show."""

    mounts: frozenset[str]
    loop_devices: frozenset[str]
    processes: frozenset[str]

    def __sub__(self, other: Leftovers) -> Leftovers:
        return Leftovers(
            self.mounts - other.mounts,
            self.loop_devices - other.loop_devices,
            self.processes - other.processes,
        )


NOTHING = Leftovers(frozenset(), frozenset(), frozenset())


def _look(scratch: Path, session: str) -> Leftovers:
    """List all mounts, and the loop devices and processes that may be of this session."""
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    processes = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # ended meanwhile
            continue
        if f"{_SESSION}={session}".encode() in environment and int(process.name) != os.getpid():
            processes.add(f"{process.name}: {command}")
    return Leftovers(frozenset(mounts), loop_devices_of(scratch), frozenset(processes))


@pytest.fixture(autouse=True, scope="session")
def nothing_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail at the end of the session if a mount, a loop device or a process outlived its test."""
    scratch = tmp_path_factory.getbasetemp()
    session = str(os.getpid())
    os.environ[_SESSION] = session
    before = _look(scratch, session)

    yield

    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (left := _look(scratch, session) - before) != NOTHING and time.monotonic() < deadline:
        time.sleep(0.1)  # what was killed takes a moment to be gone
    del os.environ[_SESSION]
    assert left == NOTHING


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A store, elements and outputs in a folder of their own."""
    return Workshop(tmp_path)


@pytest.fixture(scope="session")
def debian_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the store of the tests that need finished images, so that roots are made once.

    DIBFLOW_STORE may name one that is shared with other builds.
    """
    shared = os.environ.get("DIBFLOW_STORE")
    return Path(shared) if shared else tmp_path_factory.mktemp("debian-store")


@dataclass(frozen=True)
class UbuntuMirror:
    """The archive of `tests.system.archive`, served; it is not signed with the other key."""

    url: str
    key: Key
    other_key: Key


@pytest.fixture(scope="session")
def ubuntu_mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UbuntuMirror]:
    """Make the archive once in a session.

    Packages are kept for other sessions where DIBFLOW_TEST_DOWNLOADS names a folder.
    """
    folder = tmp_path_factory.mktemp("ubuntu")
    downloads = Path(os.environ.get("DIBFLOW_TEST_DOWNLOADS", folder / "downloads"))
    with keyring(folder) as signer:
        key, other = signer.make_key("ubuntu"), signer.make_key("other")
        archive = make_archive(folder / "archive", downloads=downloads, signer=signer, key=key)
    with served(archive.folder) as url:
        yield UbuntuMirror(url, key, other)
