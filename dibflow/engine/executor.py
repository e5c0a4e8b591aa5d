"""Carry out one step of a plan: look for it in the store, else run it and commit what it changed.

The order of things is what makes a build resumable: a step's record is written last, when its layer
is durable, so that a record never promises more than there is. A step that fails or is interrupted
leaves nothing but its log: the next try starts from a clean copy of what the step found.
"""

from __future__ import annotations

import functools
import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from dibflow.blockdevice.geometry import Geometry, Usage, lay_out
from dibflow.blockdevice.graph import DeviceGraph
from dibflow.commands import run
from dibflow.engine import acts, caches, makedisk
from dibflow.engine.failure import hook_failed
from dibflow.engine.journal import Happening, Journal
from dibflow.engine.makedisk import DiskPlan
from dibflow.errors import DibflowError, StepError, StoreFull
from dibflow.linux import MountFlag
from dibflow.planning.hostfiles import host_files
from dibflow.planning.phases import Phase
from dibflow.planning.plan import Plan, Step, StepKind
from dibflow.planning.planner import (
    CLEAN_UP,
    COPY_IN,
    EXTRA_PACKAGES,
    FINISH_ROOT,
    MAKE_DISK,
    PREPARE_ROOT,
    SETTLE_HOOKS,
)
from dibflow.planning.resolve import ResolvedDefinition
from dibflow.planning.sizes import disk_wish
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
from dibflow.sandbox.run import Sandbox
from dibflow.sandbox.spec import (
    Act,
    Disk,
    DiskLayer,
    Mount,
    Outcome,
    Program,
    Remade,
    SandboxSpec,
    bind,
    hook_mount_again,
    overlay,
    read_only_bind,
)
from dibflow.store.locks import key_lock
from dibflow.store.records import StepRecord
from dibflow.store.store import LayerStore, RecordKind, Staging, free_mib, store_errors

_ENDS_MOUNTS = frozenset({FINISH_ROOT, CLEAN_UP})
"""Acts before which every mount of a hook is taken down, for good."""

_NO_ROOM_MIB = 4
"""A hook that fails with less than this left in the store has most likely failed for that."""

