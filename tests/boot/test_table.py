"""Tests of reading a partition table from the start of a disk."""

import struct
import uuid

import pytest

from dibflow.boot.table import Label, Table, read_table

ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
BIOS_BOOT = "21686148-6449-6e6f-744e-656564454649"
LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"


def mbr(*types: int, code: bytes = b"") -> bytes:
    entries = b"".join(bytes([0, 0, 0, 0, type_]) + bytes(11) for type_ in types)
    return code.ljust(446, b"\0") + entries.ljust(64, b"\0") + b"\x55\xaa"


def gpt(*types: str, sector: int = 512, code: bytes = b"") -> bytes:
    header = b"EFI PART".ljust(72, b"\0") + struct.pack("<QII", 2, 128, 128)
    entries = b"".join(uuid.UUID(type_).bytes_le + bytes(112) for type_ in types)
    return mbr(0xEE, code=code).ljust(sector, b"\0") + header.ljust(sector, b"\0") + entries


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"", Table(Label.NONE, 512, has_esp=False, has_bios_code=False)),
        (mbr(0x83), Table(Label.MBR, 512, has_esp=False, has_bios_code=False)),
        (mbr(0x83, code=b"\xeb"), Table(Label.MBR, 512, has_esp=False, has_bios_code=True)),
        (mbr(0xEF, 0x83), Table(Label.MBR, 512, has_esp=True, has_bios_code=False)),
        (mbr(code=b"\xeb"), Table(Label.NONE, 512, has_esp=False, has_bios_code=True)),
        (gpt(LINUX, code=b"\xeb"), Table(Label.GPT, 512, has_esp=False, has_bios_code=False)),
        (
            gpt(BIOS_BOOT, LINUX, code=b"\xeb"),
            Table(Label.GPT, 512, has_esp=False, has_bios_code=True),
        ),
        (gpt(ESP, BIOS_BOOT), Table(Label.GPT, 512, has_esp=True, has_bios_code=False)),
        (
            gpt(ESP, LINUX, sector=4096),
            Table(Label.GPT, 4096, has_esp=True, has_bios_code=False),
        ),
    ],
)
def test_a_table_tells_what_firmware_can_start(start: bytes, expected: Table) -> None:
    assert read_table(start) == expected


def test_a_table_with_absurd_numbers_is_read_without_failing() -> None:
    header = b"EFI PART".ljust(72, b"\0") + struct.pack("<QII", 2**60, 5, 128)

    assert not read_table(mbr(0xEE).ljust(512, b"\0") + header).has_esp
