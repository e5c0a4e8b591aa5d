"""The hooks tree: what the elements of an image bring together, described and not copied."""

from __future__ import annotations

import os
import posixpath
import stat
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from dibflow.errors import DuplicateHook, ElementError
from dibflow.planning.ordering import (
    ENVIRONMENT_NAME,
    HOOK_NAME,
    environment_order,
    hook_name_pattern,
    hook_order,
)
from dibflow.planning.phases import Phase

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from dibflow.planning.element import Element

ENVIRONMENT_DIRECTORY = "environment.d"
FETCH_DIRECTORY = "fetch.d"

_LEFT_OUT = frozenset(("tests", "__pycache__"))
_INSTALL_TYPES_HOOK = "99-enable-install-types"
_INSTALL_TYPE_PREFIX = "DIB_INSTALLTYPE_"


@dataclass(frozen=True, slots=True)
class TreeFile:
    """One file or symlink of the hooks tree, and where it comes from.

    `path` is relative to the tree, with ``/`` between its parts. `executable` of a symlink is that
    of the file it leads to from `source`; False when it leads nowhere.
    """

    path: str
    source: Path
    element: str
    executable: bool = False
    link_target: str | None = None

    @property
    def name(self) -> str:
        """Give the last part of `path`."""
        return posixpath.basename(self.path)


@dataclass(frozen=True, slots=True)
class Hook:
    """One executable that a phase runs.

    `source` holds its content: where a symlink leads to, if the hook is one. `element` brought the
    symlink.
    """

    phase: Phase
    name: str
    element: str
    source: Path


class Reason(Enum):
    """Why a file in the folder of a phase will not run."""

    NOT_EXECUTABLE = "it is not executable"
    BAD_NAME = "its name does not fit"
    DATA = "it is neither executable nor named like a hook"
    NO_FILE = "it is a symlink that leads to no file of the hooks tree"


@dataclass(frozen=True, slots=True)
class IgnoredFile:
    """A file in the folder of a phase that will not run; diskimage-builder says nothing about it.

    Reason.DATA is common and harmless: hooks keep files beside them.
    """

    file: TreeFile
    reason: Reason


