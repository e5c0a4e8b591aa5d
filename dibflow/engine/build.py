"""A build: one request, its pinned plan, and how far it has come.

A build is known by what was asked for (`BuildRequest.identity`), so asking again finds it. While it
is unfinished it keeps its tokens of freshness, whatever clock and mirrors say; hooks are read anew
each time, so a mended hook counts. Once it is finished, asking again asks the elements for
fingerprints, and does only what they or the hooks have changed.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dibflow import resources
from dibflow.digest import digest_of
from dibflow.engine.executor import Executor
from dibflow.engine.fingerprint import FingerprintAsker
from dibflow.engine.freshness import Clock, Freshness, Token
from dibflow.engine.hooktree import stage_tree, staged_tree, tree_digest
from dibflow.engine.journal import Journal
from dibflow.engine.surroundings import Surroundings
from dibflow.outputs.files import OutputFile
from dibflow.planning.blockconfig import read_layout
from dibflow.planning.definition import ImageDefinition
from dibflow.planning.element import Element, ElementPath, search_path
from dibflow.planning.expansion import NO_FINAL_IMAGE, command_line_elements, expand
from dibflow.planning.formats import FORMATS, needs_disk
from dibflow.planning.hooks import (
    ElementFiles,
    HookTree,
    Reason,
    merge_elements,
    predict_install_types,
    scan_element,
)
from dibflow.planning.hostfiles import host_files
from dibflow.planning.ordering import hook_name_pattern
from dibflow.planning.phases import Phase
from dibflow.planning.plan import Plan, Step
from dibflow.planning.planner import SETTLE_HOOKS, Planner
from dibflow.planning.programs import check_programs, disk_programs
from dibflow.planning.resolve import ResolvedDefinition, resolve
from dibflow.planning.treeinputs import FileTexts, TreeInputs
from dibflow.planning.variables import HostPaths, engine_variables
from dibflow.sandbox.run import Sandbox
from dibflow.sandbox.spec import BUILD_FOLDER
from dibflow.store.locks import key_lock
from dibflow.store.records import StepRecord
from dibflow.store.store import LayerStore, RecordKind

_NEVER_CLEARED = frozenset({"HOME", "PATH", "USER", "LOGNAME", "TERM", "DIBFLOW_STORE", "DIB_ARGS"})
"""What ``-c`` leaves of the caller's environment: who and where, not what is built."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What a person asked for, where, and with which environment.

    `folder` is the caller's current folder: relative output names and the hooks outside the target
    start there. `refresh` takes everything downloaded as stale. `strict_inputs` hides from hooks
    what is not in their keys. Where the definition says `clear`, next to nothing is left of
    `environment`.
    """

    definition: ImageDefinition
    store: Path
    folder: Path
    environment: Mapping[str, str]
    refresh: bool = False
    strict_inputs: bool = False

    def __post_init__(self) -> None:
        if self.definition.clear:
            left = {name: self.environment[name] for name in _NEVER_CLEARED & {*self.environment}}
            object.__setattr__(self, "environment", left)

    @property
    def elements_path(self) -> str:
        """Give the folders of elements that the request names before the shipped ones."""
        return {**self.environment, **self.definition.variables}.get("ELEMENTS_PATH", "")

    @property
    def identity(self) -> str:
        """Name the build: the same request, asked again, has the same name."""
        return digest_of(
            {
                "definition": dataclasses.asdict(self.definition),
                "folder": str(self.folder),
                "elements_path": self.elements_path,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What planning reads: the elements of an image and their merged hooks tree."""

    elements: tuple[Element, ...]
    tree: HookTree
    digest: str


@dataclass(frozen=True, slots=True)
class Shelf:
    """The elements on offer, each folder listed and each file read once.

    Share one among images planned together: fifty that differ little take little more than one.
    """

    offered: ElementPath
    scan: Callable[[Element], ElementFiles]
    texts: FileTexts

    @staticmethod
    def of(environment: Mapping[str, str]) -> Shelf:
        """Offer the elements of ``ELEMENTS_PATH``, and after them the shipped ones."""
        shipped = resources.elements_directory()
        search = search_path(environment.get("ELEMENTS_PATH", ""), shipped=shipped)
        return Shelf(ElementPath(search), _scan_once(), FileTexts())


def shelves_of(requests: Iterable[BuildRequest]) -> Mapping[str, Shelf]:
    """Give a shelf for each elements path that `requests` name, by that path."""
    paths = {request.elements_path for request in requests}
    return {path: Shelf.of({"ELEMENTS_PATH": path}) for path in paths}


