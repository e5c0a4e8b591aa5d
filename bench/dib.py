"""Measure against diskimage-builder: ``python -m bench dib [PART...]``, as root, with a mirror.

Every round builds ``vm debian-minimal`` to qcow2 with diskimage-builder and its own elements, then
does with dibflow what the chosen parts are about:

- cold         the same image with our elements, nothing in the store
- edit         its last install.d hook edited: to a new qcow2
- upstream     the image of upstream's elements under this engine, nothing in the store
- conversions  the finished disk and tree to qcow2 and tgz, against the commands that DIB runs
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import formats, upstream
from bench.figures import Figure, machine, table
from bench.upstream import DISK, QCOW2
from bench.workshop import CHECKOUT, Workshop, workshop
from dibflow.engine.journal import Happening, Journal, Line
from dibflow.errors import DibflowError

PARTS = ("cold", "edit", "upstream", "conversions")
COLD_RATIO = 0.5
DISK_STAGE_RATIO = 0.35
EDIT_RATIO = 0.15
UPSTREAM_RATIO = 0.8

_OURS = CHECKOUT / "elements"
_MIRRORS_OF_HOST = _OURS / "dpkg" / "environment.d" / "05-host-mirrors.bash"
_ELEMENT = "bench-marks"
_EDITED = "install.d/99-zz-edited"
_TREE_DONE = "post-root.d/99-tree-done"
_IMAGE = ("vm", "debian-minimal", _ELEMENT)
_DISK_STEPS = ("finish-root", "make-disk", "copy-in")
_SHOWN_FROM_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Build:
    """A measured build: the wall time of the command, of each part, and of the disk stage."""

    seconds: float
    parts: Mapping[str, float]
    disk_stage: float


@dataclass(slots=True)
class Series:
    """The builds of each kind, a round each; `edit` are seconds."""

    dib: list[Build] = field(default_factory=list)
    cold: list[Build] = field(default_factory=list)
    upstream: list[Build] = field(default_factory=list)
    edit: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Where and with what is measured: `packages` is the cache that every build starts from."""

    workshop: Workshop
    packages: Path
    environment: Mapping[str, str]

    def build_with_dib(self) -> Build:
        """Build with diskimage-builder."""
        folder = self.workshop.folder
        scratch = _empty(folder / "dib-tmp")
        command = upstream.command(_IMAGE, output="dib")
        with_cache = {**self.environment, **self._cache(), "TMP_DIR": str(scratch)}
        with_path = {"ELEMENTS_PATH": str(self.workshop.elements), "PATH": _path()}
        run = self.workshop.run(command, environment={**with_cache, **with_path})
        self._keep_packages()
        log = (folder / "command.log").read_text(errors="replace")
        times = upstream.read_log(log, last_of_tree=_TREE_DONE)
        return Build(run.seconds, times.parts, times.disk_stage)

    def build(self, elements: Path) -> Build:
        """Build with dibflow over the elements of a folder, with what the store has."""
        path = f"{self.workshop.elements}:{elements}"
        environment = {**self.environment, **self._cache(), "ELEMENTS_PATH": path}
        command = _dibflow("qcow2")
        run = self.workshop.run(command, environment=environment)
        self._keep_packages()
        seconds: dict[str, float] = {}
        at: dict[str, float] = {}
        for line in self._last_journal():
            if line.happening is Happening.BUILT:
                seconds[line.title] = line.seconds
                at[line.title] = line.time
        parts = {title: took for title, took in seconds.items() if title not in _DISK_STEPS}
        parts[DISK] = sum(seconds.get(title, 0.0) for title in _DISK_STEPS)
        parts[QCOW2] = parts.pop("qcow2", 0.0)
        disk_stage = at["qcow2"] - at[_TREE_DONE] if _TREE_DONE in at else 0.0
        return Build(run.seconds, parts, disk_stage)

    def edit(self, text: str) -> None:
        """Have the last hook of install.d write `text`."""
        mark = f"#!/bin/bash\nset -eu\nprintf '%s\\n' '{text}' >/etc/bench-edited\n"
        done = "#!/bin/bash\nset -eu\ntrue\n"
        self.workshop.element(_ELEMENT, {_EDITED: mark, _TREE_DONE: done})

    def forget(self) -> None:
        """Have the next build begin with an empty store.

        The old one is moved away. For minutes after thousands of files were removed ext4 is slower
        at making new ones (``recently_deleted`` in fs/ext4/ialloc.c), which no user's first build
        would see.
        """
        if self.workshop.store.exists():
            self.workshop.store.rename(self.workshop.folder / f"old-store-{time.monotonic_ns()}")

    def make_raw_and_tar(self) -> tuple[Path, Path]:
        """Give the disk and the tree of the image that the store has."""
        path = f"{self.workshop.elements}:{_OURS}"
        environment = {**self.environment, **self._cache(), "ELEMENTS_PATH": path}
        self.workshop.run(_dibflow("raw,tar"), environment=environment)
        folder = self.workshop.folder
        return folder / "ours.raw", folder / "ours.tar"

    def _cache(self) -> dict[str, str]:
        """Make a DIB_IMAGE_CACHE for one build: a build may empty it, upstream's does."""
        cache = self.workshop.folder / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(self.packages, cache)
        return {"DIB_IMAGE_CACHE": str(cache)}

    def _keep_packages(self) -> None:
        cache = self.workshop.folder / "cache"
        for package in cache.glob("apt/*/*.deb"):
            kept = self.packages / package.relative_to(cache)
            if not kept.exists():
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(package, kept)

    def _last_journal(self) -> Iterator[Line]:
        journals = (self.workshop.store / "builds").glob("*.journal")
        return Journal(max(journals, key=lambda path: path.stat().st_mtime_ns)).lines()


