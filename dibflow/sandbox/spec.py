"""Say what a sandbox shows and what runs in it, as values.

Nothing here touches the machine: `dibflow.sandbox.run` carries it out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dibflow.errors import StepError
from dibflow.linux import MountFlag
from dibflow.sandbox.mountinfo import HookMount

BUILD_FOLDER = "/run/dibflow/dib_build.image"
"""Where the stack of layers is mounted in every sandbox: ``TMP_BUILD_DIR`` of the hooks.

Named as diskimage-builder names it, because hooks take it apart: upstream's ``source-repositories``
makes a file name of what follows the last dot.

The same path in each build, so that no layer depends on where it was made; each sandbox has it to
itself, in a mount namespace of its own.
"""

_OPTION_PAGE = 4096


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount(2) call, described and not yet made.

    A relative `source` or option path is taken from the folder that the sandbox starts in.
    """

    fstype: str
    source: str
    target: str
    flags: MountFlag = MountFlag.NONE
    options: str = ""


def overlay(*, lowers: Sequence[str], upper: str, work: str, target: str) -> Mount:
    """Describe the overlay that shows `lowers` under a writable `upper`.

    `lowers` run from the top layer to the base, the order of ``lowerdir=``. The paths are relative
    to the store, which keeps 64 of them within the one page that mount(2) takes.

    ``volatile`` spares every fsync that a package manager makes: the layer is made durable once, by
    the store, when it is committed. ``redirect_dir`` and ``metacopy`` are off so that each layer
    stands for itself: a file in it is whole, wherever the layers below come from.

    Raises StepError if the options do not fit.

    Source: Linux, Documentation/filesystems/overlayfs.rst, "Multiple lower layers" and "Volatile
    mount".
    """
    options = (
        f"lowerdir={':'.join(lowers)},upperdir={upper},workdir={work},"
        "volatile,index=off,metacopy=off,redirect_dir=off"
    )
    if len(options) >= _OPTION_PAGE:
        raise StepError(
            f"mounting a stack of {len(lowers)} layers: describing it takes {len(options)} bytes, "
            f"mount(2) takes {_OPTION_PAGE - 1}",
            hint="this is a fault in dibflow: stacks are flattened long before; please report it",
        )
    return Mount("overlay", "overlay", target, options=options)


def bind(source: str, target: str) -> Mount:
    """Describe a bind mount of `source`, without the mounts below it."""
    return Mount("", source, target, MountFlag.BIND)


def read_only_bind(source: str, target: str) -> tuple[Mount, Mount]:
    """Describe a read-only bind mount: the kernel takes the flag only in a second call.

    Source: mount(2), "Creating a bind mount" and "Remounting an existing mount".
    """
    again = MountFlag.REMOUNT | MountFlag.BIND | MountFlag.RDONLY
    return bind(source, target), Mount("", "none", target, again)


@dataclass(frozen=True, slots=True)
class Remade:
    """A mount that an earlier hook left, and the calls that make it again."""

    record: HookMount
    mounts: tuple[Mount, ...]


def hook_mount_again(record: HookMount, *, build_folder: str) -> Remade:
    """Describe how to make a mount again as the hook made it."""
    target = f"{build_folder}/{record.target}"
    if record.fstype:
        flags = MountFlag.RDONLY if record.read_only else MountFlag.NONE
        return Remade(record, (Mount(record.fstype, record.source, target, flags),))
    if record.read_only:
        return Remade(record, read_only_bind(record.source, target))
    return Remade(record, (bind(record.source, target),))


@dataclass(frozen=True, slots=True)
class DiskLayer:
    """One file of a disk: ``raw``, or ``qcow2`` over the files before it."""

    path: str
    format: str


@dataclass(frozen=True, slots=True)
class DiskPart:
    """A part of a disk that is a block device of its own: `offset` and `size` in bytes.

    A size of 0 reaches to the end: with offset 0 that is the disk itself.
    """

    name: str
    offset: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class DiskMount:
    """A filesystem of a disk: the name of its block device, its type, and where it is mounted."""

    device: str
    fstype: str
    target: str


@dataclass(frozen=True, slots=True)
class LogicalVolumes:
    """What LVM makes of a disk's parts: groups to activate, and (name, path) of their volumes.

    `note` is the file that names them while they are active, `locks` are taken by whoever has
    volumes of these groups.
    """

    groups: tuple[str, ...]
    devices: tuple[tuple[str, str], ...]
    locks: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of an image as a step sees it: files, block devices, mounts (parents first).

    `files` run from the base up; the last one takes what is written, unless `read_only`. `shown` is
    an existing empty file, on which the disk is shown as one raw file where `files` need that.
    `locks` are files that are locked meanwhile, for what the kernel knows by a name that another
    disk may bear too.
    """

    files: tuple[DiskLayer, ...]
    parts: tuple[DiskPart, ...]
    mounts: tuple[DiskMount, ...] = ()
    volumes: LogicalVolumes | None = None
    block_size: int = 512
    read_only: bool = False
    shown: str = ""
    locks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """A program to start, as execve(2) takes it.

    `root` is entered with chroot(2) first, `folder` is the current folder (inside `root`).
    Standard input is closed (``/dev/null``) unless the sandbox is interactive.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    folder: str = "/"
    root: str = "/"


@dataclass(frozen=True, slots=True)
class Act:
    """Work of the engine's own, done in Python inside the sandbox.

    `function` gets the build folder and returns a JSON value, which becomes the outcome's `data`.
    It must raise DibflowError or OSError for what can go wrong.
    """

    function: Callable[[Path], object]


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """Everything about one run: what is mounted, in order, and what is started.

    `start` is the folder that relative mount paths are taken from, `log` receives standard output
    and standard error. `disk` is mounted over `root`. `prepare` is called with the build folder
    once all is mounted, `finish` when nothing runs any more. `hook_mounts` are the mounts of
    earlier hooks, made before `kernel` (proc, dev, sys). Interactive sandboxes keep the terminal.
    `on_failure` is started with the terminal if `program` has failed, while all is as that left it;
    its own status counts for nothing.
    """

    start: Path
    root: Mount
    program: Program | Act
    log: Path | None
    disk: Disk | None = None
    prepare: Callable[[Path], None] | None = None
    finish: Callable[[Path], None] | None = None
    hook_mounts: tuple[Remade, ...] = ()
    kernel: tuple[Mount, ...] = ()
    interactive: bool = False
    on_failure: Program | None = None
    build_folder: str = BUILD_FOLDER


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    `status` is the program's exit status, or 128 plus the signal that ended it. `mounts` are the
    mounts that hooks have left so far, for the steps after this one. `stopped` counts processes
    that the program left running and that were killed.
    """

    status: int
    seconds: float
    mounts: tuple[HookMount, ...] = ()
    stopped: int = 0
    data: object = None
