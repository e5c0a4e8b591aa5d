"""Check a store: layers hold what their names say, and records lead to layers that are there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dibflow.errors import StoreError
from dibflow.store.content import content_of
from dibflow.store.inventory import needed_layers, read_step, step_records
from dibflow.store.records import read_record


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that is not as it was written; `path` is relative to the store."""

    path: str
    problem: str


@dataclass(frozen=True, slots=True)
class Verified:
    """How much was looked at, and what is damaged."""

    layers: int
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
    there = {path.name for path in (root / "layers").iterdir()}
    for path, needed, problem in records:
        missing = sorted(set(needed) - there)
        if problem and (root / path).exists():
            damages.append(Damage(path, problem))
        elif missing and (root / path).exists():
            named = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
            damages.append(Damage(path, f"needs layers that are not there: {named}"))
    return Verified(len(layers), len(records), tuple(damages))


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


def _records(root: Path) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Give each record's path, the layers it needs, and what is wrong with it."""
    for path, record in step_records(root):
        name = f"steps/{path.name}"
        if record is None:
            yield name, (), "is no record of a step"
        elif record.key != path.stem:
            yield name, (), f"is the record of another step: {record.key}"
        else:
            yield name, needed_layers(record), ""
    for path in sorted((root / "content").glob("*.json")):
        name = f"content/{path.name}"
        value = read_record(path)
        if value is None:
            yield name, (), "is no record"
        elif "stack" not in value:  # a hooks tree
            yield name, needed_layers(value), ""
        else:
            step = read_step(path)
            sound = step is not None and step.content_key == path.stem
            yield name, needed_layers(value), "" if sound else "is the record of another step"
    for path in sorted((root / "builds").glob("*.json")):
        if read_record(path) is None:
            yield f"builds/{path.name}", (), "is no record of a build"
