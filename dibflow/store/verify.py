"""Check a store: layers hold what their names say, and records lead to what is there.

A disk has no digest: of its layers qemu-img tells whether each is sound, and which it lies on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dibflow.commands import run
from dibflow.errors import StepError, StoreError
from dibflow.store.content import content_of
from dibflow.store.inventory import disk_files, needed_layers, read_step, step_records
from dibflow.store.records import StepRecord, read_record


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that is not as it was written; `path` is relative to the store."""

    path: str
    problem: str


@dataclass(frozen=True, slots=True)
class Verified:
    """How much was looked at, and what is damaged."""

    layers: int
    disks: int
    records: int
    damages: tuple[Damage, ...]


def verify(root: Path, *, on_layer: Callable[[int, int], None] = lambda _, __: None) -> Verified:
    """Check the store at `root`; every byte of every layer is read.

    `on_layer` is told how many layers are done, of how many. Builds may run meanwhile: layers are
    there before their records, and records are listed first.
    """
    records = tuple(_records(root))
    layers = sorted(path.name for path in (root / "layers").iterdir())
    damages = list[Damage]()
    for number, layer in enumerate(layers, start=1):
        problem = _layer_problem(root / "layers" / layer)
        if problem:
            damages.append(Damage(f"layers/{layer}", problem))
        on_layer(number, len(layers))
    disks = sorted(path.name for path in (root / "disks").iterdir())
    damages += _disk_damages(root, disks, _predecessors(one.disks for one in records))
    layers_there = {path.name for path in (root / "layers").iterdir()}
    disks_there = {path.name for path in (root / "disks").iterdir()}
    for one in records:
        if not (root / one.path).exists():
            continue
        if one.problem:
            damages.append(Damage(one.path, one.problem))
            continue
        for what, missing in (
            ("layers", set(one.layers) - layers_there),
            ("disks", set(one.disks) - disks_there),
        ):
            if missing:
                damages.append(Damage(one.path, _not_there(what, sorted(missing))))
    return Verified(len(layers), len(disks), len(records), tuple(damages))


def _not_there(what: str, names: list[str]) -> str:
    named = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"needs {what} that are not there: {named}"


def _predecessors(chains: Iterable[tuple[str, ...]]) -> dict[str, str]:
    """Tell for each file of a disk which one lies below it; the base has none."""
    return {
        disk: below for chain in chains for below, disk in zip(("", *chain), chain, strict=False)
    }


def _disk_damages(root: Path, disks: list[str], below: Mapping[str, str]) -> Iterator[Damage]:
    for disk in disks:
        path = root / "disks" / disk
        if disk not in below or path.suffix == ".raw":
            continue  # garbage, or bytes without any form
        problem = _disk_problem(path, below[disk])
        if problem and path.exists():
            yield Damage(f"disks/{disk}", problem)


def _disk_problem(path: Path, below: str) -> str:
    """Tell what is wrong with a layer of a disk; an empty string if nothing is."""
    doing, package = f'checking "{path}"', "qemu-utils"
    # Without what lies below, which is looked at for itself.
    alone = {"driver": "qcow2", "backing": None, "file": {"driver": "file", "filename": str(path)}}
    try:
        info = run(
            ["qemu-img", "info", "-f", "qcow2", "--force-share", "--output=json", str(path)],
            doing=doing,
            package=package,
        )
        lies_on = json.loads(info).get("backing-filename", "")
        if lies_on != below:
            return f'lies on "{lies_on}" instead of "{below}"'
        run(
            ["qemu-img", "check", "--force-share", f"json:{json.dumps(alone)}"],
            doing=doing,
            package=package,
        )
    except StepError as error:
        return f"is damaged: {error.message}"
    return ""


def _layer_problem(folder: Path) -> str:
    """Tell what is wrong with a layer; an empty string if nothing is."""
    record = read_record(folder / "layer.json")
    if record is None:
        return "has no readable layer.json" if folder.exists() else ""
    try:
        content = content_of(folder / "diff")
    except FileNotFoundError:
        return "has no diff" if folder.exists() else ""
    except (OSError, StoreError) as error:
        return f"cannot be read: {error}"
    if content.id != folder.name:
        return f"holds something else: its content has the id {content.id}"
    return ""


@dataclass(frozen=True, slots=True)
class _Record:
    """A record's path, what it needs, and what is wrong with it; an empty string if nothing is."""

    path: str
    layers: tuple[str, ...] = ()
    disks: tuple[str, ...] = ()
    problem: str = ""


def _record(path: str, value: StepRecord | dict[str, Any], problem: str = "") -> _Record:
    return _Record(path, needed_layers(value), disk_files(value), problem)


def _records(root: Path) -> Iterator[_Record]:
    for path, record in step_records(root):
        name = f"steps/{path.name}"
        if record is None:
            yield _Record(name, problem="is no record of a step")
        elif record.key != path.stem:
            yield _Record(name, problem=f"is the record of another step: {record.key}")
        else:
            yield _record(name, record)
    for path in sorted((root / "content").glob("*.json")):
        name = f"content/{path.name}"
        value = read_record(path)
        if value is None:
            yield _Record(name, problem="is no record")
        elif "stack" not in value:  # a hooks tree
            yield _record(name, value)
        else:
            step = read_step(path)
            sound = step is not None and step.content_key == path.stem
            yield _record(name, value, "" if sound else "is the record of another step")
    for path in sorted((root / "builds").glob("*.json")):
        if read_record(path) is None:
            yield _Record(f"builds/{path.name}", problem="is no record of a build")
