"""What the outputs of a build are made from: its disk, its tree, its layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dibflow.engine.executor import Executor
from dibflow.engine.surroundings import shown_stack
from dibflow.linux import MountFlag
from dibflow.outputs.source import DiskFile
from dibflow.planning.variables import TARGET
from dibflow.sandbox.spec import Act, SandboxSpec
from dibflow.store.records import StepRecord


@dataclass(frozen=True, slots=True)
class TreeSource:
    """An image without partitions: its tree as layers, and that tree as one filesystem.

    `image` is the raw image of the filesystem, which is there only if an output is made from it.
    """

    executor: Executor
    record: StepRecord
    image: Path

    def disk(self) -> DiskFile:
        """Give the image of the filesystem."""
        return DiskFile(self.image, "raw")

    def with_tree(self, work: Callable[[Path], object]) -> object:
        """Call `work` with the tree as the hooks left it, nothing mounted in it."""
        return with_build_folder(self.executor, self.record, _in_tree(work))

    def with_layers(self, work: Callable[[Sequence[Path]], object]) -> object:
        """Call `work` with what each layer holds of the tree; a long stack is flattened below.

        Layers that only change what lies beside the tree are left out.
        """
        folders = [
            lower / TARGET for lower in reversed(self.executor.store.lowers(self.record.stack))
        ]
        return work([folder for folder in folders if folder.is_dir()])


@dataclass(frozen=True, slots=True)
class DiskSource:
    """An image whose last phases ran over its disk: the chain of that disk's layers."""

    executor: Executor
    record: StepRecord

    def disk(self) -> DiskFile:
        """Give the last layer, whose header names the one below it, and so on."""
        last = self.executor.surroundings.disks.layers(self.record.disks)[-1]
        return DiskFile(Path(last.path), last.format)

    def with_tree(self, work: Callable[[Path], object]) -> object:
        """Call `work` with the disk's filesystems mounted."""
        return with_build_folder(self.executor, self.record, _in_tree(work))

    def with_layers(self, work: Callable[[Sequence[Path]], object]) -> object:
        """Call `work` with one layer, the whole tree: what hooks did to a disk is no layer."""
        return self.with_tree(lambda tree: work([tree]))


def _in_tree(work: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: work(folder / TARGET)


def with_build_folder(
    executor: Executor, record: StepRecord | None, work: Callable[[Path], object]
) -> object:
    """Call `work` in a sandbox that shows what a step left, read-only, with nothing else mounted.

    `work` gets the build folder: the tree, and beside it what hooks have left. None stands for what
    there is before the first step.
    """
    around, store = executor.surroundings, executor.store
    with store.stage() as staging:
        lowers = around.lowers(record.stack if record else ())
        shown = shown_stack(store.root, lowers, staging, around.paths.build_folder)
        on_disk = record is not None and record.disks
        return executor.sandbox.run(
            SandboxSpec(
                start=store.root,
                root=replace(shown, flags=MountFlag.RDONLY),
                program=Act(work),
                log=None,
                disk=around.disks.finished(record, staging) if record and on_disk else None,
                build_folder=around.paths.build_folder,
            )
        ).data
