"""What the store makes of layers, held against what the kernel shows of them."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import stat
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path, PurePath

import pytest

from dibflow import linux
from dibflow.linux import MountFlag, Namespace
from dibflow.sandbox.spec import overlay
from dibflow.store.flatten import flatten
from dibflow.store.lookup import listdir, lookup
from dibflow.store.marks import read_xattrs
from dibflow.store.store import DirectoryStore

pytestmark = pytest.mark.needs("root-namespaces", "overlay", "mknod", "trusted-xattrs")

LAYERS = 70
"""More than fit one mount, so that stacks are flattened on the way."""


def isolated(body: Callable[[], None]) -> None:
    """Run `body` in a forked process with a mount namespace of its own."""

    def child(end: Connection) -> None:
        try:
            linux.unshare(Namespace.MOUNT)
            linux.mount("none", "/", "", MountFlag.REC | MountFlag.PRIVATE)
            body()
            end.send("")
        except BaseException:
            end.send(traceback.format_exc())

    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=child, args=(theirs,))
    process.start()
    theirs.close()
    problem = ours.recv()
    process.join()
    assert not problem, problem


def run_step(
    store: DirectoryStore, stack: list[str], change: Callable[[Path], None]
) -> Mapping[str, object]:
    """Do what a step does with the store: mount `stack`, change it, commit; give what was seen."""
    seen: list[Mapping[str, object]] = []
    target = store.root.parent / "mounted"
    target.mkdir(exist_ok=True)
    bottom = store.root.parent / "bottom"
    bottom.mkdir(exist_ok=True)
    with store.stage() as staging:
        lowers = (*store.lowers(stack), bottom)
        described = overlay(
            lowers=[os.path.relpath(lower, store.root) for lower in lowers],
            upper=str(staging.diff.relative_to(store.root)),
            work=str(staging.work.relative_to(store.root)),
            target=str(target),
        )
        os.chdir(store.root)
        linux.mount("overlay", described.target, "overlay", described.flags, described.options)
        try:
            change(target)
            seen.append(view_of_tree(target))
        finally:
            os.chdir("/")
            linux.unmount(str(target))
        layer = store.commit(staging, over=lowers)
    if layer.id:
        stack.append(layer.id)
    return seen[0]


def view_of_tree(tree: Path) -> dict[str, object]:
    """Describe all that a tree shows."""
    return _view(lambda relative: {path.name: path for path in (tree / relative).iterdir()})


def view_of_layers(lowers: tuple[Path, ...]) -> dict[str, object]:
    """Describe all that a stack shows, by looking into its layers."""
    return _view(lambda relative: listdir(lowers, relative))


def _view(entries: Callable[[PurePath], Mapping[str, Path]]) -> dict[str, object]:
    seen: dict[str, object] = {}
    first_names: dict[tuple[int, int], str] = {}
    pending = [PurePath()]
    while pending:
        folder = pending.pop()
        for name, path in sorted(entries(folder).items()):
            status = path.lstat()
            relative = folder / name
            detail: object = None
            if stat.S_ISDIR(status.st_mode):
                pending.append(relative)
            elif stat.S_ISLNK(status.st_mode):
                detail = path.readlink()
            elif stat.S_ISREG(status.st_mode):
                twin = first_names.setdefault((status.st_dev, status.st_ino), str(relative))
                detail = (path.read_bytes(), twin)
            else:
                detail = status.st_rdev
            attributes = read_xattrs(path).image
            owner = (status.st_mode, status.st_uid, status.st_gid)
            seen[str(relative)] = (owner, attributes, detail)
    return seen


class Changes:
    """Random changes as hooks make them, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.choose = random.Random(seed)  # noqa: S311 (no secret)

    def __call__(self, root: Path) -> None:
        """Make a few changes below `root`."""
        acts = (
            *(self.write, self.write, self.make_folder, self.make_folder, self.remove),
            *(self.rename, self.link, self.symlink, self.special, self.mode, self.attribute),
            *(self.replace_folder, self.touch_and_undo),
        )
        for _ in range(self.choose.randrange(6)):
            self.choose.choice(acts)(root)

    def existing(self, root: Path, kind: Callable[[Path], bool]) -> Path | None:
        """Choose an entry that is there; order must not depend on the filesystem."""
        found = sorted(path for path in root.rglob("*") if not path.is_symlink() and kind(path))
        return self.choose.choice(found) if found else None

    def new(self, root: Path) -> Path:
        """Choose a name, taken or not, in a folder that is there."""
        folder = self.existing(root, Path.is_dir)
        place = root if folder is None or self.choose.random() < 0.3 else folder
        return place / self.choose.choice("abcd")

    def write(self, root: Path) -> None:
        path = self.new(root)
        if not path.is_dir():
            with path.open("a") if path.is_file() else Path(_cleared(path)).open("w") as file:
                file.write(str(self.choose.random()))

    def make_folder(self, root: Path) -> None:
        path = self.new(root)
        if not os.path.lexists(path):
            path.mkdir()

    def remove(self, root: Path) -> None:
        path = self.existing(root, Path.exists)
        if path is not None:
            _cleared(path)

    def replace_folder(self, root: Path) -> None:
        """Remove a tree and make its folders again, as "rm -r cache; mkdir -p cache/partial"."""
        path = self.existing(root, Path.is_dir)
        if path is not None:
            below = [inner for inner in sorted(path.rglob("*")) if inner.is_dir()]
            _cleared(path)
            path.mkdir()
            for inner in below:
                if not inner.is_symlink():
                    inner.mkdir(parents=True, exist_ok=True)

    def touch_and_undo(self, root: Path) -> None:
        path = self.new(root)
        if not os.path.lexists(path):
            path.touch()
            path.unlink()

    def rename(self, root: Path) -> None:
        path, target = self.existing(root, Path.is_file), self.new(root)
        if path is not None and not target.is_dir():
            path.rename(target)

    def link(self, root: Path) -> None:
        path, target = self.existing(root, Path.is_file), self.new(root)
        if path is not None and not os.path.lexists(target):
            os.link(path, target)

    def symlink(self, root: Path) -> None:
        path = self.new(root)
        if not os.path.lexists(path):
            path.symlink_to(self.choose.choice(["a", "b/c", "/nowhere"]))

    def special(self, root: Path) -> None:
        path = self.new(root)
        if not os.path.lexists(path):
            os.mknod(path, 0o600 | self.choose.choice([stat.S_IFIFO, stat.S_IFBLK]), 0x103)

    def mode(self, root: Path) -> None:
        path = self.existing(root, Path.exists)
        if path is not None:
            os.chown(path, self.choose.randrange(3), 0)
            path.chmod(self.choose.choice([0o700, 0o755, 0o4755, 0o1777]))

    def attribute(self, root: Path) -> None:
        path = self.existing(root, Path.is_dir)
        if path is not None:
            os.setxattr(path, "user.note", str(self.choose.randrange(3)).encode())


