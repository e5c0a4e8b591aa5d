"""Collect garbage: find out what builds still use, choose what goes, and remove it.

A step was last of use when the last build with it in its plan did something. What no build knows,
as after its record was removed, was last of use when it was written.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import Any

from dibflow.engine.build import State
from dibflow.engine.history import PastBuild, past_builds
from dibflow.engine.surroundings import tree_record
from dibflow.store import lease
from dibflow.store.flatten import chain_ids
from dibflow.store.garbage import Garbage, Use, choose
from dibflow.store.inventory import (
    disk_files,
    disk_sizes,
    layer_sizes,
    needed_layers,
    step_records,
)
from dibflow.store.records import StepRecord, read_record
from dibflow.store.store import DirectoryStore, store_errors

_LAYER = "layers/"
_DISK = "disks/"


def survey(store: DirectoryStore, *, max_size_bytes: int | None) -> Garbage:
    """Choose what can go. What is removed or made meanwhile may make this wrong: see `collect`."""
    uses = (*_steps(store), *_trees(store))
    return choose(uses, _sizes(store), max_size_bytes=max_size_bytes)


def _sizes(store: DirectoryStore) -> dict[str, int]:
    """Give the bytes of each layer and disk that is there, by name."""
    sizes = {f"{_LAYER}{name}": size for name, size in layer_sizes(store.root).items()}
    return sizes | {f"{_DISK}{name}": size for name, size in disk_sizes(store.root).items()}


def collect(store: DirectoryStore, *, max_size_bytes: int | None) -> Garbage:
    """Choose what can go and remove it: records first, so that none leads to nothing.

    Raises StoreError while a build or a shell uses the store.
    """
    with lease.alone(store.root), store_errors("collecting garbage", store.root):
        store.reconcile()
        garbage = survey(store, max_size_bytes=max_size_bytes)
        for name in garbage.uses:
            (store.root / name).unlink(missing_ok=True)
            shutil.rmtree(store.root / "logs" / Path(name).stem, ignore_errors=True)
        _drop_contents(store.root, kept=_sizes(store).keys() - set(garbage.items))
        for item in garbage.items:
            _remove(store, item)
        _drop_flats(store)
    return garbage


def _last_used(builds: Sequence[PastBuild]) -> tuple[dict[str, float], frozenset[str]]:
    """Give when each record was last of use, by its path, and which belong to unfinished builds."""
    used: dict[str, float] = {}
    pinned: set[str] = set()
    for build in builds:
        names = [f"steps/{step.key}.json" for step in build.plan.steps]
        names.append(f"content/{tree_record(build.plan.tree)}.json")
        for name in names:
            used[name] = max(used.get(name, 0.0), build.changed)
        if build.state == State.UNFINISHED:
            pinned.update(names)
    return used, frozenset(pinned)


def _steps(store: DirectoryStore) -> Iterator[Use]:
    used, pinned = _last_used(past_builds(store))
    for path, record in step_records(store.root):
        if record is None:
            continue
        name = f"steps/{path.name}"
        time = used.get(name, path.stat().st_mtime)
        yield Use(name, _needs(record), time, pinned=name in pinned)


def _trees(store: DirectoryStore) -> Iterator[Use]:
    """Give the records of merged hooks trees, which need a layer each."""
    used, pinned = _last_used(past_builds(store))
    for path in sorted((store.root / "content").glob("*.json")):
        value = read_record(path)
        if value is None or "stack" in value:
            continue
        name = f"content/{path.name}"
        time = used.get(name, path.stat().st_mtime)
        yield Use(name, _needs(value), time, pinned=name in pinned)


def _needs(value: StepRecord | dict[str, Any]) -> frozenset[str]:
    """Name the layers and disks that a record needs."""
    layers = {f"{_LAYER}{layer}" for layer in needed_layers(value)}
    return frozenset(layers | {f"{_DISK}{file}" for file in disk_files(value)})


def _drop_contents(root: Path, *, kept: Set[str]) -> None:
    """Remove what is known of contents that needs a layer or a disk which goes, or is lost."""
    for path in (root / "content").glob("*.json"):
        value = read_record(path)
        if value is None or not _needs(value) <= kept:
            path.unlink(missing_ok=True)


def _drop_flats(store: DirectoryStore) -> None:
    """Remove merged lower parts of stacks that no record has any more."""
    kept = {
        chain
        for _, record in step_records(store.root)
        if record is not None
        for chain in chain_ids(record.stack)
    }
    for folder in (store.root / "flats").iterdir():
        if folder.name not in kept:
            _remove(store, f"flats/{folder.name}")


def _remove(store: DirectoryStore, name: str) -> None:
    """Take something away at once, then remove it: a crash leaves it whole or in ``staging/``."""
    with store.stage() as staging:
        (store.root / name).rename(staging.folder / "garbage")
