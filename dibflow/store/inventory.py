"""What lies in a store, read without its locks: records, layers, disks, and who needs what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dibflow.store.records import StepRecord, read_record


def step_records(root: Path) -> Iterator[tuple[Path, StepRecord | None]]:
    """Give the finished steps of a store, by definition key; None for a record that is damaged."""
    for path in sorted((root / "steps").glob("*.json")):
        yield path, read_step(path)


def read_step(path: Path) -> StepRecord | None:
    """Read a step's record; None if it is damaged or gone."""
    value = read_record(path)
    try:
        return StepRecord.from_json(value) if value is not None else None
    except (TypeError, KeyError):
        return None


def needed_layers(value: StepRecord | dict[str, Any]) -> tuple[str, ...]:
    """Give the layers that a record of a step, or of a hooks tree, needs."""
    if isinstance(value, StepRecord):
        return (*value.stack, *([value.layer] if value.layer else ()))
    return (*value.get("stack", ()), *([value["layer"]] if value.get("layer") else ()))


def disk_files(value: StepRecord | dict[str, Any]) -> tuple[str, ...]:
    """Name the files in ``disks/`` that a record of a step, or of a hooks tree, needs."""
    if isinstance(value, StepRecord):
        return value.disks
    return tuple(value.get("disks", ()))


def layer_sizes(root: Path) -> dict[str, int]:
    """Give the size of each layer in bytes, as it was noted; 0 where that cannot be read."""
    found = {}
    for folder in (root / "layers").iterdir():
        try:
            found[folder.name] = int(json.loads((folder / "layer.json").read_bytes())["size_bytes"])
        except (OSError, ValueError, KeyError, TypeError):
            found[folder.name] = 0
    return found


def disk_sizes(root: Path) -> dict[str, int]:
    """Give the bytes that each file in ``disks/`` takes, by name."""
    return {path.name: path.stat().st_blocks * 512 for path in (root / "disks").iterdir()}
