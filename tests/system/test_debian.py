"""A real Debian image, built from the shipped elements, killed in the middle and resumed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dibflow.engine.journal import Happening, Journal, Line
from dibflow.engine.resolver import PLACEHOLDER
from dibflow.resources import initramfs_functions
from tests.system.builttree import BuiltTree

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs(
        "root-namespaces", "overlay", "debian-mirror", "mmdebstrap", "qemu-img", "mkfs.ext4"
    ),
]

KILLED_DURING = "install.d/01-package-installs"
"""The longest hook of the image: by then most of the build is done."""

MODULES_AT_ONCE = "usr/share/initramfs-tools/conf-hooks.d/dibflow-modules-at-once"

_PATIENCE_SECONDS = 900

_WANTED_FIRMWARE = """
find "/lib/modules/$1/kernel/drivers/net/ethernet" -name '*.ko' -exec modinfo -F firmware {} +
"""
_MAKE_INITRAMFS = """
cd /tmp
mkinitramfs -o /tmp/initramfs "$1"
mkdir "$2"
unmkinitramfs /tmp/initramfs "$2"
"""


@dataclass(frozen=True)
class Built:
    """The image after a kill in the middle, a resume, and a third run."""

    folder: Path
    store: Path
    lines: tuple[Line, ...]
    third_run_seconds: float
    third_run_ran: bool

    @property
    def report(self) -> dict[str, Any]:
        report = json.loads((self.folder / "demo.build.json").read_text())
        assert isinstance(report, dict)
        return report


def build_command() -> list[str]:
    luigi = Path(sys.executable).with_name("luigi")
    return [
        *(str(luigi), "--module", "dibflow", "BuildImage", "--local-scheduler", "--workers", "2"),
        *("--elements", "debian-minimal", "--name", "demo", "--types", "qcow2,raw,tar"),
        "--strict-inputs",
    ]


def journal_of(store: Path) -> tuple[Line, ...]:
    journals = list((store / "builds").glob("*.journal")) if store.exists() else []
    return tuple(line for path in journals for line in Journal(path).lines())


def run_until(store: Path, title: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a step is running."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not any(
        line.happening is Happening.STARTED and line.title == title for line in journal_of(store)
    ):
        assert process.poll() is None, "the build ended before the step began"
        assert time.monotonic() < deadline, f"{title} did not begin"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("debian")
    store = folder / "store"
    environment = {**os.environ, "DIBFLOW_STORE": str(store), "DIB_RELEASE": "bookworm"}
    environment.pop("ELEMENTS_PATH", None)
    with (folder / "output").open("wb") as output:

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                build_command(),
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

        process = start()
        run_until(store, KILLED_DURING, process)
        time.sleep(3)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert start().wait(_PATIENCE_SECONDS) == 0, (folder / "output").read_text()[-4000:]
        lines = journal_of(store)
        started = time.monotonic()
        assert start().wait(_PATIENCE_SECONDS) == 0
        seconds = time.monotonic() - started
    return Built(folder, store, lines, seconds, journal_of(store) != lines)


def test_no_finished_hook_runs_again_after_a_kill(built: Built) -> None:
    starts = Counter(
        line.title
        for line in built.lines
        if line.happening is Happening.STARTED and line.title != KILLED_DURING
    )

    assert set(starts.values()) == {1}


def test_the_hook_that_was_killed_runs_twice(built: Built) -> None:
    starts = [
        line
        for line in built.lines
        if line.happening is Happening.STARTED and line.title == KILLED_DURING
    ]

    assert len(starts) == 2


def test_a_finished_image_is_not_built_again(built: Built) -> None:
    assert not built.third_run_ran


def test_the_root_filesystem_is_clean(built: Built) -> None:
    checked = subprocess.run(
        ["e2fsck", "-f", "-n", built.folder / "demo.raw"], capture_output=True, check=False
    )

    assert checked.returncode == 0, checked.stdout


def test_the_qcow2_holds_what_the_raw_image_holds(built: Built) -> None:
    subprocess.run(
        [
            *("qemu-img", "compare", "-f", "raw", "-F", "qcow2"),
            *(built.folder / "demo.raw", built.folder / "demo.qcow2"),
        ],
        check=True,
    )


def test_the_tar_is_a_debian_root(built: Built) -> None:
    with tarfile.open(built.folder / "demo.tar") as archive:
        names = {member.name: member for member in archive}

    assert {"./etc/debian_version", "./usr/bin/dpkg", "./usr/lib/systemd/systemd"} <= names.keys()
    assert [name for name in names if name.startswith("./boot/vmlinuz-")]
    assert [name for name in names if name.startswith("./tmp/")] == []
    assert "./etc/resolv.conf.ORIG" not in names


def test_the_image_has_its_own_resolver_again(built: Built) -> None:
    with tarfile.open(built.folder / "demo.tar") as archive:
        member = next((one for one in archive if one.name == "./etc/resolv.conf"), None)
        file = archive.extractfile(member) if member is not None and member.isreg() else None
        content = file.read() if file is not None else b""

    assert PLACEHOLDER not in content


def test_the_tar_has_none_of_the_hosts_devices(built: Built) -> None:
    with tarfile.open(built.folder / "demo.tar") as archive:
        devices = {member.name for member in archive if member.isblk()}

    assert devices == set()


def test_the_report_lists_packages_and_outputs(built: Built) -> None:
    packages = {package["package"] for package in built.report["packages"]}

    assert {"dpkg", "linux-image-amd64", "systemd"} <= packages
    assert set(built.report["outputs"]) == {"qcow2", "raw", "tar"}


def test_the_manifests_lie_beside_the_image(built: Built) -> None:
    assert (built.folder / "demo.d" / "dib-manifests" / "dib-manifest-dpkg-demo").is_file()


@pytest.fixture(scope="module")
def tree(built: Built) -> BuiltTree:
    return BuiltTree.unpack(built.folder / "demo.tar", built.folder / "tree")


def initramfs(tree: BuiltTree, folder: str) -> dict[str, tuple[object, ...]]:
    """Make an initramfs with the tree's own tools; give what it holds, by path."""
    (kernel,) = tree.path("usr/lib/modules").iterdir()
    made = f"/tmp/{folder}"
    tree.said("/bin/sh", "-eu", "-c", _MAKE_INITRAMFS, "make", kernel.name, made)
    root = tree.path(f"tmp/{folder}")
    held: dict[str, tuple[object, ...]] = {}
    for path in root.rglob("*"):
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = path.readlink()
        elif path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            if path.suffix == ".ko":
                content = (content, int(status.st_mtime))
        held[str(path.relative_to(root))] = (status.st_mode, status.st_uid, status.st_gid, content)
    return held