def _scan_once() -> Callable[[Element], ElementFiles]:
    known: dict[Path, ElementFiles] = {}

    def scan(element: Element) -> ElementFiles:
        if element.path not in known:
            known[element.path] = scan_element(element)
        return known[element.path]

    return scan


def read_sources(
    definition: ResolvedDefinition, environment: Mapping[str, str], *, shelf: Shelf
) -> Sources:
    """Expand a definition's elements and merge what they bring. Raises ElementError."""
    names = command_line_elements(
        definition.elements,
        prefix=environment.get("IMAGE_ELEMENT", "").split(),
        arch=definition.arch,
        skip_base=definition.skip_base,
        ramdisk_element=definition.ramdisk_element,
    )
    elements = without_shipped(expand(names, shelf.offered), shipped=resources.elements_directory())
    tree = merge_elements(elements, scan=shelf.scan)
    return Sources(elements=elements, tree=tree, digest=tree_digest(tree, shelf.texts.digest))


def without_shipped(elements: Sequence[Element], *, shipped: Path) -> tuple[Element, ...]:
    """Forget the `shipped` elements that others hide, if the image uses none of them.

    Programs of upstream's elements walk ``ELEMENTS_PATH`` and read every folder that bears an
    element's name, hidden ones too. Over a full set of elements, such as upstream's own, ours
    would add their packages.
    """
    if any(element.path.parent == shipped for element in elements):
        return tuple(elements)
    return tuple(
        dataclasses.replace(
            element,
            overrides=tuple(folder for folder in element.overrides if folder.parent != shipped),
        )
        for element in elements
    )


class State:
    """The states of a build in its record."""

    UNFINISHED = "unfinished"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A request with its plan, ready to be carried out step by step.

    `planner` can plan again once the hooks inside the target are known for certain (`settled`).
    """

    id: str
    request: BuildRequest
    definition: ResolvedDefinition
    sources: Sources
    tokens: Mapping[str, str]
    planner: Planner
    executor: Executor
    store: LayerStore
    _settled: list[Build] = dataclasses.field(default_factory=list, compare=False, repr=False)
    """The answer of `settled`, once it is final."""

    @property
    def plan(self) -> Plan:
        """The plan of this build."""
        return self.executor.plan

    @property
    def journal(self) -> Journal:
        """The journal of this build."""
        return self.executor.journal

    def stem(self) -> Path:
        """Give the absolute path of the outputs, without their extension."""
        return self.request.folder / self.definition.name

    def output_path(self, kind: str) -> Path:
        """Give the absolute path of an output."""
        stem = self.stem()
        return stem.with_name(f"{stem.name}.{FORMATS[kind].extension}")

    def record(self) -> dict[str, Any]:
        """Give the build's record as it is in the store now; empty if there is none."""
        return self.store.read(RecordKind.BUILD, self.id) or {}

    def begin(self) -> None:
        """Pin the plan: from now on the build is unfinished, and asking again goes on with it."""
        paths = self.executor.surroundings.paths
        for folder in (paths.image_cache, paths.lock_files):
            Path(folder).mkdir(parents=True, exist_ok=True)
        known = self.record()
        plan = self.plan.to_json()
        if known.get("state") == State.UNFINISHED and known.get("plan") == plan:
            return
        self._write(
            {
                "id": self.id,
                "state": State.UNFINISHED,
                "name": self.definition.name,
                "folder": str(self.request.folder),
                "definition": dataclasses.asdict(self.request.definition),
                "tokens": dict(self.tokens),
                "plan": plan,
                "user": self._named_by_steps(),
                "outputs": known.get("outputs", {}),
                "started": known.get("started")
                if known.get("state") == State.UNFINISHED
                else _now(),
            }
        )

    def _named_by_steps(self) -> dict[str, str]:
        """Give the caller's variables that steps name: enough to open a sandbox again.

        The rest of the caller's environment is not kept: it may hold secrets.
        """
        named = {name for step in self.plan.steps for name, _ in step.variables}
        user = self.request.environment
        return {name: user[name] for name in sorted({*named, "ELEMENTS_PATH"} & user.keys())}

    def _write(self, value: Mapping[str, Any]) -> None:
        self.store.write(RecordKind.BUILD, self.id, value)

    def stage_tree(self) -> None:
        """Put the hooks tree into the store; nothing to do if it is there."""
        stage_tree(self.store, self.sources.tree, self.sources.digest)

    def tree_layer(self) -> str | None:
        """Give the layer of the hooks tree; None if the store has it not yet."""
        return staged_tree(self.store, self.sources.digest)

    def settled(self) -> Build:
        """Give the build with the plan that holds once the hooks inside the target are known.

        That is this build itself, unless extra-data.d has made other hooks than were expected.
        """
        if self._settled:
            return self._settled[0]
        record = self.store.finished(self._settling.key)
        if record is None:
            return self
        self._settled.append(self._with_hooks_of(record))
        return self._settled[0]

    def is_dropped(self, step: Step) -> bool:
        """Tell whether extra-data.d has taken `step` out of the plan, by changing the hooks."""
        return step.number > self._settling.number and not self.settled().has(step)

    @property
    def _settling(self) -> Step:
        return self.plan.act(SETTLE_HOOKS)

    def _with_hooks_of(self, record: StepRecord) -> Build:
        if self.planner.listing(record.data) == self.planner.listing():
            return self
        plan = self.planner.plan(settled=record.data)
        if plan == self.plan:
            return self
        return dataclasses.replace(self, executor=self.executor.with_plan(plan), _settled=[])

    def has(self, step: Step) -> bool:
        """Tell whether `step` belongs to this build's plan."""
        return step in self.plan

    def output(self, kind: str) -> OutputFile | None:
        """Give the output of a type as it was last written; None if that is not what is there."""
        step = next((step for step in self.plan.outputs if step.name == kind), None)
        entry = self.record().get("outputs", {}).get(kind)
        if step is None or entry is None or entry["key"] != step.key:
            return None
        file = OutputFile(Path(entry["path"]), entry["size"], entry["mtime_ns"], entry["sha256"])
        return file if file.path == self.output_path(kind) and file.is_there() else None

    def note_output(self, kind: str, key: str, file: OutputFile) -> None:
        """Add a finished output to the build's record, whichever others are being made."""
        with key_lock(self.store.root / "locks", f"build-{self.id}", on_wait=lambda _: None):
            record = self.record()
            outputs = {**record.get("outputs", {})}
            outputs[kind] = {
                "key": key,
                "path": str(file.path),
                "size": file.size,
                "mtime_ns": file.mtime_ns,
                "sha256": file.sha256,
            }
            self._write({**record, "outputs": outputs})

    def is_finished(self) -> bool:
        """Tell whether the last run of this build ended well and nothing has changed since."""
        if self.record().get("state") != State.FINISHED:
            return False
        beside = self.record().get("report", {}).get("artifacts", ())
        return all(self.output(kind) is not None for kind in self.definition.types) and all(
            os.path.lexists(self.stem().parent / name) for name in beside
        )

    def finish(self, report: Mapping[str, Any]) -> None:
        """Mark the build finished, with what `dibflow.engine.report` found out."""
        self._write({**self.record(), "state": State.FINISHED, "report": dict(report)})


