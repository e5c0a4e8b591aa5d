"""Carry out a `SandboxSpec`: one program in namespaces that end with it.

One process stands between the caller and the program::

    caller ── init (pid 1 of a new pid namespace) ── program and what it starts
              makes the mounts, reaps, kills the
              rest, unmounts, reports through a pipe

It dies with the caller (``PR_SET_PDEATHSIG``). When init dies, by whatever cause, the kernel kills
all of its namespace, and with the last process go the mounts: nothing needs to be undone by a
program that may itself have been killed.

Init is a fork of the caller without exec: starting an interpreter would cost more than all the rest
of a step. It runs only what is in this file and what was loaded before. The program is spawned
without a fork (``posix_spawn``): copying an interpreter's page tables, and then the pages that it
touches, is the largest part of what a step costs.

Source: pid_namespaces(7), mount_namespaces(7), prctl(2), posix_spawn(3).
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import NoReturn, Protocol

from dibflow import linux
from dibflow.errors import DibflowError, HostError, StepError
from dibflow.sandbox.disk import NOTHING, attached, mounted
from dibflow.sandbox.mountinfo import HookMount, MountEntry, below, hook_mounts, parse
from dibflow.sandbox.spec import Act, Mount, Outcome, Program, SandboxSpec

_CAPTURE_DESCRIPTOR = 3
_CANNOT_START = 126
_RESET_SIGNALS = (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGXFSZ)
"""Signals that Python, or the engine, handles or ignores, and a program must not."""


class Sandbox(Protocol):
    """What runs a `SandboxSpec`; tests bring one that only notes it."""

    def run(self, spec: SandboxSpec) -> Outcome:
        """Run to the end and tell how it went; raise StepError if it could not be started."""


class NamespaceSandbox:
    """The real sandbox. Needs the privilege to make mount, pid and ipc namespaces."""

    def run(self, spec: SandboxSpec) -> Outcome:
        """Run `spec`; on any exception, KeyboardInterrupt too, kill it and wait for its end.

        Raises HostError where the kernel refuses the namespaces, StepError where a mount or the
        start of the program fails, and whatever DibflowError an `Act` raised.
        """
        Path(spec.build_folder).mkdir(parents=True, exist_ok=True)
        capture = os.memfd_create("dibflow-capture")
        log = _open_log(spec)
        reader, writer = os.pipe()
        started = time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        caller = os.getpid()
        with _new_pid_namespace():
            init = os.fork()
            if init == 0:
                _guarded(lambda: _init(spec, caller, writer, log, capture), writer)
        try:
            os.close(writer)
            with open(reader, "rb") as pipe:  # noqa: PTH123 - a descriptor, not a path
                answer = pipe.read()
            _, ended = os.waitpid(init, 0)
            captured = _content(capture)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.kill(init, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(init, 0)
            raise
        finally:
            os.close(capture)
            if log is not None:
                os.close(log)
        return _outcome(answer, ended, captured, time.monotonic() - started)


@contextlib.contextmanager
def _new_pid_namespace() -> Iterator[None]:
    """Have the first child forked in the body be pid 1 of a new pid namespace.

    Children forked afterwards are in the caller's own again. Source: pid_namespaces(7), "setns(2)
    and unshare(2) semantics".
    """
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _unshare(linux.Namespace.PID)
        try:
            yield
        finally:
            linux.enter_namespace(own, linux.Namespace.PID)
    finally:
        os.close(own)


def _unshare(namespaces: linux.Namespace) -> None:
    try:
        linux.unshare(namespaces)
    except OSError as error:
        raise HostError(
            f"making the namespaces of a step: {error.strerror}",
            hint="run as root (sudo), or give the container CAP_SYS_ADMIN",
        ) from error


def _open_log(spec: SandboxSpec) -> int | None:
    if spec.log is None:
        return None
    return os.open(spec.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


def _content(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0)


def _outcome(answer: bytes, ended: int, captured: bytes, seconds: float) -> Outcome:
    """Turn init's report into an outcome, or into the error that it reports."""
    if not answer:
        status = os.waitstatus_to_exitcode(ended)
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        raise StepError(
            f"running a step: its sandbox ended {how} before it could report",
            hint="it was killed from outside (out of memory? see dmesg); the same command goes on",
        )
    report = json.loads(answer)
    if "error" in report:
        kind = HostError if report["host"] else StepError
        raise kind(report["error"], hint=report["hint"])
    if "bug" in report:
        raise RuntimeError(f"in the sandbox:\n{report['bug']}")
    return Outcome(
        status=report["status"],
        seconds=seconds,
        mounts=tuple(HookMount(**mount) for mount in report["mounts"]),
        stopped=report["stopped"],
        data=report["data"] if report["data"] is not None else captured or None,
    )


# --- from here on: the forked child. No logging, no threads, and only os._exit ends it. ---