def main(arguments: Sequence[str]) -> int:
    """Measure the parts asked for and print the figures; 1 if one passes its limit."""
    parser = argparse.ArgumentParser(
        prog="python -m bench dib",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], help="default: all of them")
    parser.add_argument("--rounds", type=int, default=1, help="rounds (default: 1)")
    parser.add_argument("--json", action="store_true", help="print every sample as JSON")
    scratch = Path("/var/tmp")  # noqa: S108 - a folder of its own is made in it
    parser.add_argument("--folder", type=Path, default=scratch, help=f"default: {scratch}")
    parser.add_argument(
        "--packages", type=Path, help="a DIB_IMAGE_CACHE to begin with; else a build fills one"
    )
    parser.add_argument("--no-tmpfs", action="store_true", help="have DIB build on disk")
    chosen = parser.parse_args(arguments)
    parts = chosen.part or list(PARTS)
    try:
        with workshop(chosen.folder) as place:
            comparison = Comparison(
                place,
                place.folder / "packages",
                {**_mirrors(), "DIB_NO_TMPFS": "1" if chosen.no_tmpfs else "0"},
            )
            where = machine(place.folder)
            series, converted = _measure(comparison, parts, chosen.rounds, chosen.packages)
    except DibflowError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_status
    figures = [*_figures(series), *converted]
    if chosen.json:
        shares = {name: builds[-1].parts for name, builds in _columns(series).items()}
        values = [figure.to_json() for figure in figures]
        print(json.dumps({"machine": where, "figures": values, "parts": shares}))
    else:
        print(f"{where}, DIB {'on disk' if chosen.no_tmpfs else 'in tmpfs where it finds room'}")
        print(f"{shares_table(_columns(series))}\n\n{table(figures)}")
    return 0 if all(figure.passes for figure in figures) else 1


def _measure(
    comparison: Comparison, parts: Sequence[str], rounds: int, packages: Path | None
) -> tuple[Series, list[Figure]]:
    series = Series()
    converted: list[Figure] = []
    comparison.edit("warm-up")
    comparison.packages.mkdir()
    if packages is not None:
        shutil.copytree(packages, comparison.packages, dirs_exist_ok=True)
    else:
        _say("filling the package cache")
        comparison.build(_OURS)
    for number in range(rounds):
        comparison.edit(f"{number} first")
        _say(f"round {number + 1}: diskimage-builder")
        series.dib.append(comparison.build_with_dib())
        if {"cold", "edit", "conversions"} & set(parts):
            _say(f"round {number + 1}: our elements, cold")
            comparison.forget()
            series.cold.append(comparison.build(_OURS))
        if "edit" in parts:
            _say(f"round {number + 1}: the last hook of install.d edited")
            comparison.edit(f"{number} second")
            series.edit.append(comparison.build(_OURS).seconds)
        if "conversions" in parts and number == rounds - 1:
            _say("conversions")
            disk, tree = comparison.make_raw_and_tar()
            converted = formats.conversions(disk, tree, rounds=rounds)
        if "upstream" in parts:
            _say(f"round {number + 1}: upstream's elements, cold")
            comparison.forget()
            series.upstream.append(comparison.build(upstream.elements_folder()))
    return series, converted


