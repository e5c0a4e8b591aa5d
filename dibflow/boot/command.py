"""Put the command line of qemu together. Nothing here runs it.

The disk is given with ``snapshot=on``: qemu writes to a file of its own that has no name, so the
image stays as it is and nothing is left behind.

Source: qemu(1).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dibflow.boot.firmware import Flash, Machine


@dataclass(frozen=True, slots=True)
class Forward:
    """A port of this host that leads to one of the guest."""

    host_port: int
    guest_port: int


@dataclass(frozen=True, slots=True)
class Guest:
    """A machine with an image as its disk."""

    machine: Machine
    disk: Path
    format: str
    """qemu's name of the disk's format."""
    sector_bytes: int
    flash: Flash | None
    """EFI firmware; None for BIOS."""
    acceleration: str
    """``kvm`` or ``tcg``."""
    memory_mib: int
    cpus: int
    forwards: tuple[Forward, ...] = ()
    seed: Path | None = None
    """A folder shown as a filesystem labelled ``cidata``."""
    interactive: bool = False
    """The console is the terminal, with qemu's monitor behind Ctrl-A c."""


PROGRAMS = {Machine.AMD64: "qemu-system-x86_64", Machine.ARM64: "qemu-system-aarch64"}
_MACHINES = {Machine.AMD64: "q35", Machine.ARM64: "virt"}


def accelerator(acceleration: str) -> list[str]:
    """Give the arguments that choose how instructions are run."""
    name = "tcg,thread=multi" if acceleration == "tcg" else acceleration
    return ["-accel", name, "-cpu", "max"]


def command(guest: Guest) -> list[str]:
    """Give the program and its arguments."""
    return [
        PROGRAMS[guest.machine],
        *("-machine", _MACHINES[guest.machine]),
        *accelerator(guest.acceleration),
        *("-m", f"{guest.memory_mib}M", "-smp", str(guest.cpus)),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-serial", "mon:stdio" if guest.interactive else "stdio"),
        *("-device", "virtio-rng-pci"),
        *_firmware(guest.flash),
        *_disk(guest),
        *_network(guest.forwards),
        *_seed(guest.seed),
    ]


def _firmware(flash: Flash | None) -> list[str]:
    if flash is None:
        return []
    pflash = "if=pflash,format=raw"
    return [
        *("-drive", f"{pflash},unit=0,readonly=on,file={_escaped(flash.code)}"),
        *("-drive", f"{pflash},unit=1,snapshot=on,file={_escaped(flash.variables)}"),
    ]


def _disk(guest: Guest) -> list[str]:
    device = "virtio-blk-pci,drive=disk,bootindex=1"
    if guest.sector_bytes != 512:
        size = guest.sector_bytes
        device += f",logical_block_size={size},physical_block_size={size}"
    drive = f"if=none,id=disk,snapshot=on,format={guest.format},file={_escaped(guest.disk)}"
    return ["-drive", drive, "-device", device]


def _network(forwards: tuple[Forward, ...]) -> list[str]:
    ports = [f"hostfwd=tcp:127.0.0.1:{one.host_port}-:{one.guest_port}" for one in forwards]
    # Without its ROM the card does not try to start the machine from the network.
    return [
        *("-netdev", ",".join(["user,id=net", *ports])),
        *("-device", "virtio-net-pci,netdev=net,romfile="),
    ]


def _seed(folder: Path | None) -> list[str]:
    if folder is None:
        return []
    node = f"driver=vvfat,node-name=seed,read-only=on,label=cidata,dir={_escaped(folder)}"
    return ["-blockdev", node, "-device", "virtio-blk-pci,drive=seed"]


def _escaped(path: Path) -> str:
    return str(path.absolute()).replace(",", ",,")
