"""A store that has nothing and takes nothing: what a plan is made against where none is yet."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dibflow.errors import StoreError
from dibflow.store.records import StepRecord
from dibflow.store.store import DirectoryStore, Layer, LayerStore, RecordKind, Staging


class EmptyStore:
    """Answers that nothing is there; raises StoreError for whatever would write."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def stage(self) -> contextlib.AbstractContextManager[Staging]:
        """Refuse."""
        raise self._refusal()

    def commit(self, staging: Staging, *, over: Sequence[Path]) -> Layer:  # noqa: ARG002
        """Refuse."""
        raise self._refusal()

    def commit_disk(self, file: Path) -> str:  # noqa: ARG002
        """Refuse."""
        raise self._refusal()

    def disk_path(self, disk: str) -> Path:
        """Give where a disk would be."""
        return self.root / "disks" / disk

    def lowers(self, stack: Sequence[str]) -> tuple[Path, ...]:  # noqa: ARG002
        """Refuse: there are no layers."""
        raise self._refusal()

    def finished(self, key: str) -> StepRecord | None:  # noqa: ARG002
        """Give None."""
        return None

    def known_content(self, content_key: str) -> StepRecord | None:  # noqa: ARG002
        """Give None."""
        return None

    def has_layer(self, layer: str) -> bool:  # noqa: ARG002
        """Give False."""
        return False

    def write_step(self, record: StepRecord) -> None:  # noqa: ARG002
        """Refuse."""
        raise self._refusal()

    def read(self, kind: RecordKind, key: str) -> dict[str, Any] | None:  # noqa: ARG002
        """Give None."""
        return None

    def write(self, kind: RecordKind, key: str, value: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Refuse."""
        raise self._refusal()

    def _refusal(self) -> StoreError:
        return StoreError(f'there is no store at "{self.root}", and looking makes none')


def existing_store(root: Path) -> LayerStore:
    """Open the store at `root` if there is one, to look at it; else give an empty one."""
    return DirectoryStore(root) if (root / "version").exists() else EmptyStore(root)