def _cleared(path: Path) -> Path:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
    return path


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_next_step_finds_what_the_last_one_left(tmp_path: Path, seed: int) -> None:
    def body() -> None:
        store = DirectoryStore(tmp_path / "store")
        stack: list[str] = []
        changes = Changes(seed)
        left: Mapping[str, object] = {}
        while len(stack) < LAYERS:
            found: list[Mapping[str, object]] = []

            def look_then_change(root: Path, found: list[Mapping[str, object]] = found) -> None:
                found.append(view_of_tree(root))
                changes(root)

            last, left = left, run_step(store, stack, look_then_change)
            assert found == [last]
        assert view_of_layers(store.lowers(stack)) == left
        target = tmp_path / "flat"
        target.mkdir()
        layers = [store.root / "layers" / layer / "diff" for layer in stack]
        flatten(layers, target)
        assert view_of_tree(target) == left
        assert view_of_layers(tuple(reversed(layers))) == left

    isolated(body)


def test_the_same_steps_give_the_same_layers_in_every_store(tmp_path: Path) -> None:
    def body() -> None:
        stacks: list[list[str]] = [[], []]
        for number, stack in enumerate(stacks):
            store = DirectoryStore(tmp_path / str(number) / "store")
            changes = Changes(7)
            for _ in range(20):
                run_step(store, stack, changes)
        assert stacks[0] == stacks[1]
        assert len(stacks[0]) > 10

    isolated(body)


def test_a_step_that_undoes_what_it_did_leaves_no_layer(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        (root / "var" / "lib" / "dpkg").mkdir(parents=True)

    def undo(root: Path) -> None:
        (root / "var" / "lib" / "dpkg" / "lock").touch()
        (root / "var" / "lib" / "dpkg" / "lock").unlink()

    def body() -> None:
        store = DirectoryStore(tmp_path / "store")
        stack: list[str] = []
        run_step(store, stack, make)
        run_step(store, stack, undo)
        assert len(stack) == 1

    isolated(body)


def test_a_removed_folder_hides_its_files_from_a_lookup(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        (root / "var" / "cache").mkdir(parents=True)
        (root / "var" / "cache" / "old").touch()

    def replace(root: Path) -> None:
        shutil.rmtree(root / "var" / "cache")
        (root / "var" / "cache").mkdir()

    def body() -> None:
        store = DirectoryStore(tmp_path / "store")
        stack: list[str] = []
        run_step(store, stack, make)
        run_step(store, stack, replace)
        lowers = store.lowers(stack)
        assert lookup(lowers, PurePath("var/cache")) == lowers[0] / "var" / "cache"
        assert lookup(lowers, PurePath("var/cache/old")) is None

    isolated(body)
