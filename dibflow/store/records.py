"""Records: small JSON files that say what is finished.

A record appears whole (written in staging, synced, renamed, the folder synced) or not at all; one
that is damaged all the same counts as absent, so the worst that can follow is work done again.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """What a finished step gave.

    `layer` is the id of what it changed, empty if it changed nothing; `stack` the layers of the
    tree after it, base first. `disks` are the files of the image's disk after it, base first, once
    there is one. `mounts` are mounts that hooks have left, as the sandbox describes
    them. `environment` is what ``environment.d`` changed: a value, or None for a variable it
    removed. `data` is what an act of the engine found out. `log` is relative to the store.
    `reused` says that the content key was known: another step had done the same.
    """

    key: str
    content_key: str
    title: str
    layer: str
    stack: tuple[str, ...]
    disks: tuple[str, ...] = ()
    mounts: tuple[Mapping[str, Any], ...] = ()
    environment: Mapping[str, str | None] = field(default_factory=dict)
    data: Any = None
    seconds: float = 0.0
    size_bytes: int = 0
    finished: str = ""
    log: str = ""
    reused: bool = False

    def to_json(self) -> dict[str, Any]:
        """Give a JSON value that `from_json` turns back."""
        return asdict(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> StepRecord:
        """Read what `to_json` wrote. Raises TypeError or KeyError if it is something else."""
        return StepRecord(
            **{
                **value,
                "stack": tuple(value["stack"]),
                "disks": tuple(value.get("disks", ())),
                "mounts": tuple(value["mounts"]),
            }
        )


def read_record(path: Path) -> dict[str, Any] | None:
    """Read a record; None if it is not there or damaged. Raises OSError otherwise."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        log.warning("the record %s is damaged and counts as absent", path)
        return None
    return value if isinstance(value, dict) else None


def write_record(path: Path, value: Mapping[str, Any], *, made: Path, durable: bool = True) -> None:
    """Write a record; `path` appears whole or stays as it was. Raises OSError.

    It is made under the name `made` on the same filesystem. Whoever gives that name removes what is
    left there if this fails. One that is not `durable` may be gone, or damaged, after a loss of
    power.
    """
    with made.open("wb") as file:
        file.write(json.dumps(value, sort_keys=True).encode())
        if durable:
            file.flush()
            os.fsync(file.fileno())
    made.rename(path)
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable. Source: fsync(2), "NOTES"."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
