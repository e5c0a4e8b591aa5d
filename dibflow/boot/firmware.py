"""Choose the firmware that starts an image, and find it on this host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from dibflow.boot.table import Table
from dibflow.errors import HostError, UsageError


class Firmware(Enum):
    """What a machine runs first."""

    BIOS = "bios"
    UEFI = "uefi"


class Machine(Enum):
    """The architectures of guests, by DIB's names."""

    AMD64 = "amd64"
    ARM64 = "arm64"


@dataclass(frozen=True, slots=True)
class Flash:
    """The files of EFI firmware: its code, and the variables that a machine starts with."""

    code: Path
    variables: Path


_FLASHES = {
    Machine.AMD64: (
        ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
        ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
        ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ),
    Machine.ARM64: (("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),),
}
_PACKAGES = {Machine.AMD64: "ovmf", Machine.ARM64: "qemu-efi-aarch64"}


def choose_firmware(table: Table, *, machine: Machine, wanted: Firmware | None) -> Firmware:
    """Take EFI where the disk has its partition, else BIOS; `wanted` goes before that.

    Raises UsageError for BIOS where it cannot be: on ARM, and with sectors of 4 KiB.
    """
    only_efi = ""
    if machine is Machine.ARM64:
        only_efi = "64-bit ARM machines have no BIOS"
    elif table.sector_bytes != 512:
        only_efi = f"BIOS does not start disks with sectors of {table.sector_bytes} bytes"
    if wanted is Firmware.BIOS and only_efi:
        raise UsageError(only_efi, hint="leave --firmware out")
    if wanted is not None:
        return wanted
    return Firmware.UEFI if only_efi or table.has_esp else Firmware.BIOS


def find_flash(machine: Machine, *, exists: Callable[[Path], bool] = Path.exists) -> Flash:
    """Give the EFI firmware of this host. Raises HostError if there is none."""
    for code, variables in _FLASHES[machine]:
        if exists(Path(code)) and exists(Path(variables)):
            return Flash(Path(code), Path(variables))
    raise HostError(
        f"no EFI firmware for {machine.value} is installed",
        hint=f"apt-get install {_PACKAGES[machine]}",
    )
