"""A task for each step of a plan. The record of the step in the store is the task's target."""

from __future__ import annotations

import functools
import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path

import luigi
from luigi.parameter import ParameterVisibility

from dibflow import linux
from dibflow.engine import making
from dibflow.engine.build import Build
from dibflow.engine.journal import Happening
from dibflow.errors import DibflowError, HookFailed
from dibflow.planning.phases import Phase as PhaseName
from dibflow.planning.plan import Step, StepKind
from dibflow.store.records import StepRecord
from dibflow.tasks.interrupts import interruptible
from dibflow.tasks.opening import open_build
from dibflow.wording import human_bytes, human_seconds

_luigi_process = os.getpid()

_FAULT = 1
"""The exit status for what is no mistake of a person: Python's own for an exception."""


class RecordTarget(luigi.Target):
    """The target of a step: its record in the store, and all that the record needs."""

    def __init__(self, build: Build, step: Step) -> None:
        self.build = build
        self.step = step

    def exists(self) -> bool:
        """Tell whether the step is done, by what is there and not by a mark.

        A step that extra-data.d has taken out of the plan has nothing left to do.
        """
        if self.build.is_dropped(self.step):
            return True
        if self.step.kind is StepKind.OUTPUT:
            return making.is_made(self.build, self.step)
        return self.build.store.finished(self.step.key) is not None

    @property
    def path(self) -> str:
        """The file of the record, or the output itself."""
        if self.step.kind is StepKind.OUTPUT and self.step.name in self.build.definition.types:
            return str(self.build.output_path(self.step.name))
        return str(self.build.store.root / "steps" / f"{self.step.key}.json")


class BuildTask(luigi.Task):
    """What all tasks of a build share: which build they belong to, and how they fail."""

    store: luigi.Parameter[str] = luigi.Parameter(
        significant=False,
        visibility=ParameterVisibility.HIDDEN,
        description="folder of the store",
    )
    build_id: luigi.Parameter[str] = luigi.Parameter(
        significant=False,
        visibility=ParameterVisibility.HIDDEN,
        description="id of the build whose plan the step belongs to",
    )

    @functools.cached_property
    def build(self) -> Build:
        """The build that the task belongs to; read from the store unless `bound_to` has set it."""
        return open_build(Path(self.store), self.build_id)

    def bound_to(self, build: Build) -> BuildTask:
        """Give the task with its build at hand."""
        self.build = build
        return self

    def show(self, message: str, *, percentage: int | None = None) -> None:
        """Show a message, and how far the whole build is, at the scheduler."""
        # Luigi sets these while a task runs; at other times there is nobody to tell.
        tell: Callable[[str], None] | None = getattr(self, "set_status_message", None)
        count: Callable[[int], None] | None = getattr(self, "set_progress_percentage", None)
        if tell is not None:
            tell(message)
        if count is not None and percentage is not None:
            count(percentage)

    def on_failure(self, exception: BaseException) -> str:
        """Note a failure and give what the scheduler shows of it."""
        return noted_failure(self, self.build, exception, title=self.task_family)


