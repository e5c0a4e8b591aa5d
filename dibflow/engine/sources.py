"""What the outputs of a build are made from: its disk image, its tree, its layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dibflow.engine.executor import Executor, shown_stack
from dibflow.linux import MountFlag
from dibflow.outputs.source import DiskFile
from dibflow.planning.variables import TARGET
from dibflow.sandbox.spec import Act, SandboxSpec


@dataclass(frozen=True, slots=True)
class TreeSource:
    """An image without partitions: its tree as layers, and that tree as one filesystem.

    `image` is the raw image of the filesystem, which is there only if an output is made from it.
    """

    executor: Executor
    stack: tuple[str, ...]
    image: Path

    def disk(self) -> DiskFile:
        """Give the image of the filesystem."""
        return DiskFile(self.image, "raw")

    def with_tree(self, work: Callable[[Path], object]) -> object:
        """Call `work` with the tree as the hooks left it, nothing mounted in it."""

        def in_tree(folder: Path) -> object:
            return work(folder / TARGET)

        return with_build_folder(self.executor, self.stack, in_tree)

    def with_layers(self, work: Callable[[Sequence[Path]], object]) -> object:
        """Call `work` with what each layer holds of the tree; a long stack is flattened below.

        Layers that only change what lies beside the tree are left out.
        """
        folders = [lower / TARGET for lower in reversed(self.executor.store.lowers(self.stack))]
        return work([folder for folder in folders if folder.is_dir()])


def with_build_folder(
    executor: Executor, stack: Sequence[str], work: Callable[[Path], object]
) -> object:
    """Call `work` in a sandbox that shows a stack of layers, read-only, with nothing mounted in it.

    `work` gets the build folder: the tree, and beside it what hooks have left.
    """
    store = executor.store
    with store.stage() as staging:
        shown = shown_stack(
            store.root, executor.lowers(stack), staging, executor.paths.build_folder
        )
        return executor.sandbox.run(
            SandboxSpec(
                start=store.root,
                root=replace(shown, flags=MountFlag.RDONLY),
                program=Act(work),
                log=None,
                build_folder=executor.paths.build_folder,
            )
        ).data