def prepare(
    request: BuildRequest,
    *,
    store: LayerStore,
    sandbox: Sandbox,
    clock: Clock,
    shelf: Shelf | None = None,
    look_only: bool = False,
) -> Build:
    """Plan what was asked for, against what the store knows of earlier builds.

    `shelf` must offer the elements of the request's own ``ELEMENTS_PATH``; without one they are
    read anew. With `look_only` nothing is written or run: elements that would be asked for a
    fingerprint count as unchanged since they were last asked. Raises every error of planning; of
    the machine only what the fingerprints need, and HostError for a program that disk or outputs
    need.
    """
    definition = resolve(request.definition, request.environment)
    environment = {**request.environment, **definition.variables}
    if shelf is None:
        shelf = Shelf.of(environment)
    sources = read_sources(definition, environment, shelf=shelf)
    paths = host_paths(definition, sources.elements, environment, store=store.root)
    layout = read_layout(definition, sources.elements, environment, folder=request.folder)
    engine = engine_variables(definition, sources.elements, environment, paths, layout=layout)
    if definition.ramdisk or any(element.name == NO_FINAL_IMAGE for element in sources.elements):
        definition = definition.without_outputs()
    known = store.read(RecordKind.BUILD, request.identity) or {}
    if known.get("state") == State.UNFINISHED and not request.refresh:
        tokens = dict(known["tokens"])
    else:

        def ask(element: Element) -> str:
            layer = stage_tree(store, sources.tree, sources.digest)
            asker = FingerprintAsker(
                store=store, sandbox=sandbox, tree_layer=layer, engine=engine, paths=paths
            )
            return asker.ask(element)

        freshness = Freshness(
            tokens=_Tokens(store, read_only=look_only),
            clock=clock,
            ask=ask,
            refresh=request.refresh,
            offline=definition.offline or look_only,
        )
        rooted = frozenset(hook.element for hook in sources.tree.hooks(Phase.ROOT))
        tokens = dict(freshness.of(sources.elements, root=rooted))
    expected = predict_install_types(
        sources.tree, {**engine, "DIB_DEFAULT_INSTALLTYPE": definition.install_type}
    )
    planner = Planner(
        definition=definition,
        elements=sources.elements,
        tree=expected,
        tree_digest=sources.digest,
        inputs=TreeInputs(
            expected,
            sources.elements,
            library=resources.library_directory(),
            texts=shelf.texts,
        ).of,
        engine=engine,
        paths=paths,
        fingerprints=tokens,
        host_files=functools.partial(host_files, folder=request.folder),
        layout=layout,
        warnings=warnings_of(sources, names=hook_name_pattern(engine)),
    )
    if not look_only and known.get("state") != State.FINISHED:
        check_programs(
            definition.types,
            disk_programs(layout, layered=planner.on_disk)
            if planner.on_disk or needs_disk(definition.types)
            else (),
            is_there=lambda name: shutil.which(name) is not None,
        )
    journal = Journal(store.root / "builds" / f"{request.identity}.journal")
    build = Build(
        id=request.identity,
        request=request,
        definition=definition,
        sources=sources,
        tokens=tokens,
        planner=planner,
        executor=Executor(
            surroundings=Surroundings(
                plan=planner.plan(),
                definition=definition,
                store=store,
                engine=engine,
                paths=paths,
                folder=str(request.folder),
                layout=layout,
                strict=request.strict_inputs,
            ),
            sandbox=sandbox,
            journal=journal,
        ),
        store=store,
    )
    return build.settled()


