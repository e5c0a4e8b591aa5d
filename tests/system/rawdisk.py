"""Look into a raw disk with the programs of the host: its partitions, and what is in them."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CHECKS = {
    "ext4": ("e2fsck", "-f", "-n"),
    "xfs": ("xfs_repair", "-n"),
    "btrfs": ("btrfs", "check", "--readonly"),
    "vfat": ("fsck.vfat", "-n"),
}


def output_of(*command: str | Path, accept: tuple[int, ...] = (0,)) -> str:
    """Run a program that has to end with a status of `accept`; give all it printed."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode in accept, f"{command}: {done.returncode}\n{done.stdout}"
    return done.stdout


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a disk, in bytes; the whole disk is one too."""

    name: str
    start: int
    size: int
    type: str


@dataclass(frozen=True, slots=True)
class RawDisk:
    """A raw disk image with sectors of `sector` bytes."""

    path: Path
    sector: int = 512

    def table(self) -> str:
        """Give the partition table as sfdisk writes it down; empty if there is none."""
        with self._shown() as device:
            dump = output_of("sfdisk", "--dump", device, accept=(0, 1))
        return "" if "does not contain" in dump else dump.replace(device, "disk")

    def verified(self) -> str:
        """Give what sgdisk finds wrong, or right, with a gpt."""
        with self._shown() as device:
            return output_of("sgdisk", "--verify", device)

    def parts(self) -> list[Part]:
        """Give the partitions but for an extended one, or the whole disk if it has no table."""
        if not self.table():
            return [Part("", 0, self.path.stat().st_size, "")]
        with self._shown() as device:
            table = json.loads(output_of("sfdisk", "--json", device))["partitiontable"]
        return [
            Part(
                entry.get("name", ""),
                entry["start"] * self.sector,
                entry["size"] * self.sector,
                entry["type"],
            )
            for entry in table["partitions"]
            if entry["type"] not in {"5", "f", "85"}
        ]

    def probe(self, part: Part) -> dict[str, str]:
        """Give what blkid finds in a part: TYPE, LABEL, UUID; empty for nothing."""
        with self._shown(part) as device:
            found = output_of("blkid", "-p", "-o", "export", device, accept=(0, 2))
        pairs = (line.partition("=") for line in found.splitlines())
        return {name: value.replace("\\ ", " ") for name, _, value in pairs if name != "DEVNAME"}

    def check(self, part: Part) -> None:
        """Have the filesystem in a part checked; AssertionError if it is not clean."""
        command = _CHECKS.get(self.probe(part).get("TYPE", ""))
        if command is not None:
            with self._shown(part) as device:
                output_of(*command, device)

    @contextlib.contextmanager
    def _shown(self, part: Part | None = None) -> Iterator[str]:
        place = () if part is None else (f"-o{part.start}", f"--sizelimit={part.size}")
        device = output_of(
            *("losetup", "--find", "--show", "--read-only", f"--sector-size={self.sector}"),
            *(*place, self.path),
        ).strip()
        try:
            yield device
        finally:
            output_of("losetup", "--detach", device)
