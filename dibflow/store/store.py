"""The store: layers and records, and the only place where they become visible.

The life of a layer::

    stage()          commit()             remove()
      │                 │                    │
      ▼                 ▼                    ▼
    staging ─────► committed, immutable ───► gone
      │
      └── on any error, or when its process dies: gone, at the latest with the next `reconcile`

A *stack* is the layers of a tree, base first. Two layers with the same content are one layer: its
id is the digest of what it holds (`dibflow.store.content`).

The layers of a *disk* are files: a raw one, and qcow2 files each over the one before. Making the
same disk twice never gives the same bytes, so each has an id of its own; that of the file below
stands in its header, so ``qemu-img`` reads a chain by the name of its last file.

On disk, below `root` (mode 0700: layers hold the image's setuid files)::

    version                 the form of all this; a newer one is refused
    steps/KEY.json          a finished step, by definition key
    content/KEY.json        the same, by content key; also merged hooks trees
    layers/ID/diff/         a layer's tree, usable as an overlayfs lower as it is
    layers/ID/layer.json    its size and number of entries
    flats/ID/diff/          the lower part of a long stack, merged into one tree
    disks/ID.raw, ID.qcow2  a disk, and what a step changed of it
    builds/ID.json          a build: its pinned plan, state and outputs; ID.journal beside it
    freshness/ELEMENT.json  what an element was last found to build from
    logs/KEY/N.log          what each try of a step printed
    staging/ locks/ cache/  work in progress, locks, DIB_IMAGE_CACHE
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from dibflow.digest import KEY_LENGTH
from dibflow.errors import StepError, StoreError, StoreFull
from dibflow.linux import sync_filesystem
from dibflow.store.content import content_of
from dibflow.store.flatten import chain_ids, flatten
from dibflow.store.locks import is_held, key_lock
from dibflow.store.prune import prune_unchanged_folders
from dibflow.store.records import StepRecord, read_record, sync_folder, write_record

VERSION = 1
STACK_LIMIT = 64
"""Lowers of one overlay: with more, a failed look-up costs too much and mount(2) has no room."""

NO_ROOM_MIB = 4
"""A step that fails with less than this left in the store has most likely failed for that."""

_FOLDERS = (
    *("steps", "content", "layers", "flats", "disks", "builds", "freshness", "logs"),
    *("staging", "locks", "cache"),
)
_MUCH_AFTER_SECONDS = 0.1
"""A layer that takes longer to digest is worth being written to its device meanwhile."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class RecordKind(Enum):
    """The folders of records; a record is one JSON mapping."""

    STEP = "steps"
    CONTENT = "content"
    BUILD = "builds"
    FRESHNESS = "freshness"


@dataclass(frozen=True, slots=True)
class Staging:
    """A layer in the making: `diff` is the upper folder of an overlay, `work` its work folder."""

    folder: Path

    @property
    def diff(self) -> Path:
        """The folder that takes what changes."""
        return self.folder / "diff"

    @property
    def work(self) -> Path:
        """The folder that overlayfs needs beside it, empty."""
        return self.folder / "work"

    def disk(self, form: str) -> Path:
        """The file that takes what changes of a disk, ``raw`` or ``qcow2``; not made yet."""
        return self.folder / f"disk.{form}"


@dataclass(frozen=True, slots=True)
class Layer:
    """A committed layer; `id` is empty for one that changes nothing, which is not kept."""

    id: str
    size_bytes: int


UNCHANGED = Layer("", 0)
"""The layer of a step that changes nothing."""


class LayerStore(Protocol):
    """What the engine needs of a store. `tests/contracts/store.py` says how each must behave."""

    root: Path

    def stage(self) -> contextlib.AbstractContextManager[Staging]:
        """Open a layer; what is not committed when the context ends is removed."""

    def commit(self, staging: Staging, *, over: Sequence[Path]) -> Layer:
        """Make a staged layer durable and visible. `over` are the lowers it ran on, top first.

        Nothing else that was staged is kept: its disk is committed before.
        """

    def commit_disk(self, file: Path) -> str:
        """Make a file of ``Staging.disk`` durable and visible, and give its id."""

    def disk_path(self, disk: str) -> Path:
        """Give the file of a disk layer; the form is its suffix."""

    def lowers(self, stack: Sequence[str]) -> tuple[Path, ...]:
        """Give the folders to mount for a stack, top first, at most `STACK_LIMIT`."""

    def finished(self, key: str) -> StepRecord | None:
        """Give the record of a step if it, and each layer and disk it needs, are there."""

    def known_content(self, content_key: str) -> StepRecord | None:
        """Give the record of any step that had this content key, under the same condition."""

    def has_layer(self, layer: str) -> bool:
        """Tell whether a layer is there."""

    def write_step(self, record: StepRecord) -> None:
        """Make a step finished, under both of its keys."""

    def read(self, kind: RecordKind, key: str) -> dict[str, Any] | None:
        """Give any other record; None if it is not there."""

    def write(self, kind: RecordKind, key: str, value: Mapping[str, Any]) -> None:
        """Write any other record: whole, durable."""


