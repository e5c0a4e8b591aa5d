from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from dibflow.sandbox.lvm import configuration, forget, noted, standing_on
from dibflow.sandbox.spec import LogicalVolumes

DEVICES = ("/dev/loop3", "/dev/loop4")


@pytest.fixture
def block(tmp_path: Path) -> Path:
    """A /sys/block with a thin pool on loop4, and a group of the host on loop4 too."""
    block = tmp_path / "block"
    for device, name, below in (
        ("dm-0", "my--group-pool_tdata", "loop4"),
        ("dm-1", "my--group-pool-tpool", "dm-0"),
        ("dm-2", "my--group-root", "dm-1"),
        ("dm-3", "mygroup-root", "loop4"),
        ("dm-4", "my--group-else", "loop5"),
    ):
        (block / device / "dm").mkdir(parents=True)
        (block / device / "dm" / "name").write_text(f"{name}\n")
        (block / device / "holders").mkdir()
        (block / below / "holders" / device).mkdir(parents=True)
    return block


@pytest.fixture
def removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which a dmsetup of ours notes what it is to do."""
    notes = tmp_path / "removed"
    program = tmp_path / "bin" / "dmsetup"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >>{notes}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return notes


def left_note(tmp_path: Path) -> Path:
    """Make a staging folder with the note of a sandbox that was killed."""
    staging = tmp_path / "staging"
    staging.mkdir()
    note = staging / "volume-groups"
    volumes = LogicalVolumes(
        groups=("my-group",),
        devices=(("root", str(tmp_path / "dev/my-group/root")),),
        locks=(str(tmp_path / "lock"),),
        note=str(note),
    )
    with noted(volumes, devices=DEVICES):
        text = note.read_text()
    assert not note.exists()
    note.write_text(text)
    return staging


def test_volumes_are_found_from_the_top_and_only_those_of_the_groups(block: Path) -> None:
    assert standing_on("loop4", groups=("my-group",), block=block) == [
        "my--group-root",
        "my--group-pool-tpool",
        "my--group-pool_tdata",
    ]


def test_what_a_dead_sandbox_left_is_removed(tmp_path: Path, block: Path, removed: Path) -> None:
    link = tmp_path / "dev/my-group/root"
    link.parent.mkdir(parents=True)
    link.symlink_to("/dev/mapper/nowhere")

    forget(left_note(tmp_path), block=block)

    assert [line.split()[-1] for line in removed.read_text().splitlines()] == [
        "my--group-root",
        "my--group-pool-tpool",
        "my--group-pool_tdata",
    ]
    assert not link.parent.exists()


def test_volumes_of_a_group_that_another_sandbox_has_stay(
    tmp_path: Path, block: Path, removed: Path
) -> None:
    staging = left_note(tmp_path)
    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)

    forget(staging, block=block)

    assert not removed.exists()
    os.close(descriptor)


@pytest.mark.parametrize("text", [None, "", "{"])
def test_a_folder_without_a_whole_note_had_no_volumes(
    tmp_path: Path, block: Path, removed: Path, text: str | None
) -> None:
    if text is not None:
        (tmp_path / "volume-groups").write_text(text)

    forget(tmp_path, block=block)

    assert not removed.exists()


def test_lvm_sees_the_devices_of_the_disk_alone() -> None:
    told = configuration(DEVICES)

    assert 'filter=["a|^/dev/loop3$|","a|^/dev/loop4$|","r|.*|"]' in told
    assert "udev_sync=0" in told
