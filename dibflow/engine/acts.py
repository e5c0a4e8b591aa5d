"""What the engine itself does to the tree between hooks, as functions of the build folder.

Each runs inside a sandbox (`dibflow.sandbox.spec.Act`), so that what it changes becomes a layer
like that of a hook, and returns a JSON value for the step's record. All are safe to run twice.

Source: ``docs/elements.md``, "What happens between the phases".
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from dibflow.digest import digest_of_file
from dibflow.engine import initramfs, resolver
from dibflow.engine.makedisk import trim
from dibflow.engine.measure import measure
from dibflow.errors import StepError
from dibflow.files import is_regular
from dibflow.planning.ordering import hook_order
from dibflow.planning.phases import Phase

_INSTALL_TYPE_FILE = "environment.d/11-dib-install-type.bash"


def prepare_root(build: Path, *, install_type: str) -> object:
    """Make the tree that root.d left ready for hooks inside it.

    Puts resolv.conf aside, makes the mount points of the kernel's filesystems, shortens the making
    of an initramfs, and says the default install type. Raises StepError if root.d left no tree.
    """
    target = build / "mnt"
    found = sorted(entry.name for entry in target.iterdir())
    if not set(found) - {"lost+found", "tmp"}:
        raise StepError(
            f"preparing the root filesystem: root.d left nothing in it but {found}",
            hint="an operating-system element must fill $TARGET_ROOT in root.d",
        )
    for name in ("proc", "sys", "dev", "etc"):
        (target / name).mkdir(exist_ok=True)
    scratch = target / "tmp"
    if not scratch.exists():
        scratch.mkdir()
        scratch.chmod(0o1777)
    (scratch / "in_target.d").mkdir(exist_ok=True)
    resolver.put_aside(build)
    initramfs.put_in(build)
    snippet = build / "hooks" / _INSTALL_TYPE_FILE
    snippet.parent.mkdir(exist_ok=True)
    snippet.write_text(
        f"export DIB_DEFAULT_INSTALLTYPE=${{DIB_DEFAULT_INSTALLTYPE:-{install_type}}}\n"
    )
    return None


def settle_hooks(build: Path) -> object:
    """List the hooks of the phases inside the target as they really are, now that nothing adds any.

    Gives ``{phase: [[name, sha256 of the file], ...]}`` in the order in which they run.
    """
    listing: dict[str, list[list[str]]] = {}
    for phase in Phase:
        if phase in {Phase.ROOT, Phase.EXTRA_DATA}:
            continue
        folder = build / "hooks" / phase.directory
        if not folder.is_dir():
            continue
        names = [
            entry.name
            for entry in folder.iterdir()
            if entry.is_file() and os.access(entry, os.X_OK)
        ]
        listing[phase.value] = [[name, digest_of_file(folder / name)] for name in hook_order(names)]
    return listing


def finish_root(build: Path, *, fstab: str, mount_points: Sequence[str]) -> object:
    """End the work inside the tree: fstab, mount points, and how much each filesystem is to hold.

    Gives ``{"usage": {mount point: `Usage` as JSON}}``.
    """
    target = build / "mnt"
    lost = target / "lost+found"
    if lost.is_dir():
        shutil.rmtree(lost)
    initramfs.take_out(build)
    table = target / "etc" / "fstab"
    table.parent.mkdir(exist_ok=True)
    table.write_text(fstab)
    for mount_point in mount_points:
        _make_mount_point(target, mount_point)
    usage = measure(target, mount_points)
    return {"usage": {mount_point: used.to_json() for mount_point, used in usage.items()}}


def _make_mount_point(target: Path, mount_point: str) -> None:
    """Make the folder that a filesystem is mounted on. Raises StepError where a link is in the way.

    A link would lead out of the filesystem that the folder belongs to.
    """
    folder = target
    for name in mount_point.strip("/").split("/"):
        folder /= name
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise StepError(
                f'making the mount point "{mount_point}": "{folder.relative_to(target)}" in the '
                "tree is no folder",
                hint="choose another mount point in the block-device configuration",
            )
        folder.mkdir(exist_ok=True)


def clean_disk(build: Path, *, mount_points: Sequence[str]) -> object:
    """Do `clean_up` over the image's mounted disk, then give free blocks back."""
    clean_up(build)
    trim([build / "mnt" / mount_point.strip("/") for mount_point in mount_points])
    return None


def clean_up(build: Path) -> object:
    """Leave the tree as it is to ship: resolver back, /tmp empty, logs empty."""
    target = build / "mnt"
    resolver.put_back(build)
    scratch = target / "tmp"
    if scratch.is_dir():
        for entry in scratch.iterdir():
            _remove(entry)
    log = target / "var" / "log"
    if log.is_dir():
        for path in _files(log):
            if is_regular(path) and path.lstat().st_size:
                os.truncate(path, 0)
    home = target / "root"
    if home.is_dir():
        for path in _files(home):
            if path.name.endswith(".log"):
                path.unlink()
    return None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            yield Path(parent, name)
