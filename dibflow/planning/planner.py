"""Turn elements, a definition and an environment into a `Plan`.

The chain of one image, each line a step (or, for hooks, one step each)::

    root.d          environment, hooks
                    prepare-root      resolv.conf, mount points, mkinitramfs, default install type
    extra-data.d    environment, hooks
                    settle-hooks      from here on no hook can add another one: which are there?
                    fetch             fills caches, beside the hooks until install.d begins
    pre-install.d   environment, hooks        (inside the target, like the next ones)
    install.d       environment, hooks
                    extra-packages    if any were asked for
    post-install.d  environment, hooks
    post-root.d     environment, hooks
                    finish-root       fstab, mount points, what each filesystem is to hold
    block-device.d  environment, hooks
                    make-disk         partitions and filesystems       (only where hooks need a
                    copy-in           the tree in them                  disk: `Planner.on_disk`)
    pre-finalise.d, finalise.d, cleanup.d   environment, hooks
                    clean-up          resolv.conf back, /tmp and logs empty
    disk            the tree as a disk, if there is none yet and a type needs it
    one output for each type, side by side
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dibflow.blockdevice.graph import DeviceGraph
from dibflow.digest import digest_of_file
from dibflow.errors import UsageError
from dibflow.planning.element import Element
from dibflow.planning.formats import (
    FORMATS,
    Format,
    MadeFrom,
    check_epoch,
    needs_disk,
    wanted_checksums,
)
from dibflow.planning.hooks import FETCH_DIRECTORY, HookTree
from dibflow.planning.ordering import hook_name_pattern
from dibflow.planning.phases import Phase
from dibflow.planning.plan import Names, Plan, Step, StepKind
from dibflow.planning.resolve import ResolvedDefinition
from dibflow.planning.sizes import disk_wish
from dibflow.planning.variables import HOST_ONLY, OF_CALLER, HostPaths, phase_variables
from dibflow.resources import initramfs_functions

ENVIRONMENT = "environment"
PREPARE_ROOT = "prepare-root"
SETTLE_HOOKS = "settle-hooks"
FETCH = "fetch"
EXTRA_PACKAGES = "extra-packages"
FINISH_ROOT = "finish-root"
MAKE_DISK = "make-disk"
COPY_IN = "copy-in"
CLEAN_UP = "clean-up"
DISK = "disk"

RUN_INSIDE = frozenset({FETCH, EXTRA_PACKAGES})
"""The acts that run programs inside the target, as hooks do."""

_BLOCK_DEVICES = frozenset({"IMAGE_BLOCK_DEVICE", "IMAGE_BLOCK_DEVICES"})

Listing = Mapping[str, Sequence[Sequence[str]]]
"""What `settle-hooks` found: for each phase its hooks, in order, as (name, digest of the file)."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a file of the hooks tree may read: files as (path, digest), itself first, and names."""

    files: tuple[tuple[str, str], ...]
    names: Names


