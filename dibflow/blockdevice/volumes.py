"""Where the volumes of a disk lie and how large they are: values that print and compare well."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from dibflow.blockdevice.sizes import MIB

if TYPE_CHECKING:
    from collections.abc import Mapping


class VolumeKind(Enum):
    """What a volume is on the disk."""

    DISK = "disk"
    PARTITION = "partition"
    """Of gpt, or a primary one of mbr."""
    EXTENDED = "extended"
    LOGICAL = "logical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A run of bytes on the disk: the disk itself (`number` 0), or what its table lists.

    `type` is the code of the configuration, nothing for the disk. An extended partition has no
    name; each logical one has its boot record `Geometry.align_bytes` before its start.
    """

    number: int
    name: str
    kind: VolumeKind
    start_bytes: int
    size_bytes: int
    type: str = ""
    flags: tuple[str, ...] = ()

    @property
    def end_bytes(self) -> int:
        """Give the offset of the first byte behind."""
        return self.start_bytes + self.size_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalSize:
    """The size of one of LVM's volumes; where it lies is LVM's decision."""

    name: str
    group: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """A disk and all that lies on it; `table` is ``mbr``, ``gpt`` or nothing.

    `volumes` starts with the disk; partitions follow in the order of their numbers.
    """

    size_bytes: int
    sector_size: int
    table: str
    align_bytes: int = MIB
    volumes: tuple[Volume, ...]
    logical_volumes: tuple[LogicalSize, ...] = ()

    @property
    def partitions(self) -> tuple[Volume, ...]:
        """Give what a kernel makes devices for: all partitions but the extended one."""
        wanted = (VolumeKind.PARTITION, VolumeKind.LOGICAL)
        return tuple(volume for volume in self.volumes if volume.kind in wanted)

    def volume(self, name: str) -> Volume:
        """Give the disk or the partition of a name; KeyError if there is none."""
        for volume in self.volumes:
            if volume.name == name and volume.kind is not VolumeKind.EXTENDED:
                return volume
        raise KeyError(name)

    def size_of(self, name: str) -> int:
        """Give the bytes of a disk, partition or logical volume; KeyError if there is none."""
        for logical in self.logical_volumes:
            if logical.name == name:
                return logical.size_bytes
        return self.volume(name).size_bytes

    def to_json(self) -> dict[str, Any]:
        """Give the geometry as a JSON value."""
        value = asdict(self)
        for volume in value["volumes"]:
            volume["kind"] = volume["kind"].value
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Geometry:
        """Make the geometry that `to_json` gave."""
        volumes = tuple(
            Volume(
                **{**volume, "kind": VolumeKind(volume["kind"]), "flags": tuple(volume["flags"])}
            )
            for volume in value["volumes"]
        )
        logical = tuple(LogicalSize(**size) for size in value["logical_volumes"])
        return cls(**{**value, "volumes": volumes, "logical_volumes": logical})