def asked_before(
    record: Mapping[str, Any], *, store: Path, environment: Mapping[str, str]
) -> BuildRequest:
    """Give the request of a build's record, with what it kept of the environment of then."""
    definition = record["definition"]
    return BuildRequest(
        definition=ImageDefinition(
            **{
                **definition,
                "elements": tuple(definition["elements"]),
                "types": tuple(definition["types"]),
                "packages": tuple(definition["packages"]),
                "environment": tuple((name, value) for name, value in definition["environment"]),
            }
        ),
        store=store,
        folder=Path(record["folder"]),
        environment={**environment, **record["user"]},
    )


def host_paths(
    definition: ResolvedDefinition,
    elements: Sequence[Element],
    environment: Mapping[str, str],
    *,
    store: Path,
) -> HostPaths:
    """Say where this machine keeps what hooks ask for; `elements` are those of `read_sources`."""
    shipped = resources.elements_directory()
    folders = [folder for folder in environment.get("ELEMENTS_PATH", "").split(":") if folder]
    if any(element.path.parent == shipped for element in elements):
        folders.append(str(shipped))
    return HostPaths(
        build_folder=BUILD_FOLDER,
        library=str(resources.library_directory()),
        python=environment.get("DIB_PYTHON_EXEC") or sys.executable,
        image_cache=definition.image_cache or str(store / "cache"),
        lock_files=environment.get("DIB_LOCKFILES") or str(store / "cache" / "lockfiles"),
        elements_path=":".join(folders),
        tools=str(resources.tools_directory()),
    )


def warnings_of(sources: Sources, *, names: re.Pattern[str]) -> tuple[str, ...]:
    """Tell what DIB passes over in silence: overridden elements, hooks that will not run."""
    found = [
        f'element "{element.name}" of {element.path} hides that of {overridden}'
        for element in sources.elements
        for overridden in element.overrides
    ]
    for phase in Phase:
        found += [
            f'"{ignored.file.path}" of element "{ignored.file.element}" will not run: '
            f"{ignored.reason.value}"
            for ignored in sources.tree.ignored(phase, names=names)
            if ignored.reason is not Reason.DATA
        ]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Tokens:
    """Tokens of freshness, kept as records of the store."""

    store: LayerStore
    read_only: bool = False

    def token(self, element: str) -> Token | None:
        """Give the token last used; None if there is none."""
        value = self.store.read(RecordKind.FRESHNESS, element)
        try:
            return Token(**value) if value else None
        except TypeError:
            return None

    def keep(self, element: str, token: Token) -> None:
        """Keep a token for later builds."""
        if not self.read_only:
            self.store.write(RecordKind.FRESHNESS, element, dataclasses.asdict(token))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
