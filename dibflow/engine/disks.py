"""The disk of an image, step by step: its plan, its layers, and what a step sees of it.

``make-disk`` and ``copy-in`` make a raw file each; the second takes the place of the first. Every
step after them runs over the disk so far, with a new qcow2 file that takes what it changes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dibflow.blockdevice.geometry import Geometry, Usage, lay_out
from dibflow.blockdevice.graph import DeviceGraph
from dibflow.commands import run
from dibflow.digest import digest_of
from dibflow.engine import makedisk
from dibflow.engine.makedisk import DiskPlan
from dibflow.errors import StepError
from dibflow.planning.plan import Plan, Step
from dibflow.planning.planner import COPY_IN, FINISH_ROOT, MAKE_DISK
from dibflow.planning.resolve import ResolvedDefinition
from dibflow.planning.sizes import disk_wish
from dibflow.sandbox.spec import Disk, DiskLayer
from dibflow.store.records import StepRecord
from dibflow.store.store import LayerStore, Staging

_MAKE = frozenset({MAKE_DISK, COPY_IN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Disks:
    """The disk of one image; `target` is where steps see its filesystems."""

    plan: Plan
    definition: ResolvedDefinition
    store: LayerStore
    layout: DeviceGraph
    target: str

    def geometry(self) -> Geometry:
        """Give the sizes on the image's disk, once the tree has been measured.

        Raises StepError for a tree that does not fit.
        """
        record = self.store.finished(self.plan.act(FINISH_ROOT).key)
        if record is None:
            raise StepError("sizing the image: its tree has not been measured yet")
        usage = {
            mount_point: Usage.from_json(value)
            for mount_point, value in record.data["usage"].items()
        }
        return lay_out(self.layout, usage=usage, wish=disk_wish(self.definition))

    def made_by(self, step: Step) -> DiskPlan:
        """Give the plan of the disk that `step` makes.

        What is on the disk makes its identity: a tree that is built again, with no other content,
        gets a disk with the same UUIDs, wherever and whenever that is. Raises StepError if the
        steps before it are not in the store.
        """
        earlier = self.plan.before(step)
        before = self.store.finished(earlier.key) if earlier else None
        if before is None:
            raise StepError("naming what is on the disk: the tree is not in the store")
        content = {"stack": before.stack, "disk": dict(step.parameters)}
        return DiskPlan(
            layout=self.layout,
            geometry=self.geometry(),
            journal_bytes=disk_wish(self.definition).journal_bytes,
            identity=digest_of(content),
        )

    def over(self, step: Step, before: StepRecord | None, staging: Staging) -> Disk | None:
        """Describe the disk that `step` runs over, with a new file for what it changes, if any."""
        if before is None or not before.disks or step.name == COPY_IN:
            return None
        form = Path(before.disks[-1]).suffix[1:]
        plan = self.made_by(self.plan.act(MAKE_DISK))
        top = staging.disk("qcow2")
        arguments = ["-u", "-f", "qcow2", "-b", before.disks[-1], "-F", form, str(top)]
        run(
            ["qemu-img", "create", "-q", *arguments, str(plan.geometry.size_bytes)],
            doing="making a layer of the disk",
            package="qemu-utils",
        )
        return plan.shown(
            [*self.layers(before.disks), DiskLayer(str(top), "qcow2")],
            target=self.target,
            scratch=_with_mount_place(staging),
        )

    def finished(self, record: StepRecord, staging: Staging) -> Disk:
        """Describe the disk that `record` left, to look at it only."""
        plan = self.made_by(self.plan.act(MAKE_DISK))
        return plan.shown(
            self.layers(record.disks),
            target=self.target,
            read_only=True,
            scratch=_with_mount_place(staging),
        )

    def layers(self, disks: Sequence[str]) -> tuple[DiskLayer, ...]:
        """Give what the store has of a disk, base first."""
        paths = [self.store.disk_path(disk) for disk in disks]
        return tuple(DiskLayer(str(path), path.suffix[1:]) for path in paths)

    def act(
        self, step: Step, before: StepRecord | None, staging: Staging
    ) -> Callable[[Path], object] | None:
        """Give the act that makes the disk, or fills it; None for every other step."""
        if step.name not in _MAKE:
            return None
        plan = self.made_by(self.plan.act(MAKE_DISK))
        image = staging.disk("raw")
        if step.name == MAKE_DISK:
            return functools.partial(
                makedisk.make_disk, plan=plan, image=image, scratch=staging.folder
            )
        empty = self.store.disk_path(before.disks[-1]) if before else image
        return functools.partial(
            makedisk.fill_copy, plan=plan, empty=empty, image=image, scratch=staging.folder
        )

    def commit(self, step: Step, before: StepRecord | None, staging: Staging) -> tuple[str, ...]:
        """Commit what `step` has made or changed of the disk, and give the files that it is now."""
        if step.name in _MAKE:
            return (self.store.commit_disk(staging.disk("raw")),)
        if before is None or not before.disks:
            return ()
        return (*before.disks, self.store.commit_disk(staging.disk("qcow2")))


def _with_mount_place(staging: Staging) -> Path:
    """Give the staging folder, with an empty file to show the disk's layers on."""
    (staging.folder / "disk").touch()
    return staging.folder