def _guarded(work: Callable[[], None], writer: int) -> NoReturn:
    """Run a child's `work`; report an exception through the pipe, never return to the caller."""
    status = _CANNOT_START
    try:
        work()
        status = 0
    except DibflowError as error:
        _report(
            writer,
            {
                "error": error.message,
                "hint": error.hint,
                "host": isinstance(error, HostError),
            },
        )
    except BaseException:  # the parent raises it again
        _report(writer, {"bug": traceback.format_exc()})
    finally:
        os._exit(status)


def _report(writer: int, value: object) -> None:
    data = json.dumps(value).encode()
    while data:
        data = data[os.write(writer, data) :]


def _parent_as_seen_from_outside() -> int:
    """Give the parent's process id in the namespace that ``/proc`` still shows; ours says 0.

    Source: proc_pid_stat(5).
    """
    with open("/proc/self/stat", "rb") as file:  # noqa: PTH123 - in a child short of time
        return int(file.read().rpartition(b")")[2].split()[1])


def _close_all_but(kept: Iterable[int | None]) -> None:
    keep = {0, 1, 2, *(descriptor for descriptor in kept if descriptor is not None)}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names, in a child short of time
        descriptor = int(name)
        if descriptor not in keep:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _init(spec: SandboxSpec, caller: int, writer: int, log: int | None, capture: int) -> None:
    """Be pid 1: mount, run the program, end everything, unmount, report."""
    # Collecting garbage would touch, and so copy, every page that holds a Python object.
    gc.disable()
    linux.die_with_parent(signal.SIGKILL)
    if _parent_as_seen_from_outside() != caller:
        os._exit(_CANNOT_START)
    _close_all_but({writer, log, capture})
    if spec.interactive or spec.on_failure is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    else:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
    _unshare(linux.Namespace.MOUNT | linux.Namespace.IPC)
    build = Path(spec.build_folder)
    caller_folder = _current_folder()
    os.chdir(spec.start)
    _keep_mounts_private()
    with contextlib.ExitStack() as undo:
        disk = undo.enter_context(attached(spec.disk)) if spec.disk else NOTHING
        _mount(spec.root)
        undo.callback(linux.unmount, spec.build_folder)
        if spec.disk is not None:
            undo.enter_context(mounted(spec.disk, disk.devices))
        base = frozenset(entry.mount_id for entry in below(_mount_table(), spec.build_folder))
        # From here on whatever happens ends with these two, so that the disk can be let go.
        undo.callback(_unmount_above, spec.build_folder, base)
        undo.callback(_kill_the_rest, disk.servers)
        _mount_rest(spec)
        made = below(_mount_table(), spec.build_folder)
        remade = _remade(spec, made)
        if spec.prepare is not None:
            spec.prepare(build)
        os.chdir(caller_folder)
        data: object = None
        status = 0
        if isinstance(spec.program, Act):
            data = _act(spec.program, build)
        else:
            shown = disk.variables() if spec.disk is not None else {}
            program = _with(spec.program, shown)
            status = _run(program, log=log, capture=capture, interactive=spec.interactive)
            if status and spec.on_failure is not None:
                _run(_with(spec.on_failure, shown), log=None, capture=capture, interactive=True)
        stopped = _kill_the_rest(disk.servers)
        if spec.finish is not None:
            spec.finish(build)
        left = hook_mounts(
            _mount_table(),
            build_folder=spec.build_folder,
            own=[entry.mount_id for entry in made if entry.mount_id not in remade],
            remade=remade,
        )
        os.chdir("/")
        _detach_loops(spec.build_folder)
    _report(
        writer,
        {
            "status": status,
            "mounts": [asdict(mount) for mount in left],
            "stopped": stopped,
            "data": data,
        },
    )


def _act(act: Act, build: Path) -> object:
    os.umask(0o022)
    try:
        return act.function(build)
    except OSError as error:
        raise StepError(f"working in the image: {error}") from error


def _with(program: Program, variables: Mapping[str, str]) -> Program:
    return replace(program, environment={**program.environment, **variables})


def _remade(spec: SandboxSpec, made: Iterable[MountEntry]) -> dict[int, HookMount]:
    """Tell which of the mounts `made` stand for those of earlier hooks, by mount id."""
    targets = {f"{spec.build_folder}/{again.record.target}": again for again in spec.hook_mounts}
    return {
        entry.mount_id: targets[entry.mount_point].record
        for entry in made
        if entry.mount_point in targets
    }


def _current_folder() -> str:
    """Give the caller's current folder; ``/`` where it has been removed meanwhile."""
    try:
        return os.getcwd()  # noqa: PTH109 - a string is wanted
    except FileNotFoundError:
        return "/"


def _mount_table() -> tuple[MountEntry, ...]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
        return parse(file.read())


def _keep_mounts_private() -> None:
    flags = linux.MountFlag.REC | linux.MountFlag.PRIVATE
    _mount(Mount("", "none", "/", flags))
    _mount(Mount("proc", "proc", "/proc"))


