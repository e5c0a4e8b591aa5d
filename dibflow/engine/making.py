"""Make the outputs of a build, and what is written beside them.

- the disk: the tree as a filesystem image, kept in the store for every type made from it;
- one file for each type;
- ``NAME.d/`` and other files that hooks left as artifacts, and ``NAME.build.json``.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dibflow.engine.build import Build
from dibflow.engine.disk import Filesystem, make_filesystem
from dibflow.engine.journal import Happening
from dibflow.engine.sources import TreeSource, with_build_folder
from dibflow.errors import StepError
from dibflow.outputs.files import appearing
from dibflow.outputs.write import write
from dibflow.planning.formats import FORMATS
from dibflow.planning.plan import Step
from dibflow.planning.planner import DISK
from dibflow.planning.variables import ARTIFACTS, TARGET
from dibflow.store.locks import key_lock
from dibflow.store.records import StepRecord, sync_folder
from dibflow.store.store import store_errors


def disk_path(build: Build, step: Step) -> Path:
    """Give where the store keeps the disk image that `step` makes."""
    return build.store.root / "disks" / f"{step.key}.raw"


def is_made(build: Build, step: Step) -> bool:
    """Tell whether an output step is done: its file is there and is the one that was written."""
    if step.name == DISK:
        return build.store.finished(step.key) is not None and disk_path(build, step).exists()
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
    parameters = dict(step.parameters)
    filesystem = Filesystem(
        fstype=parameters["fstype"],
        label=parameters["label"],
        size_kib=build.executor.image_size_kib(),
        options=tuple(parameters["options"].split()),
        identity=step.key,
    )
    final = disk_path(build, step)
    before = build.executor.record_before(step)
    stack = before.stack if before else ()
    with build.store.stage() as staging, store_errors("making the disk image", build.store.root):
        image = staging.folder / "disk.raw"
        with_build_folder(
            build.executor,
            stack,
            functools.partial(_fill, image=image, filesystem=filesystem),
        )
        with image.open("rb") as file:
            os.fsync(file.fileno())
        image.rename(final)
        sync_folder(final.parent)
    size = final.stat().st_blocks * 512
    build.store.write_step(
        StepRecord(
            key=step.key,
            content_key=step.content_key(stack, {}),
            title=step.title,
            layer="",
            stack=stack,
            size_bytes=size,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
        )
    )
    return size


def _fill(folder: Path, *, image: Path, filesystem: Filesystem) -> None:
    make_filesystem(folder / TARGET, image, filesystem)


def _make_file(build: Build, step: Step) -> int:
    before = build.plan.before(step)
    tree = build.plan.before(before) if before is not None and before.name == DISK else before
    record = build.store.finished(tree.key) if tree is not None else None
    source = TreeSource(
        executor=build.executor,
        stack=record.stack if record else (),
        image=disk_path(build, before) if before is not None else Path(),
    )
    file = write(
        FORMATS[step.name],
        source,
        build.output_path(step.name),
        {**dict(step.parameters), "identity": step.key},
        overwrite=build.request.environment.get("OVERWRITE_OLD_IMAGE", "0") not in {"", "0"},
    )
    build.note_output(step.name, step.key, file)
    return file.size


def finish(build: Build) -> None:
    """Write what stands beside the outputs, and mark the build finished."""
    last = build.plan.tree_steps[-1]
    record = build.store.finished(last.key)
    if record is None:
        raise StepError(f"finishing the build: its last step, {last.title}, is not in the store")
    stem = build.stem()
    found = with_build_folder(
        build.executor, record.stack, functools.partial(_collect, destination=stem.parent)
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