@contextlib.contextmanager
def store_errors(doing: str, root: Path) -> Iterator[None]:
    """Turn the OSErrors that a person can mend into StoreError and StoreFull."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StoreFull(
                f'{doing}: no room left on the filesystem of the store "{root}" '
                f"({free_mib(root)} MiB free)",
                hint="make room, or name another store with --store or DIBFLOW_STORE; what is "
                "finished is kept, the same command goes on",
            ) from error
        if error.errno in _REFUSED:
            raise StoreError(
                f'{doing}: "{error.filename or root}": {error.strerror} (as uid {os.geteuid()})',
                hint="run as its owner, or name another store with --store or DIBFLOW_STORE",
            ) from error
        raise


@contextlib.contextmanager
def want_of_room(doing: str, root: Path) -> Iterator[None]:
    """Turn a step's failure into StoreFull where the store has next to no room left.

    Programs say it in words of their own, a filesystem on a disk in the store by errors of its own.
    Must be left before what the step had written is removed.
    """
    try:
        yield
    except StepError as error:
        free = free_mib(root)
        if free >= NO_ROOM_MIB:
            raise
        raise StoreFull(
            f'{doing}: the store "{root}" has {free} MiB left: {error.message}',
            hint="make room, or name another store with --store or DIBFLOW_STORE; what is "
            "finished is kept, the same command goes on from this step",
        ) from error


def free_mib(folder: Path) -> int:
    """Give the room left on the filesystem of `folder`, in MiB, for a caller without privileges."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize // (1024 * 1024)


