"""Make the outputs of a build, and what is written beside them.

- the disk, where no hook needed one: the tree as a filesystem, kept in the store for all types;
- one file for each type;
- ``NAME.d/`` and other files that hooks left as artifacts, and ``NAME.build.json``.
"""

from __future__ import annotations

import functools
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dibflow.engine import makedisk
from dibflow.engine.build import Build
from dibflow.engine.journal import Happening
from dibflow.engine.sources import DiskSource, TreeSource, with_build_folder
from dibflow.errors import StepError, UsageError
from dibflow.outputs.files import appearing
from dibflow.outputs.source import Source
from dibflow.outputs.write import write
from dibflow.planning.formats import FORMATS
from dibflow.planning.plan import Step
from dibflow.planning.planner import DISK, MAKE_DISK
from dibflow.planning.variables import ARTIFACTS, TARGET
from dibflow.store.locks import key_lock
from dibflow.store.records import StepRecord
from dibflow.store.store import store_errors, want_of_room


def is_made(build: Build, step: Step) -> bool:
    """Tell whether an output step is done: its file is there and is the one that was written."""
    if step.name == DISK:
        return build.store.finished(step.key) is not None
    return build.output(step.name) is not None


def make(build: Build, step: Step, *, on_wait: Callable[[str], None] = lambda _: None) -> int:
    """Carry out an output step and give the bytes it wrote; nothing to do if `is_made`."""
    lock = step.key if step.name == DISK else f"{step.key}-{build.id}"
    with key_lock(build.store.root / "locks", lock, on_wait=on_wait):
        if is_made(build, step):
            return 0
        log = build.executor.new_log(step)
        build.journal.note(step, Happening.STARTED, text=str(log))
        started = time.monotonic()
        try:
            size = _make_disk(build, step) if step.name == DISK else _make_file(build, step)
        except Exception as error:
            log.write_text(f"{error}\n")
            raise
        seconds = time.monotonic() - started
        build.journal.note(step, Happening.BUILT, seconds=seconds, size_bytes=size)
        return size


def _make_disk(build: Build, step: Step) -> int:
    """Make the disk of an image whose hooks needed none."""
    executor, store = build.executor, build.store
    before = executor.surroundings.record_before(step)
    plan = executor.surroundings.disks.made_by(step)
    doing = "making the disk"
    with (
        store.stage() as staging,
        store_errors(doing, store.root),
        want_of_room(doing, store.root),
    ):
        image = staging.disk("raw")
        with_build_folder(
            executor,
            before,
            functools.partial(
                makedisk.make_and_fill, plan=plan, image=image, scratch=staging.folder
            ),
        )
        disk = store.commit_disk(image)
    size = store.disk_path(disk).stat().st_blocks * 512
    stack = before.stack if before else ()
    store.write_step(
        StepRecord(
            key=step.key,
            content_key=step.content_key(stack, {}),
            title=step.title,
            layer="",
            stack=stack,
            disks=(disk,),
            size_bytes=size,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
        )
    )
    return size


def _make_file(build: Build, step: Step) -> int:
    file = write(
        FORMATS[step.name],
        _source(build, step),
        build.output_path(step.name),
        {**dict(step.parameters), "identity": step.key},
        overwrite=build.request.environment.get("OVERWRITE_OLD_IMAGE", "0") not in {"", "0"},
    )
    build.note_output(step.name, step.key, file)
    return file.size


def _source(build: Build, step: Step) -> Source:
    """Give what an output is made from: the disk that hooks have worked on, or the tree."""
    executor = build.executor
    last = executor.surroundings.record_before(step)
    assert last is not None  # noqa: S101 - an output always has a step before it
    if build.plan.has_act(MAKE_DISK):
        return DiskSource(executor, last)
    image = executor.store.disk_path(last.disks[-1]) if last.disks else Path()
    return TreeSource(executor, replace(last, disks=()), image)


def finish(build: Build) -> None:
    """Write what stands beside the outputs, and mark the build finished."""
    last = build.plan.tree_steps[-1]
    record = build.store.finished(last.key)
    if record is None:
        raise StepError(f"finishing the build: its last step, {last.title}, is not in the store")
    stem = build.stem()
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f'making the folder "{stem.parent}": {error.strerror}',
            hint="choose another place with -o (--name)",
        ) from error
    found = with_build_folder(
        build.executor, record, functools.partial(_collect, destination=stem.parent)
    )
    assert isinstance(found, dict)  # noqa: S101 - what _collect gives
    report = _report(build, found["packages"])
    path = stem.with_name(f"{stem.name}.build.json")
    with appearing(path, overwrite=True) as partial:
        partial.write_text(json.dumps(report, indent=2) + "\n")
    build.finish({"path": str(path), "artifacts": found["artifacts"]})


def _collect(folder: Path, *, destination: Path) -> dict[str, object]:
    """Copy what hooks left as artifacts, and list the packages of the tree."""
    names = []
    for entry in sorted((folder / ARTIFACTS).iterdir()):
        target = destination / entry.name
        if entry.is_dir():
            shutil.copytree(entry, target, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(entry, target, follow_symlinks=False)
        names.append(entry.name)
    return {"artifacts": names, "packages": dpkg_packages(folder / TARGET)}


def dpkg_packages(root: Path) -> list[dict[str, str]]:
    """List the installed packages of a tree, in the order of dpkg's status file.

    Empty for a tree that dpkg does not manage. Source: dpkg-query(1), deb822(5).
    """
    status = root / "var" / "lib" / "dpkg" / "status"
    if not status.is_file():
        return []
    packages = []
    for paragraph in status.read_text(encoding="utf-8", errors="replace").split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in paragraph.splitlines()
            if ": " in line and not line.startswith(" ")
        )
        if fields.get("Status") == "install ok installed":
            packages.append(
                {
                    "package": fields.get("Package", ""),
                    "version": fields.get("Version", ""),
                    "architecture": fields.get("Architecture", ""),
                }
            )
    return packages


def _report(build: Build, packages: object) -> dict[str, Any]:
    """Give the content of ``NAME.build.json``: what was built, from what, how long it took."""
    record = build.record()
    steps = []
    for step in build.plan.tree_steps:
        done = build.store.finished(step.key)
        if done is None:
            continue
        steps.append(
            {
                "step": step.title,
                "kind": step.kind.value,
                "element": step.element,
                "key": step.key,
                "layer": done.layer,
                "seconds": done.seconds,
                "size_bytes": done.size_bytes,
                "finished": done.finished,
            }
        )
    return {
        "name": build.stem().name,
        "elements": build.plan.elements,
        "architecture": build.plan.arch,
        "types": build.plan.types,
        "started": record.get("started", ""),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "fingerprints": dict(build.tokens),
        "steps": steps,
        "outputs": record.get("outputs", {}),
        "packages": packages,
    }