@dataclass(frozen=True, slots=True)
class ElementFiles:
    """What one element brings to the hooks tree: paths in byte order."""

    files: tuple[TreeFile, ...]
    directories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HookTree:
    """The hooks tree of an image before anything has run; paths in byte order.

    `directories` has every folder of the tree, empty ones too.
    """

    files: tuple[TreeFile, ...]
    directories: tuple[str, ...] = ()
    _by_path: dict[str, TreeFile] = field(init=False, repr=False, compare=False)
    _by_directory: dict[str, list[TreeFile]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_directory: dict[str, list[TreeFile]] = {}
        for file in self.files:
            by_directory.setdefault(posixpath.dirname(file.path), []).append(file)
        object.__setattr__(self, "_by_path", {file.path: file for file in self.files})
        object.__setattr__(self, "_by_directory", by_directory)

    def file(self, path: str) -> TreeFile | None:
        """Find a file by its path in the tree."""
        return self._by_path.get(path)

    def files_in(self, directory: str) -> tuple[TreeFile, ...]:
        """List the files that lie directly in a folder of the tree ("" for its top)."""
        return tuple(self._by_directory.get(directory, ()))

    def hooks(self, phase: Phase, *, names: re.Pattern[str] = HOOK_NAME) -> tuple[Hook, ...]:
        """List what a phase will run, in order; `names` is what a hook's name must contain."""
        runnable = {}
        for file in self.files_in(phase.directory):
            found = self._judge(file, names, on_host=not phase.inside)
            if isinstance(found, TreeFile):
                runnable[file.name] = Hook(phase, file.name, file.element, found.source)
        return tuple(runnable[name] for name in hook_order(runnable))

    def ignored(
        self, phase: Phase, *, names: re.Pattern[str] = HOOK_NAME
    ) -> tuple[IgnoredFile, ...]:
        """List the files of a phase's folder that it will not run, each with the reason."""
        judged = (
            (file, self._judge(file, names, on_host=not phase.inside))
            for file in self.files_in(phase.directory)
        )
        return tuple(IgnoredFile(file, why) for file, why in judged if isinstance(why, Reason))

    def fetchers(self, *, names: re.Pattern[str] = HOOK_NAME) -> tuple[str, ...]:
        """List the programs of ``fetch.d`` that will run, in order, by name."""
        files = self.files_in(FETCH_DIRECTORY)
        judged = {file.name: self._judge(file, names, on_host=False) for file in files}
        runnable = [name for name, found in judged.items() if isinstance(found, TreeFile)]
        return tuple(hook_order(runnable))

    def environment_files(self) -> tuple[TreeFile, ...]:
        """List what every phase sources before its hooks, in order; the executable bit is free."""
        sourced = {
            file.name: file
            for file in self.files_in(ENVIRONMENT_DIRECTORY)
            if ENVIRONMENT_NAME.search(file.name) and self._regular(file) is not None
        }
        return tuple(sourced[name] for name in environment_order(sourced))

    def _judge(self, file: TreeFile, names: re.Pattern[str], *, on_host: bool) -> TreeFile | Reason:
        """Give the file that runs under the name of `file`, or the reason why none does."""
        regular = self._regular(file, on_host=on_host)
        if regular is None:
            return Reason.NO_FILE
        # A line break never fits: dib-run-parts reads the listing of the folder line by line.
        fits = names.search(file.name) is not None and "\n" not in file.name
        if fits:
            return regular if regular.executable else Reason.NOT_EXECUTABLE
        return Reason.BAD_NAME if regular.executable else Reason.DATA

    def _regular(self, file: TreeFile, *, on_host: bool = True) -> TreeFile | None:
        """Follow symlinks inside the tree; None if they end at no regular file.

        An absolute one means a file of the host, which only hooks outside can reach.
        """
        for _ in range(40):  # as many as the kernel follows (path_resolution(7))
            if file.link_target is None:
                return file
            directory = posixpath.dirname(file.path)
            path = posixpath.normpath(posixpath.join(directory, file.link_target))
            if path.startswith("/"):
                return file if on_host and file.source.is_file() else None
            found = self.file(path)
            if found is None:
                return None
            file = found
        return None


def scan_element(element: Element) -> ElementFiles:
    """List what an element brings to the hooks tree.

    That is its direct files but for ``*.pyc``, and the content of its direct folders but for
    ``tests`` and ``__pycache__``. Hidden files directly in such a folder stay behind, as with
    diskimage-builder; deeper ones are kept. Direct folders may be symlinks; deeper symlinks stay
    symlinks.

    Raises ElementError for what cannot be read and for what is neither file, folder nor symlink.
    """
    scan = _Scan(element.name)
    for entry in scan.entries(element.path):
        if entry.is_dir():
            if entry.name not in _LEFT_OUT:
                scan.directories.append(entry.name)
                scan.add_content(entry, entry.name, hidden=False)
        elif not entry.name.endswith(".pyc"):
            scan.add_file(entry, entry.name)
    return ElementFiles(tuple(scan.files), tuple(scan.directories))


def merge_elements(
    elements: Iterable[Element], *, scan: Callable[[Element], ElementFiles] = scan_element
) -> HookTree:
    """Merge what `elements` bring into one hooks tree; their order does not matter.

    Folders are merged. Files at the top of the tree overwrite one another, as do files deeper than
    the direct folders; the element whose name sorts last wins. To plan many images read each
    element once: pass ``functools.cache(scan_element)`` as `scan` for all of them.

    Raises DuplicateHook when two elements bring the same name for the same direct folder.
    """
    files: dict[str, TreeFile] = {}
    owners: dict[str, Element] = {}
    by_name = {element.name: element for element in elements}
    for name in sorted(by_name):
        brought = scan(by_name[name])
        for directory in brought.directories:
            if directory in files:
                raise _duplicate(files[directory], by_name[name].path / directory, name)
            owners.setdefault(directory, by_name[name])
        for file in brought.files:
            taken = files.get(file.path)
            if taken is not None and file.path.count("/") == 1:
                raise _duplicate(taken, file.source, file.element)
            if file.path in owners:
                folder = TreeFile(
                    file.path, owners[file.path].path / file.path, owners[file.path].name
                )
                raise _duplicate(folder, file.source, file.element)
            files[file.path] = file
    return HookTree(
        files=tuple(files[path] for path in _byte_order(files)),
        directories=tuple(_byte_order(owners)),
    )


def predict_install_types(tree: HookTree, environment: Mapping[str, str]) -> HookTree:
    """Give the tree as the element ``install-types`` will leave it after extra-data.d.

    Its hook links the content of ``install.d/<prefix>-<type>-install`` into ``install.d``: of the
    type in ``DIB_INSTALLTYPE_<prefix>`` where that is set, else of ``DIB_DEFAULT_INSTALLTYPE``
    (``source``). `environment` is what is known before the build; an ``environment.d`` file may
    still change it, so the tree on disk has the last word. Without that hook the tree stays as it
    is.
    """
    hooks = tree.hooks(Phase.EXTRA_DATA, names=hook_name_pattern(environment))
    if not any(hook.name == _INSTALL_TYPES_HOOK for hook in hooks):
        return tree
    files = {file.path: file for file in tree.files}
    for chosen in _install_type_directories(tree.directories, environment):
        for target in tree.files_in(f"{Phase.INSTALL.directory}/{chosen}"):
            link = f"{Phase.INSTALL.directory}/{target.name}"
            # The shell's * leaves out hidden names, and ln into a folder does not replace it.
            if not target.name.startswith(".") and link not in tree.directories:
                files[link] = TreeFile(
                    path=link,
                    source=target.source,
                    element=target.element,
                    executable=target.executable,
                    link_target=f"{chosen}/{target.name}",
                )
    return HookTree(tuple(files[path] for path in _byte_order(files)), tree.directories)


def _install_type_directories(
    directories: Sequence[str], environment: Mapping[str, str]
) -> Iterator[str]:
    parent = f"{Phase.INSTALL.directory}/"
    present = [d.removeprefix(parent) for d in directories if d.startswith(parent)]
    specified = set()
    for variable in sorted(environment):
        if variable.startswith(_INSTALL_TYPE_PREFIX):
            prefix = variable.removeprefix(_INSTALL_TYPE_PREFIX).replace("_", "-")
            specified.add(prefix)
            directory = f"{prefix}-{environment[variable]}-install"
            if directory in present:
                yield directory
    default = environment.get("DIB_DEFAULT_INSTALLTYPE") or "source"
    suffix = f"-{default}-install"
    for directory in present:
        is_direct = "/" not in directory and directory.endswith(suffix)
        if is_direct and directory.removesuffix(suffix) not in specified:
            yield directory


class _Scan:
    """The walk over one element's folder."""

    def __init__(self, element: str) -> None:
        self.element = element
        self.files: list[TreeFile] = []
        self.directories: list[str] = []

    def entries(self, folder: Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as listing:
                return sorted(listing, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            raise ElementError(
                f'reading element "{self.element}": {error.strerror}: "{os.fspath(folder)}"'
            ) from error

    def add_content(self, folder: os.DirEntry[str], path: str, *, hidden: bool) -> None:
        for entry in self.entries(folder):
            if entry.name.startswith(".") and not hidden:
                continue
            inner = f"{path}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                self.directories.append(inner)
                self.add_content(entry, inner, hidden=True)
            else:
                self.add_file(entry, inner)

    def add_file(self, entry: os.DirEntry[str], path: str) -> None:
        # The text of the link as it is: Path.readlink would tidy it up.
        target = os.readlink(entry) if entry.is_symlink() else None  # noqa: PTH115
        try:
            mode = entry.stat().st_mode
        except OSError as error:
            if target is None:
                raise ElementError(
                    f'reading element "{self.element}": {error.strerror}: "{entry.path}"'
                ) from error
            mode = 0
        if target is None and not stat.S_ISREG(mode):
            raise ElementError(
                f'reading element "{self.element}": "{entry.path}" is neither file, folder'
                " nor symlink",
                hint="move it out of the element",
            )
        executable = stat.S_ISREG(mode) and bool(mode & 0o111)
        self.files.append(TreeFile(path, Path(entry.path), self.element, executable, target))


def _byte_order(paths: Iterable[str]) -> list[str]:
    return sorted(paths, key=os.fsencode)


def _duplicate(first: TreeFile, second: Path, element: str) -> DuplicateHook:
    return DuplicateHook(
        f'elements "{first.element}" and "{element}" both bring "{first.path}":'
        f' "{first.source}" and "{second}"',
        hint="rename one of the two files or leave one of the elements out",
    )
