"""What a step finds when it runs: variables, layers, mounts, the disk, and what is started.

Everything here describes; `dibflow.engine.executor` carries it out. The one effect is that a step
over the disk gets a new file for what it will change.
"""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dibflow.blockdevice.graph import DeviceGraph
from dibflow.engine import acts, caches, resolver
from dibflow.engine.disks import Disks
from dibflow.errors import StepError
from dibflow.linux import MountFlag
from dibflow.planning.breaks import AfterError
from dibflow.planning.hooks import FETCH_DIRECTORY
from dibflow.planning.phases import Phase
from dibflow.planning.plan import Plan, Step, StepKind
from dibflow.planning.planner import (
    CLEAN_UP,
    FETCH,
    FINISH_ROOT,
    MAKE_DISK,
    PREPARE_ROOT,
    RUN_INSIDE,
    SETTLE_HOOKS,
)
from dibflow.planning.resolve import ResolvedDefinition
from dibflow.planning.variables import (
    HOST_ONLY,
    IN_TARGET,
    SCRATCH,
    TARGET,
    TREE,
    HostPaths,
    phase_variables,
)
from dibflow.sandbox import mountinfo
from dibflow.sandbox.mountinfo import HookMount
from dibflow.sandbox.spec import (
    Act,
    Mount,
    Program,
    Remade,
    SandboxSpec,
    bind,
    hook_mount_again,
    overlay,
    read_only_bind,
)
from dibflow.store.records import StepRecord
from dibflow.store.store import LayerStore, RecordKind, Staging

