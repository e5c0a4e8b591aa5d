"""The disk stage is resumable hook by hook: after a failure, after a kill, after a full store."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from dibflow.engine.journal import Happening
from tests.system.harness import PATIENCE_SECONDS, Workshop, loop_devices_of
from tests.system.rawdisk import RawDisk
from tests.system.test_disk_stage import LAYOUTS
from tests.system.test_kill import kill, processes_of

pytestmark = pytest.mark.needs(
    *("root-namespaces", "overlay", "loop", "fuse", "mknod", "qemu-storage-daemon", "qemu-img"),
    *("mkfs.ext4", "mkfs.xfs", "mkfs.btrfs", "mkfs.vfat", "mcopy", "losetup", "sfdisk", "blkid"),
)

MOMENTS = 20
_LONGEST_SECONDS = 8.0


@pytest.fixture
def layout(workshop: Workshop) -> Workshop:
    """A workshop that builds disks with a filesystem of every kind."""
    (workshop.folder / "disk.yaml").write_text(LAYOUTS["many"])
    workshop.variables["DIB_BLOCK_DEVICE_CONFIG"] = f"file://{workshop.folder}/disk.yaml"
    return workshop


def test_a_mended_hook_is_where_the_disk_stage_goes_on(layout: Workshop) -> None:
    layout.hook("bad/finalise.d/40-good", "printf good >/var/log/good")
    layout.hook("bad/finalise.d/70-bad", "cat /var/log/good; printf half >/half; exit 7")

    failed = layout.build("bad")
    before = len(layout.lines())
    layout.hook(
        "bad/finalise.d/70-bad", "cat /var/log/good; test ! -e /half; printf x >/boot/mended"
    )
    mended = layout.build("bad")

    assert 'finalise.d/70-bad of element "bad" ended with status 7' in failed.output
    assert mended.status == 0, mended.output
    started = layout.titles(Happening.STARTED, after=before)
    assert next(title for title in started if title != "settle-hooks") == "finalise.d/70-bad"
    assert "copy-in" not in started
    assert layout.text("boot/mended") == "x"
    assert "./half" not in layout.tree()


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_disk_survives_kills_at_random_moments(
    layout: Workshop, tmp_path_factory: pytest.TempPathFactory, workers: str
) -> None:
    seed = int(workers) * 2000
    choose = random.Random(seed)  # noqa: S311 - moments, not secrets
    calm = Workshop(tmp_path_factory.mktemp("calm"), dict(layout.variables))
    for shop in (layout, calm):
        shop.hook("busy/finalise.d/40-busy", "printf boot >/boot/busy; printf log >/var/busy")
        shop.hook(
            "busy/cleanup.d/40-busy",
            'mkdir -p "$TARGET_ROOT/boot/efi"; printf efi >"$TARGET_ROOT/boot/efi/busy"',
        )
    assert calm.build("busy").status == 0
    # All that comes before the disk is known, so that the moments are moments of the disk.
    assert layout.run(*layout.command("busy"), DIB_BLOCK_DEVICE_CONFIG="").status == 0
    (layout.folder / "demo.tar").unlink()
    command = layout.command("busy", options=("--workers", workers))
    mounts = Path("/proc/self/mountinfo").read_text()
    devices = loop_devices_of(layout.folder)
    finished_before: set[str] = set()

    for moment in range(MOMENTS // 2):
        process = layout.start(*command)
        time.sleep(choose.uniform(0.5, _LONGEST_SECONDS))
        victim = choose.choice(("command", "group", "child"))
        kill(process.pid, victim, choose=choose)
        process.wait(PATIENCE_SECONDS)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and (
            processes_of(layout) or loop_devices_of(layout.folder) - devices
        ):
            time.sleep(0.05)
        where = f"seed {seed}, moment {moment}: {victim}"
        assert processes_of(layout) == [], where
        assert loop_devices_of(layout.folder) - devices == frozenset(), where
        assert Path("/proc/self/mountinfo").read_text() == mounts, where
        finished = {path.name for path in (layout.store / "steps").glob("*.json")}
        assert finished_before <= finished, where
        finished_before = finished

    ended = layout.run(*command)

    assert ended.status == 0, ended.output
    assert layout.staging() == []
    assert list(layout.folder.glob(".demo*")) == []
    assert layout.tree() == calm.tree()
    built = layout.titles(Happening.BUILT)
    disk_steps = [title for title in built if title in {"make-disk", "copy-in"}]
    assert disk_steps == ["make-disk", "copy-in"]  # nothing that had finished was done again
    verified = layout.run("dibflow", "verify")
    assert verified.status == 0, verified.output


def test_a_store_that_gets_full_while_a_disk_is_filled_says_so_and_goes_on(
    layout: Workshop,
) -> None:
    layout.hook("large/post-root.d/40-large", "head -c 30M /dev/urandom >$TMP_MOUNT_PATH/large")
    layout.hook("large/finalise.d/40-write", "head -c 30M /dev/urandom >/written; sync")
    command = " ".join(layout.command("large"))
    script = f"""
    set -e
    mkdir room
    mount -t tmpfs -o size=120m room room
    export DIBFLOW_STORE=$PWD/room/store
    {command} >first 2>&1 && exit 90
    mount -o remount,size=400m room
    {command} >second 2>&1
    """

    ended = layout.run("unshare", "--mount", "bash", "-c", script)

    first = (layout.folder / "first").read_text()
    second = (layout.folder / "second").read_text()
    assert ended.status == 0, first + second
    assert "Traceback" not in first
    assert "make room" in first, first
    assert "./written" in layout.tree()


def test_a_raw_disk_after_a_failure_is_sound(layout: Workshop) -> None:
    layout.hook("bad/finalise.d/70-bad", "head -c 5M /dev/urandom >/var/log/half; exit 7")
    layout.build("bad", types="raw")
    layout.hook("bad/finalise.d/70-bad", "true")

    ended = layout.build("bad", types="raw")

    assert ended.status == 0, ended.output
    disk = RawDisk(layout.folder / "demo.raw")
    for part in disk.parts():
        disk.check(part)
    disk.path.unlink()