class StepTask(BuildTask):
    """One step. `key` is its definition key; the rest is for whoever looks at the scheduler."""

    name: luigi.Parameter[str] = luigi.Parameter(significant=False, description="phase and hook")
    element: luigi.Parameter[str] = luigi.Parameter(
        significant=False, description="element that the hook comes from"
    )
    found: luigi.Parameter[str] = luigi.Parameter(
        significant=False, description="what the store had when the build began"
    )
    key: luigi.Parameter[str] = luigi.Parameter(description="definition key of the step")

    @property
    def step(self) -> Step:
        """The step as the plan has it."""
        return self.build.plan.step(self.key)

    def requires(self) -> list[BuildTask]:
        """Give the hooks tree and the steps that this one builds on.

        Each step asks for the tree: steps before it that are done already ask for nothing.
        """
        return self._required

    @functools.cached_property
    def _required(self) -> list[BuildTask]:
        """What `requires` gives: Luigi asks twice, and making a task takes a look at the store."""
        build = self.build
        earlier = [step_task(build, build.plan.step(key)) for key in self.step.needs]
        return [hooks_tree_task(build), *earlier]

    def output(self) -> RecordTarget:
        """Give the step's record as a target."""
        return RecordTarget(self.build, self.step)

    def run(self) -> None:
        """Carry the step out, and tell the scheduler how it goes."""
        die_with_luigi()
        build, step = self.build, self.step
        total = len(build.plan.steps)
        place = f"{step.number} of {total}"
        if build.is_dropped(step):
            build.journal.note(step, Happening.SKIPPED)
            self.tell(f"{place}: not part of the plan, which extra-data.d has changed", 100)
            return
        log = build.store.root / "logs" / step.key
        track: Callable[[str], None] | None = getattr(self, "set_tracking_url", None)
        if track is not None:
            track(f"file://{log}")
        self.tell(f"{place}: running", 100 * (step.number - 1) // total)
        with interruptible():
            gave = self.carry_out()
        self.tell(f"{place}: {gave}", 100 * step.number // total)

    def on_failure(self, exception: BaseException) -> str:
        """Note a failure of the step and give what the scheduler shows of it."""
        return noted_failure(self, self.build, exception, title=self.name, step=self.step)

    def carry_out(self) -> str:
        """Run the step and say in a few words what it gave."""
        return describe(self.build.executor.run(self.step, on_wait=self.tell_waiting))

    def tell(self, message: str, percentage: int) -> None:
        """Show what the step does, and how far the whole build is, at the scheduler."""
        owner = f" (element {self.element})" if self.element else ""
        self.show(f"{message} {self.name}{owner}", percentage=percentage)

    def tell_waiting(self, holder: str) -> None:
        """Show that another process is running the same step."""
        self.show(f"{self.name}: waiting for {holder}, which runs the same step")


class Hook(StepTask):
    """One hook of an element."""


class Environment(StepTask):
    """The evaluation of environment.d for one phase."""


class Act(StepTask):
    """One act of the engine between hooks."""


class Output(StepTask):
    """One output, or the disk image that outputs are converted from.

    The same step of two builds gives two files: the build counts.
    """

    path: luigi.Parameter[str] = luigi.Parameter(description="the file")

    def carry_out(self) -> str:
        """Make the file and say how large it is."""
        size = making.make(self.build, self.step, on_wait=self.tell_waiting)
        return f"built, {human_bytes(size)}"


class HooksTree(BuildTask):
    """The merged hooks tree of all elements, as a layer of the store."""

    key: luigi.Parameter[str] = luigi.Parameter(description="digest of the merged hooks tree")

    def complete(self) -> bool:
        """Tell whether the store has the tree."""
        return self.build.tree_layer() is not None

    def run(self) -> None:
        """Copy the elements' files into a layer."""
        self.build.stage_tree()


class Phase(BuildTask):
    """One phase: done when each of its steps is."""

    phase: luigi.Parameter[str] = luigi.Parameter(description="folder of the phase's hooks")
    key: luigi.Parameter[str] = luigi.Parameter(description="definition key of its last step")

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of the phase."""
        phase = PhaseName(self.phase)
        return tuple(step for step in self.build.plan.steps if step.phase is phase)

    def requires(self) -> list[BuildTask]:
        """Give the steps of the phase."""
        return [step_task(self.build, step) for step in self.steps]

    def complete(self) -> bool:
        """Tell whether every step of the phase is done."""
        return all(RecordTarget(self.build, step).exists() for step in self.steps)

    def run(self) -> None:
        """Sum the phase up for the scheduler's page."""
        records = [self.build.store.finished(step.key) for step in self.steps]
        done = [record for record in records if record is not None]
        seconds = human_seconds(sum(record.seconds for record in done))
        size = human_bytes(sum(record.size_bytes for record in done))
        self.show(f"{self.phase}: {len(done)} steps, {seconds}, {size}")


_FAMILIES: dict[StepKind, type[StepTask]] = {
    StepKind.HOOK: Hook,
    StepKind.ENVIRONMENT: Environment,
    StepKind.ACT: Act,
}


def step_task(build: Build, step: Step) -> BuildTask:
    """Give the task of a step."""
    store = str(build.store.root)
    if step.kind is StepKind.OUTPUT:
        return Output(
            key=step.key,
            name=step.title,
            element="",
            found="",
            path=RecordTarget(build, step).path,
            store=store,
            build_id=build.id,
        ).bound_to(build)
    record = build.store.finished(step.key)
    return _FAMILIES[step.kind](
        key=step.key,
        name=step.title,
        element=step.element,
        found=f"cached: {describe(record)}" if record else "nothing",
        store=store,
        build_id=build.id,
    ).bound_to(build)


def hooks_tree_task(build: Build) -> BuildTask:
    """Give the task that puts the hooks tree of a build into the store."""
    task = HooksTree(key=build.plan.tree, store=str(build.store.root), build_id=build.id)
    return task.bound_to(build)


def phase_tasks(build: Build) -> list[BuildTask]:
    """Give a task for each phase that has steps."""
    last = {step.phase: step.key for step in build.plan.steps if step.phase is not None}
    return [
        Phase(phase=phase.value, key=key, store=str(build.store.root), build_id=build.id).bound_to(
            build
        )
        for phase, key in last.items()
    ]


def describe(record: StepRecord) -> str:
    """Say in a few words what a step gave: how, how long, how much."""
    how = "reused, the same content was there" if record.reused else "built"
    return f"{how}, {human_seconds(record.seconds)}, {human_bytes(record.size_bytes)}"


def noted_failure(
    task: luigi.Task,
    build: Build,
    exception: BaseException,
    *,
    title: str,
    step: Step | None = None,
) -> str:
    """Put a failure into the build's journal and give what the scheduler shows of it.

    For a person's mistake there is no traceback; a fault of dibflow keeps its own.
    """
    if isinstance(exception, DibflowError):
        text, status = str(exception), exception.exit_status
        shown = text
    else:
        trace = "".join(traceback.format_exception(exception))
        text, status = f"{title}: a fault in dibflow, please report it\n{trace}", _FAULT
        shown = str(luigi.Task.on_failure(task, exception))
    hook_status = exception.status if isinstance(exception, HookFailed) else 0
    build.journal.fail(title, text=text, status=status, hook_status=hook_status, step=step)
    return shown


def die_with_luigi() -> None:
    """Have a forked worker process end with Luigi's own, and with it the hook that it runs."""
    if os.getpid() != _luigi_process:
        linux.die_with_parent(signal.SIGKILL)