@dataclass(frozen=True, kw_only=True)
class Planner:
    """Makes plans of one image.

    `inputs` gives the named inputs of a file of the hooks tree. `engine` is the environment of
    `engine_variables`. `fingerprints` are tokens by element. `tree` is the hooks tree as it is
    expected after extra-data.d, with the links of install types. `host_files` gives what stands in
    a key for those of some values that are files of the host.
    """

    definition: ResolvedDefinition
    elements: Sequence[Element]
    tree: HookTree
    tree_digest: str
    inputs: Callable[[str], Inputs]
    engine: Mapping[str, str]
    paths: HostPaths
    fingerprints: Mapping[str, str]
    host_files: Callable[[Sequence[str]], tuple[tuple[str, str], ...]]
    layout: DeviceGraph
    warnings: tuple[str, ...] = ()

    @functools.cached_property
    def on_disk(self) -> bool:
        """Tell whether the last phases run over the disk, and not over layers.

        A partitioned disk needs that, and so does a hook that names the image's block devices. Any
        other filesystem but ext is filled by mounting it, which only the disk's steps do.
        """
        if not self.layout.is_plain or not self.layout.root_fstype.startswith("ext"):
            return True
        phases = (Phase.PRE_FINALISE, Phase.FINALISE, Phase.CLEANUP)
        return any(
            _BLOCK_DEVICES.intersection(self.inputs(f"{phase.directory}/{hook.name}").names.exact)
            for phase in phases
            for hook in self.tree.hooks(phase, names=hook_name_pattern(self.engine))
        )

    def plan(self, settled: Listing | None = None) -> Plan:
        """Give the plan; with `settled`, the hooks inside the target are those it lists."""
        steps = tuple(self._steps(settled))
        return Plan(
            name=self.definition.name,
            arch=self.definition.arch,
            elements=tuple(element.name for element in self.elements),
            types=self.definition.types,
            tree=self.tree_digest,
            steps=steps,
            warnings=self.warnings,
        )

    def _steps(self, settled: Listing | None) -> Iterator[Step]:
        chain = _Chain()
        fetched: tuple[str, ...] = ()
        for phase in Phase:
            if phase is Phase.PRE_INSTALL:
                yield chain.look(SETTLE_HOOKS, tree=self.tree_digest)
                fetch = self._fetch()
                if fetch is not None:
                    placed = chain.beside(fetch)
                    fetched = (placed.key,)
                    yield placed
            elif phase is Phase.BLOCK_DEVICE:
                mount_points = " ".join(mount.mount_point for mount in self.layout.mounts)
                yield chain.act(FINISH_ROOT, fstab=self.layout.fstab, mount_points=mount_points)
            elif phase is Phase.PRE_FINALISE and self.on_disk:
                yield chain.act(MAKE_DISK, **self._disk())
                yield chain.act(COPY_IN)
            # Later steps do not wait for it: if install.d is done, nothing has to be fetched.
            waits_for = fetched if phase is Phase.INSTALL else ()
            hooks = self._hooks(phase, settled)
            if hooks:
                yield chain.add(self._environment(phase), waits_for)
            for name, added in hooks:
                yield chain.add(self._hook(phase, name, added), waits_for)
            if phase is Phase.ROOT:
                yield chain.act(
                    PREPARE_ROOT,
                    install_type=self.definition.install_type,
                    initramfs=digest_of_file(initramfs_functions()),
                )
            elif phase is Phase.INSTALL and self.definition.packages:
                packages = " ".join(self.definition.packages)
                yield chain.act(EXTRA_PACKAGES, packages=packages)
        yield chain.act(CLEAN_UP)
        yield from self._outputs(chain)

    def _hooks(self, phase: Phase, settled: Listing | None) -> list[tuple[str, str]]:
        """Give the hooks of a phase as (name, digest), the digest empty for one that is planned."""
        names = hook_name_pattern(self.engine)
        planned = [hook.name for hook in self.tree.hooks(phase, names=names)]
        if settled is None or phase in {Phase.ROOT, Phase.EXTRA_DATA}:
            return [(name, "") for name in planned]
        return [
            (name, "" if name in planned else digest)
            for name, digest in settled.get(phase.value, ())
            if names.search(name)
        ]

    def listing(self, settled: Listing | None = None) -> dict[str, list[str]]:
        """Give the hooks after extra-data.d by phase: those expected, or those of `settled`."""
        expected = {}
        for phase in Phase:
            if phase in {Phase.ROOT, Phase.EXTRA_DATA}:
                continue
            names = [name for name, _ in self._hooks(phase, settled)]
            if names:
                expected[phase.value] = names
        return expected

    def _environment(self, phase: Phase) -> Step:
        inputs = self._joint_inputs()
        of_caller = {
            name: value for name, value in self._environments[phase].items() if name in OF_CALLER
        }
        named = inputs.names.of(of_caller, without=frozenset())
        parameters = tuple(sorted(named.items()))
        return self._step(StepKind.ENVIRONMENT, phase, ENVIRONMENT, inputs, parameters=parameters)

    def _fetch(self) -> Step | None:
        """Give the act that runs the programs of ``fetch.d``; None without any, or offline."""
        programs = self.tree.fetchers(names=hook_name_pattern(self.engine))
        if not programs or self.definition.offline:
            return None
        inputs = self._joint_inputs(f"{FETCH_DIRECTORY}/{name}" for name in programs)
        parameters = (("programs", " ".join(programs)),)
        return self._step(StepKind.ACT, None, FETCH, inputs, parameters=parameters)

    def _joint_inputs(self, paths: Iterable[str] = ()) -> Inputs:
        """Give what ``environment.d`` and some files more of the hooks tree read together."""
        every = (*(file.path for file in self.tree.environment_files()), *paths)
        found = [self.inputs(path) for path in every]
        files = {file for inputs in found for file in inputs.files}
        return Inputs(tuple(sorted(files)), Names.union(inputs.names for inputs in found))

    def _hook(self, phase: Phase, name: str, digest: str) -> Step:
        path = f"{phase.directory}/{name}"
        if digest:
            # A hook made by an earlier hook: its text is not known here, so it may read anything.
            inputs = Inputs(((path, digest),), Names(everything=True))
            return self._step(StepKind.HOOK, phase, name, inputs)
        file = self.tree.file(path)
        element = file.element if file else ""
        return self._step(StepKind.HOOK, phase, name, self.inputs(path), element=element)

    def _step(
        self,
        kind: StepKind,
        phase: Phase | None,
        name: str,
        inputs: Inputs,
        *,
        element: str = "",
        parameters: tuple[tuple[str, str], ...] = (),
    ) -> Step:
        """Give a step that runs a program with some inputs; an act runs it as install.d would."""
        variables = self._values(phase or Phase.INSTALL, inputs.names)
        return Step(
            number=0,
            kind=kind,
            phase=phase,
            name=name,
            element=element,
            files=(*inputs.files, *self._host_files(variables)),
            variables=variables,
            names=inputs.names,
            fingerprint=self.fingerprints.get(element, ""),
            parameters=parameters,
        )

    def _values(self, phase: Phase, names: Names) -> tuple[tuple[str, str], ...]:
        return tuple(sorted(names.of(self._environments[phase], without=HOST_ONLY).items()))

    @functools.cached_property
    def _environments(self) -> Mapping[Phase, Mapping[str, str]]:
        return {phase: phase_variables(phase, self.engine, self.paths) for phase in Phase}

    def _host_files(self, variables: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        return self.host_files([value for _, value in variables])

    def _disk(self) -> dict[str, str]:
        """Give what the bytes of the disk depend on, but for the tree."""
        return {"layout": repr(self.layout), "wish": repr(disk_wish(self.definition))}

    def _outputs(self, chain: _Chain) -> Iterator[Step]:
        tree = chain.last
        disk = tree
        if not self.on_disk and needs_disk(self.definition.types):
            step = chain.output(DISK, tree, files=(), **self._disk())
            disk = step.key
            yield step
        for kind in self.definition.types:
            made = FORMATS[kind]
            after = disk if made.made_from is MadeFrom.DISK else tree
            options, files = self._options(made)
            yield chain.output(kind, after, files=files, **options)

    def _options(self, made: Format) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
        """Give the options of a type that are set, and the files of the host among them."""
        definition, engine = self.definition, self.engine
        manifest = engine.get("ACI_MANIFEST", "")
        values = {
            "aci-manifest": manifest if "/" in manifest or not manifest else f"./{manifest}",
            "architecture": definition.arch,
            "compressed": "" if definition.uncompressed else "yes",
            "docker-target": definition.docker_target or "",
            "epoch": check_epoch(engine.get("SOURCE_DATE_EPOCH", "")),
            "gzip": engine.get("DIB_GZIP_BIN", ""),
            "image-name": definition.name.rpartition("/")[2],
            "qemu-img-options": definition.qemu_img_options,
        }
        options = {name: values[name] for name in made.options if values[name]}
        checksums = wanted_checksums(engine.get("DIB_CHECKSUM", ""))
        if checksums and not made.folder:
            options["checksums"] = ",".join(checksums)
        files: tuple[tuple[str, str], ...] = ()
        if named := options.get("aci-manifest"):
            files = self.host_files([named])
            if not files:
                raise UsageError(
                    f'the variable ACI_MANIFEST names "{manifest}", which is no file that can be '
                    "read",
                    hint="leave it out for a manifest with nothing but a name and an architecture",
                )
        return options, files


@dataclass(slots=True)
class _Chain:
    """Numbers steps and links each to the one before it while a plan is made."""

    last: str = ""
    count: int = 0
    looks: tuple[str, ...] = ()

    def add(self, step: Step, waits_for: tuple[str, ...] = ()) -> Step:
        """Give `step` with its number and predecessor; it becomes the end of the chain.

        `waits_for` are keys of steps beside the chain that it waits for.
        """
        placed = self._placed(step, self.last, waits_for)
        self.last = placed.key
        return placed

    def look(self, name: str, **parameters: str) -> Step:
        """Give an act that changes nothing: steps after it wait for it, but build on the last one.

        What it looks at (the hooks tree) may change without a change for the steps that follow. All
        of them wait, because those in between may be done already.
        """
        placed = self.beside(_act(name, parameters))
        self.looks = (*self.looks, placed.key)
        return placed

    def beside(self, step: Step) -> Step:
        """Give an act that changes nothing and that only those steps wait for that say so."""
        return self._placed(step, self.last)

    def act(self, name: str, **parameters: str) -> Step:
        """Give an act of the engine as the new end of the chain."""
        return self.add(_act(name, parameters))

    def output(
        self,
        name: str,
        after: str,
        *,
        files: tuple[tuple[str, str], ...] = (),
        **parameters: str,
    ) -> Step:
        """Give a step beside the chain, built on the step with key `after`."""
        step = Step(
            number=0,
            kind=StepKind.OUTPUT,
            phase=None,
            name=name,
            files=files,
            parameters=tuple(sorted(parameters.items())),
        )
        return self._placed(step, after)

    def _placed(self, step: Step, after: str, waits_for: tuple[str, ...] = ()) -> Step:
        self.count += 1
        return replace(
            step,
            number=self.count,
            after=(after,) if after else (),
            waits_for=(*self.looks, *waits_for),
        )


def _act(name: str, parameters: Mapping[str, str]) -> Step:
    return Step(
        number=0,
        kind=StepKind.ACT,
        phase=None,
        name=name,
        parameters=tuple(sorted(parameters.items())),
    )