ENDS_MOUNTS = frozenset({FINISH_ROOT, CLEAN_UP})
"""Acts before which every mount of a hook is taken down, for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the steps of one image find.

    `engine` is the environment of `engine_variables`; `folder` the caller's current folder, which
    is that of the hooks outside the target. `strict` hides from a hook every variable that is
    neither in its key nor the machine's own: what a hook needs and its text does not name is then
    missing, and not just missed.
    """

    plan: Plan
    definition: ResolvedDefinition
    store: LayerStore
    engine: Mapping[str, str]
    paths: HostPaths
    folder: str
    layout: DeviceGraph
    strict: bool = False

    @property
    def target(self) -> str:
        """Give where steps see the image's root."""
        return f"{self.paths.build_folder}/{TARGET}"

    @property
    def disks(self) -> Disks:
        """Give the image's disk."""
        return Disks(
            plan=self.plan,
            definition=self.definition,
            store=self.store,
            layout=self.layout,
            target=self.target,
        )

    @property
    def mount_points(self) -> tuple[str, ...]:
        """Give where the image's filesystems are mounted, parents first."""
        return tuple(mount.mount_point for mount in self.layout.mounts)

    def record_before(self, step: Step) -> StepRecord | None:
        """Give the record of the step that `step` builds on; StepError if that is not done."""
        earlier = self.plan.before(step)
        if earlier is None:
            return None
        record = self.store.finished(earlier.key)
        if record is None:
            raise StepError(
                f'running {step.title}: the step before it, {earlier.title}, is not in the store "'
                f'{self.store.root}"',
                hint="give the same command again: it makes what is missing",
            )
        return record

    def phase_environment(self, step: Step) -> dict[str, str]:
        """Give the environment that the phase of `step` starts from, before ``environment.d``."""
        if step.phase is None:
            # Acts that run a program do so inside the target, as `install-packages` does.
            return phase_variables(Phase.INSTALL, self.engine, self.paths)
        variables = phase_variables(step.phase, self.engine, self.paths)
        if step.phase >= Phase.BLOCK_DEVICE:
            variables["DIB_IMAGE_SIZE"] = str(self.disks.geometry().size_bytes // 1024)
        return variables

    def environment(self, step: Step) -> dict[str, str]:
        """Give the environment of `step`'s program: the phase's, as ``environment.d`` left it."""
        variables = self.phase_environment(step)
        if step.kind is StepKind.ENVIRONMENT and step.phase and not step.phase.inside:
            # A file that environment.d makes with mktemp must be there for every hook of the phase,
            # in a later run too: so it is made in the layers, and hooks are given its path.
            variables["TMPDIR"] = f"{self.paths.build_folder}/{SCRATCH}"
        if step.kind is not StepKind.HOOK:
            return variables
        assert step.phase is not None  # noqa: S101 - hooks have one
        record = self.store.finished(self.plan.environment(step.phase).key)
        for name, value in (record.environment if record else {}).items():
            if value is None:
                variables.pop(name, None)
            else:
                variables[name] = value
        if self.strict:
            shown = {*step.names.of(variables, without=HOST_ONLY), *HOST_ONLY, "LC_ALL"}
            variables = {name: value for name, value in variables.items() if name in shown}
        return variables

    def lowers(self, stack: Sequence[str]) -> tuple[Path, ...]:
        """Give the folders to mount for a stack, top first, the hooks tree as the base.

        The hooks tree is in no key: what a step takes from it is among its named inputs.
        """
        base = self.store.read(RecordKind.CONTENT, tree_record(self.plan.tree))
        if base is None:
            raise StepError("mounting the layers: the hooks tree is not in the store")
        return (*self.store.lowers(stack), *self.store.lowers([base["layer"]]))

    def spec(
        self,
        step: Step,
        before: StepRecord | None,
        environment: Mapping[str, str],
        lowers: Sequence[Path],
        staging: Staging,
        *,
        log: Path | None,
    ) -> SandboxSpec:
        """Describe the sandbox of `step`: what it shows and what it starts."""
        root = self.store.root
        build = self.paths.build_folder
        mounts = before.mounts if before and step.name not in ENDS_MOUNTS else ()
        disk = self.disks.over(step, before, staging)
        disk_act = self.disks.act(step, before, staging)
        content = resolver.host_content()
        shows = sees_resolver(step)
        hides = shows and disk is not None
        return SandboxSpec(
            start=root,
            root=shown_stack(root, lowers, staging, build),
            program=Act(disk_act) if disk_act else self.program(step, environment),
            log=log,
            disk=disk,
            prepare=functools.partial(resolver.show, content=content) if shows else None,
            finish=functools.partial(resolver.hide, content=content) if hides else None,
            hook_mounts=tuple(
                self._again(HookMount(**mount), staging, number)
                for number, mount in enumerate(mounts)
            ),
            kernel=kernel_mounts(step, build),
            build_folder=build,
        )

    def _again(self, record: HookMount, staging: Staging, number: int) -> Remade:
        """Describe how to make a hook's mount again; a shared cache is shown through an overlay."""
        build = self.paths.build_folder
        if caches.is_shared(record, self.paths.image_cache):
            return caches.shown(record, caches.folder(staging, number), build_folder=build)
        return hook_mount_again(record, build_folder=build)

    def _act(self, step: Step) -> Callable[[Path], object] | None:
        """Give what the engine itself does in `step`; None where a program runs."""
        parameters = dict(step.parameters)
        mount_points = self.mount_points
        if step.name == PREPARE_ROOT:
            install_type = parameters["install_type"]
            return functools.partial(acts.prepare_root, install_type=install_type)
        if step.name == SETTLE_HOOKS:
            return acts.settle_hooks
        if step.name == FINISH_ROOT:
            fstab = parameters["fstab"]
            return functools.partial(acts.finish_root, fstab=fstab, mount_points=mount_points)
        if step.name == CLEAN_UP and self.plan.has_act(MAKE_DISK):
            return functools.partial(acts.clean_disk, mount_points=mount_points)
        return acts.clean_up if step.name == CLEAN_UP else None

    def program(self, step: Step, environment: Mapping[str, str]) -> Program | Act:
        """Give what is started: a hook, the evaluation of environment.d, or an act of ours."""
        act = self._act(step)
        if act is not None:
            return Act(act)
        build = self.paths.build_folder
        target = self.target
        if step.name in RUN_INSIDE:
            ((_, words),) = step.parameters
            script = _FETCHING if step.name == FETCH else 'exec install-packages "$@"'
            command = ("/bin/bash", "-c", script, "bash", *words.split())
            return Program(command, environment, root=target)
        assert step.phase is not None  # noqa: S101 - hooks and environments have one
        inside = step.phase.inside
        tree = IN_TARGET if inside else f"{build}/{TREE}"
        if step.kind is StepKind.HOOK:
            arguments: tuple[str, ...] = (f"{tree}/{step.phase.directory}/{step.name}",)
        else:
            script = f"{evaluation(tree)}exec cat /proc/self/environ >&3"
            arguments = ("/bin/bash", "-c", script)
        return Program(
            arguments,
            environment,
            folder="/" if inside else self.folder,
            root=target if inside else "/",
        )

    def shell(
        self, command: str | None, environment: Mapping[str, str], *, inside: bool
    ) -> Program:
        """Give bash, for a person, or running `command`; `inside` has the image's root as root."""
        arguments = ("/bin/bash", "-c", command) if command is not None else ("/bin/bash", "-i")
        return Program(
            arguments,
            {**environment, "TERM": os.environ.get("TERM", "dumb")},
            folder="/" if inside else self.folder,
            root=self.target if inside else "/",
        )

    def after_error(self, step: Step, wanted: AfterError) -> Program:
        """Give what runs in the sandbox of `step` once its program has failed."""
        in_target = step.phase is None or step.phase.inside
        inside = in_target and not wanted.outside
        environment = (
            phase_variables(Phase.POST_ROOT, self.engine, self.paths)
            if in_target and not inside
            else self.environment(step)
        )
        return self.shell(wanted.command, environment, inside=inside)

    def command(self, step: Step) -> str:
        """Give the path by which the program of `step` is started; empty for an act."""
        program = self.program(step, {})
        if step.kind is StepKind.HOOK and isinstance(program, Program):
            return program.arguments[0]
        return ""


def shown_stack(store: Path, lowers: Sequence[Path], staging: Staging, target: str) -> Mount:
    """Describe the overlay that shows `lowers` (top first) with changes going to `staging`."""
    return overlay(
        lowers=[str(lower.relative_to(store)) for lower in lowers],
        upper=str(staging.diff.relative_to(store)),
        work=str(staging.work.relative_to(store)),
        target=target,
    )


def tree_record(tree: str) -> str:
    """Name the record that says which layer holds a merged hooks tree."""
    return f"tree-{tree}"


def evaluation(tree: str) -> str:
    """Give the bash script that sources ``environment.d`` in byte order.

    The list is taken when it runs: hooks and the engine add files to it during a build.
    """
    folder = shlex.quote(f"{tree}/environment.d")
    return f"""set -ue -o pipefail
[[ ${{DIB_DEBUG_TRACE:-0}} == 0 ]] || set -x
for _dibflow_file in {folder}/*; do
    if [[ -f ${{_dibflow_file}} && ${{_dibflow_file##*/}} =~ ^[0-9A-Za-z_.-]+$ ]]; then
        source "${{_dibflow_file}}"
    fi
done
"""


_FETCHING = f"""{evaluation(IN_TARGET)}for _dibflow_name in "$@"; do
    {IN_TARGET}/{FETCH_DIRECTORY}/"${{_dibflow_name}}" ||
        echo "dibflow: ${{_dibflow_name}} ended with status $?; the build goes on without it"
done
"""
"""The bash script that runs the programs of ``fetch.d`` named by its arguments.

One that fails keeps no hook from running: what is not in the caches then is fetched later.
"""


def kernel_mounts(step: Step, build: str) -> tuple[Mount, ...]:
    """Describe what the kernel shows in the target while `step` runs; none for most acts.

    The target has its own devpts, with the options of the host's, and sysfs read-only, by which
    packages tell that they are not on a running machine.
    """
    program = step.phase is not None or step.name in RUN_INSIDE
    if not program or step.phase is Phase.ROOT:
        return ()
    target = f"{build}/{TARGET}"
    mounts = [
        Mount("proc", "proc", f"{target}/proc"),
        bind("/dev", f"{target}/dev"),
        Mount("devpts", "devpts", f"{target}/dev/pts", options=_devpts_options()),
        Mount("sysfs", "sysfs", f"{target}/sys", MountFlag.RDONLY),
    ]
    if step.name == FETCH or (step.phase is not None and step.phase.inside):
        mounts += read_only_bind(f"{build}/{TREE}", f"{target}{IN_TARGET}")
    return tuple(mounts)


def _devpts_options() -> str:
    table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    likely = "\n".join(line for line in table.splitlines() if " /dev/pts " in line)
    for entry in mountinfo.parse(likely):
        if entry.mount_point == "/dev/pts" and entry.fstype == "devpts":
            options = [
                option for option in entry.super_options.split(",") if option not in {"rw", "ro"}
            ]
            return ",".join(options)
    return "mode=600,ptmxmode=000"


def sees_resolver(step: Step) -> bool:
    """Tell whether a program runs in `step`; the engine's acts handle the placeholder itself."""
    return step.kind is not StepKind.ACT or step.name in RUN_INSIDE