class DirectoryStore:
    """A store in a folder. Any number of processes may use one at the same time."""

    def __init__(self, root: Path) -> None:
        """Open the store at `root`, made if it is not there.

        Raises StoreError if it cannot be read or written, is of a newer version, or if `root` is a
        folder of something else.
        """
        self.root = root
        with store_errors("opening the store", root):
            self._open()

    def _open(self) -> None:
        version = self.root / "version"
        try:
            text = version.read_text(errors="replace")
        except FileNotFoundError:
            self._create(version)
            return
        except NotADirectoryError as error:
            raise self._no_store("it is not a folder") from error
        try:
            number = int(text)
        except ValueError as error:
            raise self._no_store(f'its version file says "{text.strip()[:40]}"') from error
        if number > VERSION:
            raise StoreError(
                f'opening the store "{self.root}": it has version {number}, this dibflow knows '
                f"up to {VERSION}",
                hint="use the dibflow that made it, or another store with --store or DIBFLOW_STORE",
            )
        if not os.access(self.root / "staging", os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.root))

    def _no_store(self, found: str) -> StoreError:
        return StoreError(
            f'opening the store "{self.root}": {found}',
            hint="name a store, or a new folder, with --store or DIBFLOW_STORE",
        )

    def _create(self, version: Path) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        strangers = {entry.name for entry in self.root.iterdir()} - {*_FOLDERS, "lost+found"}
        if any(not name.startswith(".version.") for name in strangers):
            raise self._no_store(f'the folder holds other things, as "{min(strangers)}"')
        self.root.chmod(0o700)
        for name in _FOLDERS:
            (self.root / name).mkdir(exist_ok=True)
        # Last: a store that has its version is whole.
        beside = self.root / f".version.{os.getpid()}"
        beside.write_text(f"{VERSION}\n")
        beside.rename(version)

    @contextlib.contextmanager
    def stage(self) -> Iterator[Staging]:
        """Open a layer; its folder is locked, so that `reconcile` leaves it while we live."""
        with contextlib.ExitStack() as undo:
            with store_errors("opening a layer", self.root):
                staging = Staging(undo.enter_context(self._staging_entry(Path.mkdir)))
                staging.diff.mkdir()
                staging.diff.chmod(0o755)  # the root that the step sees, whatever our umask
                staging.work.mkdir()
            yield staging

    @contextlib.contextmanager
    def _staging_entry(self, make: Callable[[Path], None]) -> Iterator[Path]:
        """Hold a new file or folder in ``staging/``, locked; remove what is left of it."""
        path = self.root / "staging" / f"{os.getpid()}-{secrets.token_hex(8)}"
        with contextlib.ExitStack() as undo:
            with self._gate(fcntl.LOCK_SH):
                make(path)
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                undo.callback(os.close, descriptor)
                undo.callback(_remove, path)  # before the lock is given up
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield path

    def commit(self, staging: Staging, *, over: Sequence[Path]) -> Layer:
        """Make a staged layer durable and visible: see the module's picture.

        The order matters: content, one syncfs, the layer's record, the rename, the folder. What a
        step had beside ``diff`` is gone then, so a disk is committed first.
        """
        with store_errors("committing a layer", self.root):
            prune_unchanged_folders(staging.diff, over)
            with _written_meanwhile(staging.folder):
                content = content_of(staging.diff)
            if content.empty:
                return UNCHANGED
            final = self.root / "layers" / content.id
            if not final.exists():
                for entry in staging.folder.iterdir():
                    if entry != staging.diff:
                        _remove(entry)
                staging.diff.chmod(0o755)
                sync_filesystem(staging.folder)
                write_record(
                    staging.folder / "layer.json",
                    {"size_bytes": content.size_bytes, "entries": content.entries},
                    made=staging.folder / "layer.json.new",
                )
                with contextlib.suppress(FileExistsError):
                    _rename_new(staging.folder, final)
                sync_folder(final.parent)
            return Layer(content.id, content.size_bytes)

    def commit_disk(self, file: Path) -> str:
        """Make a staged disk durable and visible under a name of its own."""
        with store_errors("committing a disk", self.root):
            disk = f"{secrets.token_hex(KEY_LENGTH // 2)}{file.suffix}"
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
            file.rename(self.disk_path(disk))
            sync_folder(self.root / "disks")
        return disk

    def disk_path(self, disk: str) -> Path:
        """Give the file of a disk layer."""
        return self.root / "disks" / disk

    def lowers(self, stack: Sequence[str]) -> tuple[Path, ...]:
        """Give the folders to mount for a stack, top first; a long one is flattened below."""
        layers = [self.root / "layers" / layer / "diff" for layer in stack]
        keep = STACK_LIMIT - 1
        if len(layers) <= keep:
            return _top_first(layers)
        chains = chain_ids(stack)
        # The longest prefix that is flattened already serves as long as the rest fits above it;
        # otherwise half of the room is left for the layers to come.
        for length in range(len(stack), len(stack) - keep, -1):
            flat = self.root / "flats" / chains[length - 1]
            if flat.exists():
                return (*_top_first(layers[length:]), flat / "diff")
        length = len(stack) - keep // 2
        flat = self._flatten(layers[:length], chains[length - 1])
        return (*_top_first(layers[length:]), flat / "diff")

    def _flatten(self, layers: Sequence[Path], chain: str) -> Path:
        final = self.root / "flats" / chain
        with key_lock(self.root / "locks", f"flat-{chain}", on_wait=lambda _: None):
            if not final.exists():
                with self.stage() as staging, store_errors("flattening layers", self.root):
                    flatten(layers, staging.diff)
                    sync_filesystem(staging.folder)
                    _rename_new(staging.folder, final)
                    sync_folder(final.parent)
        return final

    def finished(self, key: str) -> StepRecord | None:
        """Give the record of a step if every layer and disk it needs is there too."""
        return self._record(RecordKind.STEP, key)

    def known_content(self, content_key: str) -> StepRecord | None:
        """Give the record of any step that had this content key, layers and all."""
        return self._record(RecordKind.CONTENT, content_key)

    def _record(self, kind: RecordKind, key: str) -> StepRecord | None:
        value = self.read(kind, key)
        if value is None:
            return None
        try:
            record = StepRecord.from_json(value)
        except (TypeError, KeyError):
            return None
        needed = (*record.stack, *([record.layer] if record.layer else ()))
        there = all(self.has_layer(layer) for layer in needed) and all(
            os.access(self.disk_path(disk), os.F_OK) for disk in record.disks
        )
        return record if there else None

    def has_layer(self, layer: str) -> bool:
        """Tell whether a layer is there."""
        # Asked for every layer of every step: a Path for each would cost ten times the look.
        return os.access(f"{self.root}/layers/{layer}/layer.json", os.F_OK)

    def write_step(self, record: StepRecord) -> None:
        """Make a step finished, under both of its keys; the definition key comes last.

        The content key is for other builds: were its record lost with the machine, they would do
        the step again. So it is not synced, which takes longer than all else about it.
        """
        value = record.to_json()
        if not record.reused:
            self._write(RecordKind.CONTENT, record.content_key, value, durable=False)
        self.write(RecordKind.STEP, record.key, value)

    def read(self, kind: RecordKind, key: str) -> dict[str, Any] | None:
        """Give a record; None if it is not there or damaged."""
        with store_errors(f"reading {kind.value}/{key}", self.root):
            return read_record(self.root / kind.value / f"{key}.json")

    def write(self, kind: RecordKind, key: str, value: Mapping[str, Any]) -> None:
        """Write a record: whole, durable."""
        self._write(kind, key, value, durable=True)

    def _write(
        self, kind: RecordKind, key: str, value: Mapping[str, Any], *, durable: bool
    ) -> None:
        path = self.root / kind.value / f"{key}.json"
        doing = f"writing {kind.value}/{key}"
        with store_errors(doing, self.root), self._staging_entry(Path.touch) as made:
            write_record(path, value, made=made, durable=durable)

    @contextlib.contextmanager
    def _gate(self, mode: int) -> Iterator[None]:
        """Keep `reconcile` from meeting a folder between its making and its locking."""
        descriptor = os.open(
            self.root / "locks" / "staging", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(descriptor, mode)
            yield
        finally:
            os.close(descriptor)

    def reconcile(self, *, before_removal: Callable[[Path], None] = lambda _: None) -> list[str]:
        """Remove what dead processes left in ``staging/``; give the names.

        `before_removal` is called with each folder, for what is not gone with its files.
        Taking it away is quick, so nobody who wants to stage waits while gigabytes are removed.
        """
        doing = "clearing the store's staging folder"
        with store_errors(doing, self.root), self._staging_entry(Path.mkdir) as ours:
            removed = []
            with self._gate(fcntl.LOCK_EX):
                for folder in (self.root / "staging").iterdir():
                    with contextlib.suppress(FileNotFoundError):
                        if not is_held(folder):
                            before_removal(folder)
                            folder.rename(ours / folder.name)
                            removed.append(folder.name)
        return removed


@contextlib.contextmanager
def _written_meanwhile(folder: Path) -> Iterator[None]:
    """Have the body, if it takes its time, share it with the writing of the filesystem of `folder`.

    This only starts what a sync afterwards waits for, so what goes wrong is found there.
    """

    def write() -> None:
        with contextlib.suppress(OSError):
            sync_filesystem(folder)

    timer = threading.Timer(_MUCH_AFTER_SECONDS, write)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _top_first(layers: Sequence[Path]) -> tuple[Path, ...]:
    """Put layers (base first) in the order of ``lowerdir=``, each once.

    A step may do again what an earlier one did and another undid: the same layer, twice in the
    stack. overlayfs refuses that with ELOOP. The upper one says all that the lower one says, and
    hides all that it hides, so the lower one can go.
    """
    return tuple(dict.fromkeys(reversed(layers)))


def _rename_new(source: Path, target: Path) -> None:
    """Rename a folder to a name that is not taken; raises FileExistsError if it is."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        raise


def _remove(path: Path) -> None:
    """Remove a file or a folder with all in it; what is gone already is fine."""
    if path.is_dir():
        _remove_tree(path)
    else:
        path.unlink(missing_ok=True)


def _remove_tree(folder: Path) -> None:
    """Remove a folder and all in it; what is gone already is fine."""
    shutil.rmtree(folder, onerror=_again_with_rights)


def _again_with_rights(function: object, path: str, problem: object) -> None:  # noqa: ARG001
    """Try once more after giving ourselves the rights: overlayfs leaves ``work/work`` mode 000."""
    target = Path(path)
    if not target.exists() and not target.is_symlink():
        return
    target.parent.chmod(0o700)
    if target.is_dir() and not target.is_symlink():
        target.chmod(0o700)
        shutil.rmtree(target)
    else:
        target.unlink()
