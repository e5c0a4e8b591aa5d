"""Make the disk of an image: its partition table, its filesystems, and the tree in them.

The tree is written once, into a raw file. An ext filesystem that lies straight on the disk or on a
partition is made and filled in one go by ``mkfs -d``, with no device at all. Every other one is
mounted, and the tree copied with all that a filesystem holds.

Everything here runs in a sandbox, whose mount namespace takes the mounts away again.

Source: mke2fs(8), ``-d`` and ``-E offset``; sfdisk(8); cp(1).
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dibflow import linux
from dibflow.blockdevice import lvm
from dibflow.blockdevice.filesystems import (
    TOOLS,
    filesystem_uuid,
    fill_command,
    hash_seed,
    make_command,
)
from dibflow.blockdevice.graph import DeviceGraph
from dibflow.blockdevice.labels import EXT_TYPES
from dibflow.blockdevice.nodes import LogicalVolume, Mkfs, Mount
from dibflow.blockdevice.tables import table_sectors
from dibflow.blockdevice.volumes import Geometry, VolumeKind
from dibflow.commands import run
from dibflow.errors import StepError
from dibflow.linux import MountFlag
from dibflow.sandbox.disk import attached, mounted
from dibflow.sandbox.lvm import NOTE, noted, run_lvm
from dibflow.sandbox.spec import Disk, DiskLayer, DiskMount, DiskPart, LogicalVolumes

_FULL = ("Could not allocate", "No space", "no space")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskPlan:
    """A layout with its sizes, and the text that ids on the disk are derived from.

    The same plan gives the same UUIDs, so that an image made twice is the same.
    """

    layout: DeviceGraph
    geometry: Geometry
    journal_bytes: int
    identity: str

    def shown(
        self,
        files: Sequence[DiskLayer],
        *,
        target: str,
        scratch: Path,
        mounts: Sequence[Mount] | None = None,
        read_only: bool = False,
    ) -> Disk:
        """Describe the disk for a sandbox: `mounts` (all, if not said) go below `target`.

        `scratch` is the step's staging folder.
        """
        layout = self.layout
        wanted = layout.mounts if mounts is None else mounts
        return Disk(
            files=tuple(files),
            parts=tuple(
                DiskPart(volume.name, volume.start_bytes, volume.size_bytes)
                for volume in self.geometry.volumes
                if volume.kind is not VolumeKind.EXTENDED
            ),
            mounts=tuple(
                DiskMount(
                    layout.filesystem_of(mount).base,
                    layout.filesystem_of(mount).fstype,
                    f"{target}{mount.mount_point.rstrip('/')}",
                )
                for mount in wanted
            ),
            volumes=self._volumes(scratch) if layout.has_lvm else None,
            block_size=self.geometry.sector_size,
            read_only=read_only,
            shown=str(scratch / "disk"),
            locks=_lock_files(self._shared_names()),
        )

    def _volumes(self, scratch: Path) -> LogicalVolumes:
        layout = self.layout
        return LogicalVolumes(
            groups=tuple(group.name for group in layout.volume_groups),
            devices=tuple(
                (volume.name, lvm.device_path(volume.base, volume.name))
                for volume in layout.logical_volumes
            ),
            locks=_lock_files(f"volume-group-{group.name}" for group in layout.volume_groups),
            note=str(scratch / NOTE),
        )

    def _shared_names(self) -> list[str]:
        """Name what two disks must not bring to the kernel at once.

        It knows a volume group by its name, and a btrfs filesystem by its UUID, whatever copy.
        """
        names = [f"volume-group-{group.name}" for group in self.layout.volume_groups]
        if any(filesystem.fstype == "btrfs" for filesystem in self.layout.filesystems):
            names.append("btrfs")
        return names


def _lock_files(names: Iterable[str]) -> tuple[str, ...]:
    """Give the files that are locked for what the kernel knows by one of `names`."""
    return tuple(f"/run/lock/dibflow-{name}" for name in names)


def make_disk(_: Path, *, plan: DiskPlan, image: Path, scratch: Path) -> object:
    """Make `image`, a raw file: the partition table, and every filesystem that `fill` only fills.

    `scratch` is an existing folder for what is needed meanwhile. Raises StepError, and HostError
    for a program or kernel feature that is missing.
    """
    with image.open("xb") as file:
        file.truncate(plan.geometry.size_bytes)
        for offset, content in table_sectors(plan.geometry, identity=plan.identity):
            os.pwrite(file.fileno(), content, offset)
    made = [one for one in plan.layout.filesystems if not _is_made_full(plan.layout, one)]
    if not made and not plan.layout.has_lvm:
        return None
    bare = plan.shown([DiskLayer(str(image), "raw")], target="/", scratch=scratch, mounts=())
    if bare.volumes is not None:
        _make_volumes(plan.layout, bare, bare.volumes)
    with attached(bare) as disk:
        for filesystem in made:
            _make_filesystem(plan, filesystem, disk.devices[filesystem.base])
    return None


def _make_volumes(layout: DeviceGraph, bare: Disk, volumes: LogicalVolumes) -> None:
    """Make the physical volumes, groups and logical volumes, and take them down again."""
    with contextlib.ExitStack() as undo:
        disk = undo.enter_context(attached(replace(bare, volumes=None)))
        devices = tuple(disk.devices.values())
        undo.enter_context(noted(volumes, devices=devices))
        try:
            for command in lvm.create_commands(layout, disk.devices):
                run_lvm(command, devices=devices, doing="making the logical volumes")
        finally:
            for group in reversed(volumes.groups):
                command = ("vgchange", "--activate", "n", group)
                run_lvm(command, devices=devices, doing="taking the logical volumes down")


def _is_made_full(layout: DeviceGraph, filesystem: Mkfs) -> bool:
    """Tell whether a filesystem is made and filled in one go."""
    device = layout.device_of(filesystem)
    mount = layout.mount_of(filesystem)
    return (
        filesystem.fstype in EXT_TYPES
        and not isinstance(device, LogicalVolume)
        and mount is not None
    )


def _make_filesystem(plan: DiskPlan, filesystem: Mkfs, device: str) -> None:
    command = make_command(
        filesystem,
        device,
        uuid=filesystem_uuid(filesystem, identity=plan.identity),
        hash_seed=hash_seed(filesystem, identity=plan.identity),
        journal_bytes=plan.journal_bytes,
        sector_size=plan.geometry.sector_size,
    )
    _mkfs(filesystem, command)


def _set_change_time(filesystem: str, folders: Sequence[str], *, time: int) -> None:
    """Have covered folders changed at `time`, and not when they were covered.

    Nothing sets that time of a file but the clock. Source: debugfs(8), ``set_inode_field``.
    """
    if not folders:
        return
    fields = [
        f'set_inode_field "/{folder}" {field}'
        for folder in folders
        for field in (f"ctime @{time}", "ctime_extra 0")
    ]
    run(
        ["debugfs", "-w", "-f", "-", filesystem],
        doing="setting the times of mount points",
        package="e2fsprogs",
        given="\n".join(fields),
    )


def _mkfs(filesystem: Mkfs, command: Sequence[str], *, time: int | None = None) -> None:
    """Run a command that makes a filesystem; one of ext takes `time` for the time it is made at.

    Source: mke2fs(8), "SOURCE_DATE_EPOCH"; older ones know the other name alone.
    """
    times = {"E2FSPROGS_FAKE_TIME": str(time), "SOURCE_DATE_EPOCH": str(time)}
    run(
        command,
        doing=f'making the {filesystem.fstype} filesystem "{filesystem.name}"',
        package=TOOLS[filesystem.fstype][1],
        environment=None if time is None else {**os.environ, **times},
    )


def make_and_fill(build: Path, *, plan: DiskPlan, image: Path, scratch: Path) -> object:
    """Do `make_disk` and `fill` at once, where no hook runs in between."""
    make_disk(build, plan=plan, image=image, scratch=scratch)
    return fill(build, plan=plan, image=image, scratch=scratch)


def fill(build: Path, *, plan: DiskPlan, image: Path, scratch: Path) -> object:
    """Write the tree of `build` into the filesystems of `image`, which `make_disk` has made.

    `scratch` is an existing folder. Raises StepError for a filesystem that is too small, naming it.
    """
    layout = plan.layout
    # The tree says when it was finished, so that the same tree gives the same bytes.
    time = int((build / "mnt" / "etc" / "fstab").stat().st_mtime)
    copied = []
    for mount in layout.mounts:
        filesystem = layout.filesystem_of(mount)
        if not _is_made_full(layout, filesystem):
            copied.append(mount)
            continue
        volume = plan.geometry.volume(filesystem.base)
        with _alone(build / "mnt", mount, layout.mounts, scratch) as tree, _named(filesystem):
            command = fill_command(
                filesystem,
                str(image),
                folder=str(tree),
                offset_bytes=volume.start_bytes,
                size_bytes=volume.size_bytes,
                uuid=filesystem_uuid(filesystem, identity=plan.identity),
                hash_seed=hash_seed(filesystem, identity=plan.identity),
                journal_bytes=plan.journal_bytes,
            )
            _mkfs(filesystem, command, time=time)
            _set_change_time(
                f"{image}?offset={volume.start_bytes}",
                _directly_below(mount, layout.mounts),
                time=time,
            )
    for mount in copied:
        with _alone(build / "mnt", mount, layout.mounts, scratch) as tree:
            if any(tree.iterdir()):
                _copy(plan, mount, tree, image, scratch)
    return None


def fill_copy(build: Path, *, plan: DiskPlan, empty: Path, image: Path, scratch: Path) -> object:
    """Copy the disk `empty`, which holds next to nothing yet, to `image`, and `fill` the copy."""
    run(
        ["cp", "--sparse=always", "--reflink=auto", str(empty), str(image)],
        doing="copying the empty disk",
        package="coreutils",
    )
    return fill(build, plan=plan, image=image, scratch=scratch)


def _copy(plan: DiskPlan, mount: Mount, tree: Path, image: Path, scratch: Path) -> None:
    filesystem = plan.layout.filesystem_of(mount)
    place = scratch / "filesystem"
    place.mkdir(exist_ok=True)
    one = Mount(name=mount.name, base=mount.base, mount_point="/")
    disk = plan.shown(
        [DiskLayer(str(image), "raw")], target=str(place), scratch=scratch, mounts=[one]
    )
    with attached(disk) as there, mounted(disk, there.devices), _named(filesystem):
        # FAT has no owners, modes or links to keep.
        how = (
            ["--recursive", "--preserve=timestamps"]
            if filesystem.fstype == "vfat"
            else ["--archive", "--sparse=always"]
        )
        run(
            ["cp", *how, "--no-target-directory", str(tree), str(place)],
            doing=f'copying the tree into the filesystem "{filesystem.name}"',
            package="coreutils",
        )


@contextlib.contextmanager
def _named(filesystem: Mkfs) -> Iterator[None]:
    """Say which filesystem was too small, where a program ended for that."""
    try:
        yield
    except StepError as error:
        if any(sign in error.message for sign in _FULL):
            raise StepError(
                f'filling the {filesystem.fstype} filesystem "{filesystem.name}": the tree does '
                f"not fit: {error.message}",
                hint="make its partition larger, or leave --image-size (DIB_IMAGE_SIZE) out",
            ) from error
        raise


@contextlib.contextmanager
def _alone(root: Path, mount: Mount, mounts: Sequence[Mount], scratch: Path) -> Iterator[Path]:
    """Show what belongs to one filesystem of the tree at `root`, without those mounted below it.

    Where another filesystem is mounted stands an empty folder with the same owner, mode, times and
    attributes.
    """
    inner = mount.mount_point.strip("/")
    tree = scratch / "tree"
    tree.mkdir(exist_ok=True)
    with contextlib.ExitStack() as undo:
        linux.mount(str(root / inner), str(tree), "", MountFlag.BIND)
        undo.callback(linux.unmount, str(tree), detach=True)
        for below in _directly_below(mount, mounts):
            _cover(tree / below)
            undo.callback(linux.unmount, str(tree / below), detach=True)
        yield tree


def _directly_below(mount: Mount, mounts: Sequence[Mount]) -> list[str]:
    """Give the mount points in the filesystem of `mount` itself, relative to its root."""
    inner = [_below(other.mount_point, mount.mount_point) for other in mounts]
    return [
        path
        for path in inner
        if path and not any(between and _below(path, between) for between in inner)
    ]


def _below(mount_point: str, folder: str) -> str:
    """Give `mount_point` relative to `folder`; empty if it is not below it."""
    prefix = folder.rstrip("/") + "/"
    return mount_point[len(prefix) :] if mount_point.startswith(prefix) else ""


def _cover(folder: Path) -> None:
    """Mount an empty folder over `folder` that looks like it from outside."""
    status = folder.stat()
    attributes = {name: os.getxattr(folder, name) for name in os.listxattr(folder)}
    linux.mount("none", str(folder), "tmpfs", MountFlag.NONE, "size=4k")
    os.chown(folder, status.st_uid, status.st_gid)
    folder.chmod(stat.S_IMODE(status.st_mode))
    for name, value in attributes.items():
        with contextlib.suppress(OSError):  # tmpfs keeps no user.* attributes on older kernels
            os.setxattr(folder, name, value)
    os.utime(folder, ns=(status.st_atime_ns, status.st_mtime_ns))


def trim(folders: Sequence[Path]) -> None:
    """Tell the disk which blocks of mounted filesystems are free, so that images leave them out.

    What a filesystem cannot do is passed over: it only costs space. Source: fstrim(8).
    """
    for folder in folders:
        linux.sync_filesystem(folder)
        with contextlib.suppress(StepError):
            run(["fstrim", str(folder)], doing="trimming", package="util-linux")
