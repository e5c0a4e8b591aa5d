"""What outputs are made from, however the image came to be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class DiskFile:
    """A disk image as a file; `format` is qemu's name of what it is: ``raw`` or ``qcow2``."""

    path: Path
    format: str


class Source(Protocol):
    """A finished image. What is given to the functions here may be looked at only while they run.

    They may run in a forked child: they start no threads, log nothing, and what they return is a
    JSON value. OSError and DibflowError come through.
    """

    def disk(self) -> DiskFile:
        """Give the disk image."""

    def with_tree(self, work: Callable[[Path], object]) -> object:
        """Call `work` with the folder that shows the finished tree, read-only."""

    def with_layers(self, work: Callable[[Sequence[Path]], object]) -> object:
        """Call `work` with the layers of the tree, base first.

        Each is a folder with what that layer changed of the image's root, as overlayfs keeps it:
        whiteouts, opaque marks.
        """