def _figures(series: Series) -> list[Figure]:
    dib = tuple(build.seconds for build in series.dib)
    dib_disk = tuple(build.disk_stage for build in series.dib)
    cold = tuple(build.seconds for build in series.cold)
    disk = tuple(build.disk_stage for build in series.cold)
    other = tuple(build.seconds for build in series.upstream)
    wanted = (
        ("cold, our elements (plain: DIB, its own)", cold, dib, COLD_RATIO),
        ("end of post-root.d to the finished qcow2 (plain: DIB)", disk, dib_disk, DISK_STAGE_RATIO),
        (
            "last install.d hook edited (plain: DIB's whole build)",
            tuple(series.edit),
            dib,
            EDIT_RATIO,
        ),
        ("cold, upstream's elements (plain: DIB)", other, dib, UPSTREAM_RATIO),
    )
    return [
        Figure(
            name=name, unit="s", samples=ours, plain=plain, limit=ratio * statistics.median(plain)
        )
        for name, ours, plain, ratio in wanted
        if ours
    ]


def _columns(series: Series) -> dict[str, list[Build]]:
    columns = {"DIB": series.dib, "dibflow": series.cold, "upstream's": series.upstream}
    return {name: builds for name, builds in columns.items() if builds}


def shares_table(columns: Mapping[str, Sequence[Build]]) -> str:
    """Lay out what each part takes, in seconds and as a share of the whole, medians of the rounds.

    Parts that take next to nothing everywhere are summed up.
    """
    middles = {name: _middle(builds) for name, builds in columns.items()}
    names = dict.fromkeys(part for parts in middles.values() for part in parts)
    long = [
        name
        for name in names
        if any(parts.get(name, 0.0) >= _SHOWN_FROM_SECONDS for parts in middles.values())
    ]
    rows = {name: {column: parts.get(name) for column, parts in middles.items()} for name in long}
    rows["(all other hooks)"] = {
        column: sum(took for name, took in parts.items() if name not in long)
        for column, parts in middles.items()
    }
    totals = {
        name: statistics.median(build.seconds for build in builds)
        for name, builds in columns.items()
    }
    rows["(outside hooks)"] = {
        column: totals[column] - sum(parts.values()) for column, parts in middles.items()
    }
    rows["whole build"] = dict(totals)
    width = max(map(len, rows))
    head = " ".join([" " * width, *(column.rjust(15) for column in columns)])
    lines = [head]
    for name, cells in rows.items():
        shown = [_cell(cells[column], totals[column]) for column in columns]
        lines.append(" ".join([name.ljust(width), *shown]).rstrip())
    return "\n".join(lines)


def _middle(builds: Sequence[Build]) -> dict[str, float]:
    names = dict.fromkeys(name for build in builds for name in build.parts)
    return {
        name: statistics.median(build.parts.get(name, 0.0) for build in builds) for name in names
    }


def _cell(seconds: float | None, total: float) -> str:
    return "" if seconds is None else f"{seconds:.1f} s {100 * seconds / total:4.1f} %".rjust(15)


def _dibflow(types: str) -> list[str]:
    program = str(Path(sys.executable).with_name("dibflow"))
    return [program, "build", "-t", types, "-o", "ours", *_IMAGE]


def _mirrors() -> dict[str, str]:
    """Give the release and the mirrors for both engines: the caller's, else those of this host."""
    found = {"DIB_RELEASE": os.environ.get("DIB_RELEASE", "bookworm")}
    done = subprocess.run(
        ["bash", "-c", 'source "$0" && apt_mirrors_of_host debian', str(_MIRRORS_OF_HOST)],
        capture_output=True,
        text=True,
        check=True,
    )
    names = {"archive": "DIB_DISTRIBUTION_MIRROR", "security": "DIB_DEBIAN_SECURITY_MIRROR"}
    for line in done.stdout.splitlines():
        kind, url = line.split()
        found[names[kind]] = os.environ.get(names[kind], url)
    return found


def _path() -> str:
    """Give a PATH on which DIB's own programs are found by each other."""
    return f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _say(text: str) -> None:
    print(f"measuring: {text} ...", file=sys.stderr, flush=True)
