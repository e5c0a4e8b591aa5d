"""Carry out one step of a plan: look for it in the store, else run it and commit what it changed.

The order of things is what makes a build resumable: a step's record is written last, when its layer
is durable, so that a record never promises more than there is. A step that fails or is interrupted
leaves nothing but its log: the next try starts from a clean copy of what the step found.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from dibflow.engine import caches, resolver
from dibflow.engine.failure import hook_failed
from dibflow.engine.journal import Happening, Journal
from dibflow.engine.surroundings import ENDS_MOUNTS, Surroundings, sees_resolver
from dibflow.errors import StepError
from dibflow.planning.breaks import AfterError
from dibflow.planning.hostfiles import host_files
from dibflow.planning.plan import Plan, Step, StepKind
from dibflow.planning.planner import FETCH
from dibflow.planning.variables import ENGINE_FUNCTIONS
from dibflow.sandbox.run import Sandbox
from dibflow.sandbox.spec import Outcome, Program
from dibflow.store.locks import key_lock
from dibflow.store.records import StepRecord
from dibflow.store.store import UNCHANGED, LayerStore, store_errors, want_of_room

_STEP_OWN = ENGINE_FUNCTIONS | frozenset(
    {"_", "SHLVL", "PWD", "OLDPWD", "IMAGE_BLOCK_DEVICE", "IMAGE_BLOCK_DEVICES"}
)
"""Variables that are each step's own: bash's, the block devices that it happened to get, and the
engine's functions, which bash hands on in words of its own, so that they seem to have changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """Runs steps of one plan, each in the surroundings that it finds.

    `after_error` is run in the sandbox of a hook that fails.
    """

    surroundings: Surroundings
    sandbox: Sandbox
    journal: Journal
    after_error: AfterError | None = None

    @property
    def plan(self) -> Plan:
        """The plan whose steps are run."""
        return self.surroundings.plan

    @property
    def store(self) -> LayerStore:
        """The store that steps are looked for in and committed to."""
        return self.surroundings.store

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
        before = self.surroundings.record_before(step)
        stack = before.stack if before else ()
        environment = self.surroundings.environment(step)
        content_key = step.content_key(
            (*stack, *(before.disks if before else ())),
            environment,
            host_files=functools.partial(host_files, folder=Path(self.surroundings.folder)),
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

    def _build(
        self,
        step: Step,
        before: StepRecord | None,
        environment: Mapping[str, str],
        content_key: str,
    ) -> StepRecord:
        stack = before.stack if before else ()
        lowers = self.surroundings.lowers(stack)
        log = self.new_log(step)
        self.journal.note(step, Happening.STARTED, text=str(log))
        started = time.monotonic()
        doing = f"running {step.title}"
        with self.store.stage() as staging, want_of_room(doing, self.store.root):
            spec = self.surroundings.spec(step, before, environment, lowers, staging, log=log)
            if self.after_error is not None and isinstance(spec.program, Program):
                look = self.surroundings.after_error(step, self.after_error)
                spec = replace(spec, on_failure=look)
            outcome = self.sandbox.run(spec)
            caches.give_back(staging, [again.record for again in spec.hook_mounts])
            if outcome.status != 0:
                raise hook_failed(step, status=outcome.status, log=log, store=self.store.root)
            if sees_resolver(step) and spec.disk is None:
                resolver.take_out(staging.diff, lowers)
            disks = self.surroundings.disks.commit(step, before, staging)
            # What was fetched is in caches; the rest, as apt's own notes, would be of no use.
            fetched = step.name == FETCH
            layer = UNCHANGED if fetched else self.store.commit(staging, over=lowers)
        record = StepRecord(
            key=step.key,
            content_key=content_key,
            title=step.title,
            layer=layer.id,
            stack=(*stack, layer.id) if layer.id else stack,
            disks=disks,
            mounts=() if step.name in ENDS_MOUNTS else _mounts(outcome),
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

    def with_plan(self, plan: Plan) -> Executor:
        """Give the same executor for another plan of the same image."""
        return replace(self, surroundings=replace(self.surroundings, plan=plan))

    def open_shell(self, step: Step, *, after: bool, command: str | None) -> int:
        """Run bash in the sandbox of `step` and give its status; what it changes is thrown away.

        With `after` it shows what the step left, else what it found. `command` is run instead of an
        interactive shell. Raises StepError if the steps before are not in the store.
        """
        before = self.store.finished(step.key) if after else self.surroundings.record_before(step)
        lowers = self.surroundings.lowers(before.stack if before else ())
        inside = step.phase is not None and step.phase.inside
        around = self.surroundings
        program = around.shell(command, around.environment(step), inside=inside)
        with self.store.stage() as staging:
            spec = around.spec(step, before, program.environment, lowers, staging, log=None)
            return self.sandbox.run(replace(spec, program=program, interactive=True)).status

    def new_log(self, step: Step) -> Path:
        """Give the path of the log of a new try of `step`."""
        folder = self.store.root / "logs" / step.key
        with store_errors("opening a log", self.store.root):
            folder.mkdir(exist_ok=True)
            tries = os.listdir(folder)  # noqa: PTH208 - names, as numbers
            log = folder / f"{max((int(name[:-4]) for name in tries), default=0) + 1}.log"
            log.touch()
        return log


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