def test_an_initramfs_made_in_less_time_holds_the_same(tree: BuiltTree) -> None:
    (kernel,) = tree.path("usr/lib/modules").iterdir()
    wanted = tree.said("/bin/sh", "-eu", "-c", _WANTED_FIRMWARE, "wanted", kernel.name).split()
    for name in wanted[::2]:
        firmware = tree.path(f"usr/lib/firmware/{name}")
        firmware.parent.mkdir(parents=True, exist_ok=True)
        firmware.write_text(name)
    assert not tree.path(MODULES_AT_ONCE).exists()
    usual = initramfs(tree, "usual")

    shutil.copy(initramfs_functions(), tree.path(MODULES_AT_ONCE))
    sooner = initramfs(tree, "sooner")

    assert sooner == usual
    assert sum(path.endswith(".ko") for path in usual) > 500
    assert sum("/firmware/" in path for path in usual) > 50


def test_the_functions_of_initramfs_tools_are_those_that_are_known(tree: BuiltTree) -> None:
    """Where they are not, an initramfs is still right, but takes as long as without us."""
    shutil.copy(initramfs_functions(), tree.path("tmp/modules-at-once"))

    tree.said("/bin/sh", "-eu", "-c", ". /tmp/modules-at-once; command -V dibflow_add_one_by_one")


def test_nothing_is_left_behind(built: Built) -> None:
    assert list((built.store / "staging").iterdir()) == []
    assert "/run/dibflow" not in Path("/proc/self/mountinfo").read_text()