_STEP_OWN = frozenset({"_", "SHLVL", "PWD", "OLDPWD", "IMAGE_BLOCK_DEVICE", "IMAGE_BLOCK_DEVICES"})
"""Variables that are each step's own: bash's, and the block devices that it happened to get."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """Runs steps of one plan.

    `engine` is the environment of `engine_variables`; `folder` the caller's current folder, which
    is that of the hooks outside the target. `strict` hides from a hook every variable that is
    neither in its key nor the machine's own: what a hook needs and its text does not name is then
    missing, and not just missed.
    """

    plan: Plan
    definition: ResolvedDefinition
    store: LayerStore
    sandbox: Sandbox
    engine: Mapping[str, str]
    paths: HostPaths
    folder: str
    journal: Journal
    layout: DeviceGraph
    strict: bool = False

    def run(self, step: Step, *, on_wait: Callable[[str], None] = lambda _: None) -> StepRecord:
        """Give the record of `step`, running it only if neither key is known to the store.

        Another process running the same step is waited for (`on_wait` is told who), and its result
        taken. Raises HookFailed, StepError, StoreError, HostError.
        """
        with key_lock(self.store.root / "locks", step.key, on_wait=on_wait):
            record = self.store.finished(step.key)
            if record is not None:
                return record
            return self._run_locked(step)

    def _run_locked(self, step: Step) -> StepRecord:
        before = self.record_before(step)
        stack = before.stack if before else ()
        environment = self.environment(step)
        content_key = step.content_key(
            (*stack, *(before.disks if before else ())),
            environment,
            host_files=functools.partial(host_files, folder=Path(self.folder)),
        )
        known = self.store.known_content(content_key)
        if known is not None:
            record = replace(
                known,
                key=step.key,
                title=step.title,
                stack=(*stack, known.layer) if known.layer else stack,
                reused=True,
            )
            self.store.write_step(record)
            self.journal.note(step, Happening.REUSED, size_bytes=record.size_bytes)
            return record
        record = self._build(step, before, environment, content_key)
        self.journal.note(
            step, Happening.BUILT, seconds=record.seconds, size_bytes=record.size_bytes
        )
        return record

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
            variables["DIB_IMAGE_SIZE"] = str(self.geometry().size_bytes // 1024)
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

    @property
    def mount_points(self) -> tuple[str, ...]:
        """Give where the image's filesystems are mounted, parents first."""
        return tuple(mount.mount_point for mount in self.layout.mounts)

    def geometry(self) -> Geometry:
        """Give the sizes on the image's disk, once the tree has been measured.

        Raises StepError for a tree that does not fit.
        """
        record = self.store.finished(self.plan.act(FINISH_ROOT).key)
        if record is None:
            raise StepError("sizing the image: its tree has not been measured yet")
        usage = {
            mount_point: Usage.from_json(value)
            for mount_point, value in record.data["usage"].items()
        }
        return lay_out(self.layout, usage=usage, wish=disk_wish(self.definition))

    def disk_plan(self, step: Step) -> DiskPlan:
        """Give the plan of the image's disk; `step` is the one that makes it."""
        return DiskPlan(
            layout=self.layout,
            geometry=self.geometry(),
            journal_bytes=disk_wish(self.definition).journal_bytes,
            identity=step.key,
        )

    def _build(
        self,
        step: Step,
        before: StepRecord | None,
        environment: Mapping[str, str],
        content_key: str,
    ) -> StepRecord:
        stack = before.stack if before else ()
        lowers = self.lowers(stack)
        log = self.new_log(step)
        self.journal.note(step, Happening.STARTED, text=str(log))
        started = time.monotonic()
        with self.store.stage() as staging:
            spec = self.spec(step, before, environment, lowers, staging, log=log)
            outcome = self.sandbox.run(spec)
            caches.give_back(staging, [again.record for again in spec.hook_mounts])
            if outcome.status != 0:
                raise self._failed(step, outcome.status, log)
            if _sees_resolver(step) and spec.disk is None:
                _take_resolver_out(staging.diff, lowers)
            disks = self._commit_disk(step, before, staging)
            layer = self.store.commit(staging, over=lowers)
        record = StepRecord(
            key=step.key,
            content_key=content_key,
            title=step.title,
            layer=layer.id,
            stack=(*stack, layer.id) if layer.id else stack,
            disks=disks,
            mounts=() if step.name in _ENDS_MOUNTS else _mounts(outcome),
            environment=_exported(outcome, environment)
            if step.kind is StepKind.ENVIRONMENT
            else {},
            data=outcome.data if step.kind is StepKind.ACT else None,
            seconds=round(time.monotonic() - started, 3),
            size_bytes=layer.size_bytes,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            log=str(log.relative_to(self.store.root)),
        )
        self.store.write_step(record)
        return record

    def _commit_disk(
        self, step: Step, before: StepRecord | None, staging: Staging
    ) -> tuple[str, ...]:
        """Commit what `step` has made or changed of the disk, and give the files that it is now."""
        if step.name in {MAKE_DISK, COPY_IN}:
            return (self.store.commit_disk(staging.disk("raw")),)
        if before is None or not before.disks:
            return ()
        return (*before.disks, self.store.commit_disk(staging.disk("qcow2")))

    def _disk(self, step: Step, before: StepRecord | None, staging: Staging) -> Disk | None:
        """Describe the disk that `step` runs over, with a new file for what it changes, if any."""
        if before is None or not before.disks or step.name == COPY_IN:
            return None
        form = Path(before.disks[-1]).suffix[1:]
        plan = self.disk_plan(self.plan.act(MAKE_DISK))
        top = staging.disk("qcow2")
        arguments = ["-u", "-f", "qcow2", "-b", before.disks[-1], "-F", form, str(top)]
        run(
            ["qemu-img", "create", "-q", *arguments, str(plan.geometry.size_bytes)],
            doing="making a layer of the disk",
            package="qemu-utils",
        )
        return plan.shown(
            [*self.disk_layers(before.disks), DiskLayer(str(top), "qcow2")],
            target=f"{self.paths.build_folder}/{TARGET}",
            scratch=_with_mount_place(staging),
        )

    def finished_disk(self, record: StepRecord, staging: Staging) -> Disk:
        """Describe the disk that `record` left, to look at it only."""
        plan = self.disk_plan(self.plan.act(MAKE_DISK))
        return plan.shown(
            self.disk_layers(record.disks),
            target=f"{self.paths.build_folder}/{TARGET}",
            read_only=True,
            scratch=_with_mount_place(staging),
        )

    def disk_layers(self, disks: Sequence[str]) -> tuple[DiskLayer, ...]:
        """Give what the store has of a disk, base first."""
        paths = [self.store.disk_path(disk) for disk in disks]
        return tuple(DiskLayer(str(path), path.suffix[1:]) for path in paths)

    def _failed(self, step: Step, status: int, log: Path) -> DibflowError:
        free = free_mib(self.store.root)
        if free < _NO_ROOM_MIB:
            return StoreFull(
                f'running {step.title}: it ended with status {status} and the store "'
                f'{self.store.root}" has {free} MiB left; its log: {log}',
                hint="make room, or name another store with --store or DIBFLOW_STORE; what is "
                "finished is kept, the same command goes on from this hook",
            )
        return hook_failed(step, status=status, log=log, store=self.store.root)

    def with_plan(self, plan: Plan) -> Executor:
        """Give the same executor for another plan of the same image."""
        return replace(self, plan=plan)

    def command(self, step: Step) -> str:
        """Give the path by which the program of `step` is started; empty for an act."""
        program = self._program(step, {})
        if step.kind is StepKind.HOOK and isinstance(program, Program):
            return program.arguments[0]
        return ""

    def open_shell(self, step: Step, *, after: bool, command: str | None) -> int:
        """Run bash in the sandbox of `step` and give its status; what it changes is thrown away.

        With `after` it shows what the step left, else what it found. `command` is run instead of an
        interactive shell. Raises StepError if the steps before are not in the store.
        """
        before = self.store.finished(step.key) if after else self.record_before(step)
        lowers = self.lowers(before.stack if before else ())
        inside = step.phase is not None and step.phase.inside
        root = f"{self.paths.build_folder}/{TARGET}" if inside else "/"
        arguments = ("/bin/bash", "-c", command) if command is not None else ("/bin/bash", "-i")
        environment = {**self.environment(step), "TERM": os.environ.get("TERM", "dumb")}
        with self.store.stage() as staging:
            spec = self.spec(step, before, environment, lowers, staging, log=None)
            folder = "/" if inside else self.folder
            return self.sandbox.run(
                replace(
                    spec,
                    program=Program(arguments, environment, folder=folder, root=root),
                    interactive=True,
                )
            ).status

    def lowers(self, stack: Sequence[str]) -> tuple[Path, ...]:
        """Give the folders to mount for a stack, top first, the hooks tree as the base.

        The hooks tree is in no key: what a step takes from it is among its named inputs.
        """
        base = self.store.read(RecordKind.CONTENT, tree_record(self.plan.tree))
        if base is None:
            raise StepError("mounting the layers: the hooks tree is not in the store")
        return (*self.store.lowers(stack), *self.store.lowers([base["layer"]]))

    def new_log(self, step: Step) -> Path:
        """Give the path of the log of a new try of `step`."""
        folder = self.store.root / "logs" / step.key
        with store_errors("opening a log", self.store.root):
            folder.mkdir(exist_ok=True)
            tries = os.listdir(folder)  # noqa: PTH208 - names, as numbers
            log = folder / f"{max((int(name[:-4]) for name in tries), default=0) + 1}.log"
            log.touch()
        return log

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
        mounts = before.mounts if before and step.name not in _ENDS_MOUNTS else ()
        disk = self._disk(step, before, staging)
        program = (
            Act(self._disk_act(step, before, staging))
            if step.name in {MAKE_DISK, COPY_IN}
            else self._program(step, environment)
        )
        resolver = _host_resolver()
        shows = _sees_resolver(step)
        hides = shows and disk is not None
        return SandboxSpec(
            start=root,
            root=shown_stack(root, lowers, staging, build),
            program=program,
            log=log,
            disk=disk,
            prepare=functools.partial(acts.show_resolver, content=resolver) if shows else None,
            finish=functools.partial(acts.hide_resolver, content=resolver) if hides else None,
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

    def _disk_act(
        self, step: Step, before: StepRecord | None, staging: Staging
    ) -> Callable[[Path], object]:
        """Give the act that makes the disk, or fills it."""
        plan = self.disk_plan(self.plan.act(MAKE_DISK))
        image = staging.disk("raw")
        if step.name == MAKE_DISK:
            return functools.partial(
                makedisk.make_disk, plan=plan, image=image, scratch=staging.folder
            )
        empty = self.store.disk_path(before.disks[-1]) if before else image
        return functools.partial(
            makedisk.fill_copy, plan=plan, empty=empty, image=image, scratch=staging.folder
        )

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

    def _program(self, step: Step, environment: Mapping[str, str]) -> Program | Act:
        act = self._act(step)
        if act is not None:
            return Act(act)
        build = self.paths.build_folder
        target = f"{build}/{TARGET}"
        if step.name == EXTRA_PACKAGES:
            words = dict(step.parameters)["packages"].split()
            script = 'exec install-packages "$@"'
            return Program(("/bin/bash", "-c", script, "bash", *words), environment, root=target)
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


def _with_mount_place(staging: Staging) -> Path:
    """Give the staging folder, with an empty file to show the disk's layers on."""
    (staging.folder / "disk").touch()
    return staging.folder


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


def kernel_mounts(step: Step, build: str) -> tuple[Mount, ...]:
    """Describe what the kernel shows in the target while `step` runs; none for most acts.

    The target has its own devpts, with the options of the host's, and sysfs read-only, by which
    packages tell that they are not on a running machine.
    """
    program = step.phase is not None or step.name == EXTRA_PACKAGES
    if not program or step.phase is Phase.ROOT:
        return ()
    target = f"{build}/{TARGET}"
    mounts = [
        Mount("proc", "proc", f"{target}/proc"),
        bind("/dev", f"{target}/dev"),
        Mount("devpts", "devpts", f"{target}/dev/pts", options=_devpts_options()),
        Mount("sysfs", "sysfs", f"{target}/sys", MountFlag.RDONLY),
    ]
    if step.phase is not None and step.phase.inside:
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


def _host_resolver() -> bytes:
    """Give the host's resolv.conf, which stands in the target while a hook runs; may be empty."""
    try:
        return Path("/etc/resolv.conf").read_bytes()
    except OSError:
        return b""


def _sees_resolver(step: Step) -> bool:
    """Tell whether a program runs in `step`; the engine's acts handle the placeholder itself."""
    return step.kind is not StepKind.ACT or step.name == EXTRA_PACKAGES


def _take_resolver_out(diff: Path, lowers: Sequence[Path]) -> None:
    """Remove the resolver that was shown to a hook from its layer, if the hook left it alone."""
    name = f"{TARGET}/etc/resolv.conf"
    left = diff / name
    if not acts.is_regular(left) or left.read_bytes() != _host_resolver():
        return
    places = (f"{lower}/{name}" for lower in lowers)
    below = next((place for place in places if os.path.lexists(place)), None)
    if below is not None and acts.is_placeholder(Path(below)):
        left.unlink()


def _mounts(outcome: Outcome) -> tuple[dict[str, object], ...]:
    return tuple(asdict(mount) for mount in outcome.mounts)


def _exported(outcome: Outcome, before: Mapping[str, str]) -> dict[str, str | None]:
    """Tell what environment.d changed: new values, and None for what it removed.

    Raises StepError if it kept the evaluation from coming to its end.
    """
    if not isinstance(outcome.data, bytes):  # the evaluation ends by writing them
        raise StepError(
            "sourcing environment.d: a file in it ended the shell, so the variables are not known",
            hint='end such a file with "return 0" instead of "exit 0"',
        )
    after = {}
    for entry in outcome.data.decode(errors="surrogateescape").split("\0"):
        name, equals, value = entry.partition("=")
        if equals:
            after[name] = value
    changed: dict[str, str | None] = {
        name: value
        for name, value in after.items()
        if name not in _STEP_OWN and before.get(name) != value
    }
    changed |= {name: None for name in before if name not in after and name not in _STEP_OWN}
    return changed
