"""Run LVM on the devices of one disk, have its volumes active for a while, clear up after a crash.

Needs the kernel's device-mapper, and is used only for layouts that ask for logical volumes. What
device-mapper holds is bound to no namespace: the volumes of a sandbox that was killed stay, and
keep its loop devices. So a note of them lies in the step's staging folder, and the next start that
clears the folder away removes them first (`forget`).

LVM sees only the disk's own devices, makes the nodes below ``/dev`` itself (nobody waits for udev,
which may not run here), and keeps no backups of its metadata on the host.

Source: lvm(8), vgchange(8), dmsetup(8); lvm.conf(5), "devices", "activation", "backup".
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from dibflow.commands import run
from dibflow.errors import StepError
from dibflow.sandbox.spec import LogicalVolumes

NOTE = "volume-groups"
"""The file in a staging folder that names the volumes that may be left active."""


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
    with noted(volumes):
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
def noted(volumes: LogicalVolumes) -> Iterator[None]:
    """Keep a note of volumes that a crash in the body may leave behind."""
    note = Path(volumes.note)
    note.write_text("".join(f"{name}\n" for name in volumes.mapped))
    try:
        yield
    finally:
        note.unlink()


def forget(staging: Path) -> None:
    """Remove the volumes that a dead sandbox left active, by the note in its staging folder.

    Only those that lie on files of that folder: another disk may bear the same names. What is still
    in use stays.
    """
    note = staging / NOTE
    if not note.is_file():
        return
    for name in reversed(note.read_text().split()):
        with contextlib.suppress(StepError):
            doing = f'removing the volume "{name}" of a build that was killed'
            found = run(["dmsetup", "deps", "-o", "devname", name], doing=doing, package="dmsetup")
            if any(_lies_in(device, staging) for device in _words_in_brackets(found)):
                run(["dmsetup", "remove", "--retry", name], doing=doing, package="dmsetup")


def _words_in_brackets(text: str) -> list[str]:
    """Give the devices of ``1 dependencies : (loop3)``."""
    return [part.partition(")")[0] for part in text.split("(")[1:]]


def _lies_in(device: str, folder: Path) -> bool:
    """Tell whether a loop device shows a file of `folder`. Source: sysfs-block."""
    try:
        file = Path("/sys/block", device, "loop/backing_file").read_text(encoding="utf-8")
    except OSError:
        return False
    return file.startswith(f"{folder}/")
