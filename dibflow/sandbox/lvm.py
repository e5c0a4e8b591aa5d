"""Run LVM on the devices of one disk, have its volumes active for a while, clear up after a crash.

Needs the kernel's device-mapper, and is used only for layouts that ask for logical volumes. What
device-mapper holds is bound to no namespace: the volumes of a sandbox that was killed stay, and
keep its loop devices. So a note of those lies in the step's staging folder, and the next start that
clears the folder away removes first what stands on them (`forget`).

LVM sees only the disk's own devices, makes the nodes below ``/dev`` itself (nobody waits for udev,
which may not run here), and keeps no backups of its metadata on the host.

Source: lvm(8), vgchange(8), dmsetup(8); lvm.conf(5), "devices", "activation", "backup"; Linux,
Documentation/ABI/testing, sysfs-block and sysfs-block-dm.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from dibflow.blockdevice.lvm import mapper_name
from dibflow.commands import run
from dibflow.errors import StepError
from dibflow.sandbox.spec import LogicalVolumes

NOTE = "volume-groups"
"""The file in a staging folder that tells which volumes may be left active, and where."""

_BLOCK = Path("/sys/block")


def run_lvm(command: Sequence[str], *, devices: Sequence[str], doing: str) -> None:
    """Run a command of LVM, which sees `devices` only. Raises HostError, StepError."""
    program, *arguments = command
    run([program, "--config", configuration(devices), *arguments], doing=doing, package="lvm2")


def configuration(devices: Sequence[str]) -> str:
    """Give the value of ``--config``: which devices there are, and that udev is not waited for."""
    accepted = ",".join(f'"a|^{device}$|"' for device in devices)
    filters = f'[{accepted},"r|.*|"]'
    return (
        f"devices {{ use_devicesfile=0 obtain_device_list_from_udev=0 filter={filters} "
        f"global_filter={filters} }} activation {{ udev_sync=0 udev_rules=0 }} "
        "backup { backup=0 archive=0 }"
    )


@contextlib.contextmanager
def active(volumes: LogicalVolumes, *, devices: Sequence[str]) -> Iterator[None]:
    """Have the logical volumes that lie on `devices` active for the body."""
    with noted(volumes, devices=devices):
        try:
            for group in volumes.groups:
                run_lvm(
                    ["vgchange", "--activate", "y", group],
                    devices=devices,
                    doing=f'activating the volume group "{group}"',
                )
            yield
        finally:
            for group in reversed(volumes.groups):
                run_lvm(
                    ["vgchange", "--activate", "n", group],
                    devices=devices,
                    doing=f'deactivating the volume group "{group}"',
                )


@contextlib.contextmanager
def noted(volumes: LogicalVolumes, *, devices: Sequence[str]) -> Iterator[None]:
    """Keep a note of what a crash in the body may leave behind."""
    note = Path(volumes.note)
    value = {
        "locks": volumes.locks,
        "devices": [Path(device).name for device in devices],
        "groups": volumes.groups,
        "links": [path for _, path in volumes.devices],
    }
    note.write_text(json.dumps(value))
    try:
        yield
    finally:
        note.unlink()


def forget(staging: Path, *, block: Path = _BLOCK) -> None:
    """Remove the volumes that a dead sandbox left active, by the note in its staging folder.

    While they are there they hold their loop devices, whose file cannot be told any more: the
    process that served it is dead. So they are known by those devices and the names of their
    groups, under the locks that everybody takes who has volumes of such names. What is in use
    stays, as does everything if another sandbox has a lock.
    """
    try:
        note = json.loads((staging / NOTE).read_text())
    except (OSError, ValueError):
        return  # there were none, or none had been made yet
    with contextlib.ExitStack() as undo:
        for lock in note["locks"]:
            Path(lock).parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            undo.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
        names = [
            name
            for device in note["devices"]
            for name in standing_on(device, groups=note["groups"], block=block)
        ]
        for name in dict.fromkeys(names):
            with contextlib.suppress(StepError):
                run(
                    ["dmsetup", "remove", "--retry", "--noudevsync", name],
                    doing=f'removing the volume "{name}" of a build that was killed',
                    package="dmsetup",
                )
        if names:
            _remove_links(note["links"])


def standing_on(device: str, *, groups: Sequence[str], block: Path = _BLOCK) -> list[str]:
    """Name the volumes of `groups` that stand on a device, those that stand on others first."""
    found: list[str] = []
    with contextlib.suppress(OSError):
        for holder in sorted(path.name for path in (block / device / "holders").iterdir()):
            name = (block / holder / "dm" / "name").read_text(encoding="utf-8").strip()
            found += standing_on(holder, groups=groups, block=block)
            if any(name.startswith(mapper_name(group, "")) for group in groups):
                found.append(name)
    return found


def _remove_links(links: Sequence[str]) -> None:
    """Remove the links ``/dev/GROUP/VOLUME`` that LVM made, where they lead to nothing now."""
    for link in links:
        path = Path(link)
        with contextlib.suppress(OSError):
            if path.is_symlink() and not path.exists():
                path.unlink()
                path.parent.rmdir()
