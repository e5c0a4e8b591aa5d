"""Tests of choosing firmware."""

from pathlib import Path

import pytest

from dibflow.boot.firmware import Firmware, Machine, choose_firmware, find_flash
from dibflow.boot.table import Label, Table
from dibflow.errors import HostError, UsageError

BIOS_ONLY = Table(Label.MBR, 512, has_esp=False, has_bios_code=True)
BOTH = Table(Label.GPT, 512, has_esp=True, has_bios_code=True)
BIG_SECTORS = Table(Label.GPT, 4096, has_esp=True, has_bios_code=False)


@pytest.mark.parametrize(
    ("table", "expected"),
    [(BIOS_ONLY, Firmware.BIOS), (BOTH, Firmware.UEFI), (BIG_SECTORS, Firmware.UEFI)],
)
def test_an_efi_system_partition_asks_for_efi(table: Table, expected: Firmware) -> None:
    assert choose_firmware(table, machine=Machine.AMD64, wanted=None) is expected


def test_a_wish_goes_before_the_table() -> None:
    chosen = choose_firmware(BOTH, machine=Machine.AMD64, wanted=Firmware.BIOS)

    assert chosen is Firmware.BIOS


@pytest.mark.parametrize(
    ("table", "machine"), [(BIG_SECTORS, Machine.AMD64), (BOTH, Machine.ARM64)]
)
def test_bios_is_refused_where_it_cannot_be(table: Table, machine: Machine) -> None:
    with pytest.raises(UsageError, match="BIOS"):
        choose_firmware(table, machine=machine, wanted=Firmware.BIOS)


def test_the_first_flash_that_is_whole_is_taken() -> None:
    there = {Path("/usr/share/OVMF/OVMF_CODE_4M.fd")} | {
        Path(f"/usr/share/OVMF/OVMF_{part}.fd") for part in ("CODE", "VARS")
    }

    flash = find_flash(Machine.AMD64, exists=there.__contains__)

    assert flash.code == Path("/usr/share/OVMF/OVMF_CODE.fd")


def test_missing_firmware_names_the_package() -> None:
    with pytest.raises(HostError, match="apt-get install ovmf"):
        find_flash(Machine.AMD64, exists=set[Path]().__contains__)
