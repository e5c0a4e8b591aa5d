"""``dibflow disk-image-create`` and ``dibflow ramdisk-image-create``: what DIB's commands do.

They take the same arguments and variables, write the same files, print what hooks print, and end
with the status of the hook that failed. ``docs/compatibility.md`` lists what is different.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from dibflow.cli.build import UNFINISHED
from dibflow.cli.graph import layout_as_dot
from dibflow.cli.progress import Follower, Tally
from dibflow.cli.running import Manner, plan_all, run_luigi
from dibflow.cli.stream import LogStream, Sink, quieten_closed_output, sinks_of
from dibflow.engine.build import Build, BuildRequest
from dibflow.engine.making import is_made
from dibflow.engine.usage import LARGE, usage_of
from dibflow.errors import DibflowError, StepError
from dibflow.planning.breaks import BreakPoint, Breaks, place, read_breaks
from dibflow.planning.definition import ImageDefinition
from dibflow.planning.dibcommand import Answer, read_command
from dibflow.planning.formats import KNOWN_TYPES
from dibflow.planning.plan import Step, StepKind
from dibflow.store.location import store_location
from dibflow.wording import human_bytes

if TYPE_CHECKING:
    import luigi

DIB_VERSION = "3.43.0"
"""The version of diskimage-builder whose commands these are."""


def run(arguments: Sequence[str], *, ramdisk: bool) -> int:
    """Do what the arguments ask for and give the exit status."""
    caller = dict(os.environ)
    asked = read_command(arguments, caller, ramdisk=ramdisk)
    if asked is Answer.HELP:
        print(help_text(ramdisk=ramdisk))
        return 0
    if not isinstance(asked, ImageDefinition):
        print(f"dibflow {version('dibflow')} (in place of diskimage-builder {DIB_VERSION})")
        return 0
    request = BuildRequest(
        definition=asked,
        store=store_location("", caller, uid=os.geteuid()),
        folder=Path.cwd(),
        environment={**caller, "DIB_ARGS": " ".join(arguments)},
    )
    with sinks_of(request.environment, asked.logfile, folder=request.folder) as sinks:
        if asked.logfile is not None:
            print(f"dibflow: the log goes to {asked.logfile}", flush=True)
        try:
            return _build(request, sinks)
        except DibflowError as error:
            stream = LogStream(Tally("", 0, 0), sinks)
            stream.say(str(error))
            if not _is_heard(sinks):
                raise
            return error.exit_status
        finally:
            quieten_closed_output()


def _is_heard(sinks: Sequence[Sink]) -> bool:
    """Tell whether a person at the terminal sees what is said."""
    return any(sink.file is sys.stdout.buffer for sink in sinks)


def _build(request: BuildRequest, sinks: Sequence[Sink]) -> int:
    (build,) = plan_all([request])
    tally = Tally.of(build)
    stream = LogStream(tally, sinks)
    variables = request.environment
    breaks = read_breaks(variables)
    running = _Running(_with_breaks(build, breaks), tally, stream, breaks)
    running.tell_plan()
    if "DUMP_CONFIG_GRAPH" in variables:
        _dump_layout(build, stream)
    ended = running.to_the_end()
    if ended is not None:
        if not _is_heard(sinks):
            for line in tally.failed:
                print(f"dibflow: {line.text}", file=sys.stderr)
        return ended
    build = running.build
    if variables.get("DIB_SHOW_IMAGE_USAGE", "0") not in {"", "0"}:
        full = variables.get("DIB_SHOW_IMAGE_USAGE_FULL", "0") not in {"", "0"}
        _tell_usage(build, stream, full=full)
    for kind in build.definition.types:
        file = build.output(kind)
        if file is not None:
            stream.say(f"{file.path}: {human_bytes(file.size)}")
    stream.say(f"{build.stem().name}: {tally.summary()}")
    stream.say("Build completed successfully")
    return 0


def _with_breaks(build: Build, breaks: Breaks) -> Build:
    if breaks.after_error is None:
        return build
    executor = replace(build.executor, after_error=breaks.after_error)
    return replace(build, executor=executor, _settled=[])


@dataclass(slots=True)
class _Running:
    """One build on its way, from one break point to the next."""

    build: Build
    tally: Tally
    stream: LogStream
    breaks: Breaks

    def tell_plan(self) -> None:
        """Say what is about to be done, and which part of it is there already."""
        say, build = self.stream.say, self.build
        say(f"dibflow {version('dibflow')}, in place of diskimage-builder {DIB_VERSION}")
        say(f"elements: {' '.join(build.plan.elements)}")
        say(f"store: {build.store.root}")
        for warning in build.plan.warnings:
            say(f"warning: {warning}")
        for word in self.breaks.unknown:
            say(f'warning: break: "{word}" is no break point')
        for step in build.plan.steps:
            if _is_done(build, step):
                owner = f" (element {step.element})" if step.element else ""
                say(f"{step.title}{owner}: cached")

    def to_the_end(self) -> int | None:
        """Stop at each break point, then do the rest; give the status of a failure."""
        from dibflow.tasks.image import BuildImage  # noqa: PLC0415 - loads Luigi: only for a build

        for point in self.breaks.points:
            status = self._stop_at(point)
            if status is not None:
                return status
        build = self.build
        if build.is_finished():
            return None
        status = self._carry_out([BuildImage.of(build)])
        if status is None and not self.build.is_finished():
            self.stream.say(UNFINISHED)
            return StepError.exit_status
        return status

    def _stop_at(self, point: BreakPoint) -> int | None:
        from dibflow.tasks.steps import step_task  # noqa: PLC0415 - see above

        self.build.begin()
        step, after = place(point, self.build.plan)
        # Twice: what comes before may change the plan, and with it the place. Mostly there is
        # nothing to do the second time.
        for _ in range(2):
            plan = self.build.plan
            wanted = [step] if after else [plan.step(key) for key in step.needs]
            status = self._carry_out([step_task(self.build, one) for one in wanted])
            if status is not None:
                return status
            step, after = place(point, self.build.plan)
        self.stream.say(f"break {point.name}: {step.title}; what is changed here is thrown away")
        self.build.executor.open_shell(step, after=after, command=self.breaks.command)
        self.stream.say("going on")
        return None

    def _carry_out(self, tasks: Sequence[luigi.Task]) -> int | None:
        """Run tasks; give the status of a hook that failed, or of what else went wrong."""
        # A break takes the terminal, which a worker process of Luigi's does not have.
        manner = Manner(workers=1 if self.breaks.any else 2)
        with Follower([self.build], self.stream, [self.tally]):
            succeeded = run_luigi(tasks, [self.build], manner)
        self.build = self.build.settled()
        if self.tally.failed:
            last = self.tally.failed[-1]
            return last.hook_status or last.status
        if not succeeded:
            self.stream.say(UNFINISHED)
            return StepError.exit_status
        return None


def _is_done(build: Build, step: Step) -> bool:
    if step.kind is StepKind.OUTPUT:
        return is_made(build, step)
    return build.store.finished(step.key) is not None


def _dump_layout(build: Build, stream: LogStream) -> None:
    path = build.stem().with_name(f"{build.stem().name}.block-device.dot")
    path.write_text("\n".join(layout_as_dot(build.executor.surroundings.layout)) + "\n")
    stream.say(f"the graph of the block devices is in {path}")


def _tell_usage(build: Build, stream: LogStream, *, full: bool) -> None:
    stream.say("what takes the room in the image" + ("" if full else ", from 10 MiB on") + ":")
    for path, size in usage_of(build, least_bytes=0 if full else LARGE):
        stream.say(f"{human_bytes(size):>11}  {path}")


def help_text(*, ramdisk: bool) -> str:
    """Give what ``--help`` prints."""
    program = "ramdisk-image-create" if ramdisk else "disk-image-create"
    made = "a ramdisk: NAME.kernel and NAME.initramfs" if ramdisk else "disk images"
    return f"""\
