"""The things a block-device configuration describes, as values.

`base` is the name of the node that one stands on. Names are unique over all nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from dibflow.blockdevice.sizes import MIB

DISK_NAME = "image0"
"""The one disk that is shipped; its name is fixed, as in DIB."""

ROOT_FILESYSTEM = "mkfs_root"
"""The filesystem that takes what the command line says about the root filesystem."""

NOT_MOUNTED = "none"
"""The mount point of swap."""


class TableLabel(Enum):
    """The kinds of partition table."""

    MBR = "mbr"
    GPT = "gpt"


class ThinType(Enum):
    """What a logical volume has to do with thin provisioning, in lvcreate's words."""

    THIN = "thin"
    THIN_POOL = "thin-pool"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalLoop:
    """A disk: a sparse file shown by a loop device with sectors of `block_size` bytes.

    `directory` is accepted for DIB's sake; where the disk is made is the engine's decision.
    """

    name: str
    size_bytes: int | None = None
    directory: str | None = None
    block_size: int = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One partition, by `size_bytes` or by its `share` of the space free when its turn comes.

    `type` is the code as written: hexadecimal for mbr (``0x83``), sgdisk's for gpt (``8300``) or a
    GUID.
    """

    name: str
    base: str
    size_bytes: int | None = None
    share: Fraction | None = None
    boot: bool = False
    primary: bool = False
    type: str

    @property
    def flags(self) -> tuple[str, ...]:
        """Give the flags in the words of the configuration."""
        return (("boot",) if self.boot else ()) + (("primary",) if self.primary else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Partitioning:
    """A partition table with its partitions, in the order they lie on the disk."""

    base: str
    label: TableLabel
    align_bytes: int = MIB
    partitions: tuple[Partition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhysicalVolume:
    """A partition or disk given to LVM."""

    name: str
    base: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeGroup:
    """Physical volumes joined under one name."""

    name: str
    bases: tuple[str, ...]
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Extents:
    """A size in extents: `count` of them, or a `share` of what `of` names.

    `text` is what lvcreate is given. Source: lvcreate(8), ``--extents``.
    """

    text: str
    count: int | None = None
    share: Fraction | None = None
    of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalVolume:
    """A volume of a group, by `size_bytes` or by `extents`; a thin one lies in `thin_pool`."""

    name: str
    base: str
    size_bytes: int | None = None
    extents: Extents | None = None
    type: ThinType | None = None
    thin_pool: str | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mkfs:
    """A filesystem or swap space; `uuid` is None where one is to be derived."""

    name: str
    base: str
    fstype: str
    label: str
    options: tuple[str, ...] = ()
    uuid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Where a filesystem is mounted in the image; ``none`` for swap."""

    name: str
    base: str
    mount_point: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fstab:
    """What a mount's line of ``/etc/fstab`` says. Source: fstab(5)."""

    name: str
    base: str
    options: str = "defaults"
    dump_frequency: int = 0
    fsck_pass: int = 2


Node = LocalLoop | Partition | PhysicalVolume | VolumeGroup | LogicalVolume | Mkfs | Mount | Fstab
"""A node of the graph. A partitioning is none: it says how the partitions of one disk lie."""

BlockDevice = LocalLoop | Partition | LogicalVolume
"""A node that there is a device for."""


def bases_of(node: Node) -> tuple[str, ...]:
    """Give the names of the nodes that a node stands on, as the configuration says it."""
    match node:
        case LocalLoop():
            return ()
        case VolumeGroup():
            return node.bases
        case LogicalVolume(thin_pool=str(pool)):
            return (node.base, pool)
        case _:
            return (node.base,)