def _mount_rest(spec: SandboxSpec) -> None:
    for again in spec.hook_mounts:
        _make_bind_source(again.record, spec.build_folder)
        for mount in again.mounts:
            _mount(mount)
    for mount in spec.kernel:
        _mount(mount)


def _make_bind_source(record: HookMount, build_folder: str) -> None:
    """Make the folder again that an earlier hook bound: a cache that was cleared meanwhile."""
    if record.fstype or os.path.lexists(record.source):
        return
    if Path(build_folder, record.target).is_dir():
        Path(record.source).mkdir(parents=True)


def _mount(mount: Mount) -> None:
    try:
        linux.mount(mount.source, mount.target, mount.fstype, mount.flags, mount.options)
    except OSError as error:
        what = mount.fstype or "bind"
        raise StepError(
            f'mounting {what} "{mount.source}" on "{mount.target}": {error.strerror}',
            hint="`dibflow doctor` tells what the kernel lacks; `dmesg | tail` what it said",
        ) from error


def _run(program: Program, *, log: int | None, capture: int, interactive: bool) -> int:
    """Run the program to its end; what cannot be started ends with 126 or 127, as in a shell."""
    try:
        started = _spawn(program, log=log, capture=capture, interactive=interactive)
    except OSError as error:
        text = f"dibflow: cannot start {program.arguments[0]}: {error.strerror}\n"
        os.write(2 if log is None else log, text.encode(errors="surrogateescape"))
        return 127 if isinstance(error, FileNotFoundError) else 126
    return _wait_for(started)


def _spawn(program: Program, *, log: int | None, capture: int, interactive: bool) -> int:
    actions = []
    if not interactive:
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        actions.append((os.POSIX_SPAWN_DUP2, null, 0))
    if log is not None:
        actions += [(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
    # Last: any of the others may have had its number.
    actions.append((os.POSIX_SPAWN_DUP2, capture, _CAPTURE_DESCRIPTOR))
    os.umask(0o022)
    with _inside(program.root):
        os.chdir(program.folder)
        return os.posix_spawn(
            program.arguments[0],
            program.arguments,
            program.environment,
            file_actions=actions,
            setsigdef=_RESET_SIGNALS,
        )


@contextlib.contextmanager
def _inside(root: str) -> Iterator[None]:
    """Have `root` as the root of this process for the body, which may change the current folder.

    posix_spawn knows no chroot; a privileged process gets out again by a descriptor of the root
    that it left. Source: chroot(2).
    """
    if root == "/":
        yield
        return
    outside = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chroot(root)
        try:
            yield
        finally:
            os.fchdir(outside)
            os.chroot(".")
    finally:
        os.close(outside)


def _wait_for(program: int) -> int:
    """Reap children, adopted ones too, until `program` ends; give its status as a shell does."""
    while True:
        pid, ended = os.wait()
        if pid == program:
            status = os.waitstatus_to_exitcode(ended)
            return status if status >= 0 else 128 - status


def _kill_the_rest(spared: frozenset[int] = frozenset()) -> int:
    """Kill every other process of the namespace but those `spared`; give how many there were."""
    count = 0
    while True:
        others = {int(name) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208
        others -= {os.getpid(), *spared}
        for process in others:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        reaped = _reap(others)
        if not others and not reaped:
            return count
        count += reaped


def _reap(processes: Iterable[int]) -> int:
    """Wait for the end of each of `processes` that is our child; give how many were."""
    count = 0
    for process in processes:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process, 0)
            count += 1
    return count


def _detach_loops(build_folder: str) -> None:
    """Detach the loop devices that a hook left, whose file lies in this sandbox's own mounts.

    The kernel gives the path of a file as the reader would find it. So no other sandbox's file
    seems to lie in our build folder, though it has the same path there.

    Source: sysfs, ``/sys/block/loopN/loop/backing_file``; d_path() in the kernel's VFS API.
    """
    for name in os.listdir("/sys/block"):  # noqa: PTH208 - names, in a child short of time
        if not name.startswith("loop"):
            continue
        try:
            with open(f"/sys/block/{name}/loop/backing_file", "rb") as file:  # noqa: PTH123
                if not file.read().startswith(os.fsencode(build_folder) + b"/"):
                    continue
            descriptor = os.open(f"/dev/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue  # it is free, or went away by itself meanwhile
        try:
            with contextlib.suppress(OSError):
                linux.loop_detach(descriptor)
        finally:
            os.close(descriptor)


def _unmount_above(build_folder: str, base: frozenset[int]) -> None:
    """Unmount what is mounted below the build folder, the last made first, but those of `base`."""
    os.chdir("/")
    for entry in reversed(below(_mount_table(), build_folder)):
        if entry.mount_id not in base:
            with contextlib.suppress(OSError):
                linux.unmount(entry.mount_point, detach=True)