usage: dibflow {program} [OPTION]... ELEMENT...

Build {made}. The options are those of diskimage-builder {DIB_VERSION}; they may
stand anywhere among the elements.

  -a ARCH                   architecture (default: this machine's)
  -o NAME                   path of the outputs without extension (default: image)
  -t TYPE,...               output types (default: qcow2):
                            {_wrapped(KNOWN_TYPES, 28)}
  -p PACKAGE,...            extra packages, after install.d; may be repeated
  -n                        leave out the element base
  -x                        trace hooks; twice for more
  -u                        no compression of qcow2
  -c                        leave of the environment only HOME, PATH, USER, LOGNAME, TERM
  --checksum                write FILE.md5 and FILE.sha256
  --docker-target NAME      name in oci and docker outputs
  --image-cache FOLDER      where elements keep downloads (default: in the store)
  --image-extra-size MiB    room beyond what the tree takes
  --image-size GiB          size of the image
  --install-type TYPE       source or package (default: source)
  --logfile FILE            append the log to FILE; on standard output only with DIB_QUIET=0
  --max-online-resize N     blocks up to which the root filesystem can grow while mounted
  --mkfs-journal-size MiB   journal of the root filesystem (default: 64)
  --mkfs-options TEXT       for the root filesystem's mkfs
  --min-tmpfs, --no-tmpfs   accepted: nothing is built in a tmpfs
  --offline                 ask no mirror anything
  --qemu-img-options K=V,.. for qcow2
  --ramdisk-element NAME    element that makes the ramdisk (default: ramdisk)
  --root-label LABEL        label of the root filesystem
  -h, --help                this text
  --version                 the version

variables:
  ELEMENTS_PATH             folders with elements, before the shipped ones
  DIBFLOW_STORE             where finished steps are kept (default: /var/lib/dibflow)
  DIB_NO_TIMESTAMP=1        no time in front of each line
  DIB_QUIET=1               nothing on standard output
  break, break_cmd, break_outside_target
                            before-PHASE, after-PHASE, after-error: open a shell there
  ... and all others of DIB: docs/compatibility.md

what differs from DIB:
  - Finished hooks are kept: the same command goes on where it stopped, and does
    nothing if nothing has changed. It needs root (no sudo inside).
  - --image-extra-size, --mkfs-journal-size and -c work.
  - -t tar,tgz makes both; squashfs stands anywhere; no device of the host is in a tar.
  - The exit status is that of the failing hook; else 2 usage, 3 elements,
    4 this machine, 5 the store, 6 another step.
  - What is changed at a break point is thrown away; after-error works in every phase.
"""


def _wrapped(words: Sequence[str], indent: int) -> str:
    return textwrap.fill(
        ", ".join(words), width=84, initial_indent=" " * indent, subsequent_indent=" " * indent
    ).lstrip()


def disk_image_create() -> int:
    """Be the program ``dibflow-disk-image-create``."""
    return _as_program(ramdisk=False)


def ramdisk_image_create() -> int:
    """Be the program ``dibflow-ramdisk-image-create``."""
    return _as_program(ramdisk=True)


def _as_program(*, ramdisk: bool) -> int:
    from dibflow.cli.main import main  # noqa: PLC0415 - which imports this module

    name = "ramdisk-image-create" if ramdisk else "disk-image-create"
    return main([name, *sys.argv[1:]])
