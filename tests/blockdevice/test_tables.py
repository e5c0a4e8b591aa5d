"""The bytes of partition tables, read back by the rules of their formats."""

from __future__ import annotations

import struct
import uuid
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dibflow.blockdevice.config import FALLBACK, Defaults
from dibflow.blockdevice.placement import place
from dibflow.blockdevice.tables import table_sectors
from dibflow.blockdevice.volumes import VolumeKind
from tests.blockdevice.layouts import EFI, disk_with, graph_of, upstream

GIB = 2**30
SECTOR = 512

Found = list[tuple[int, int, int, int, bool]]


def entry(record: bytes, at: int) -> tuple[int, int, int, bool]:
    """Give type, first sector, number of sectors and the boot flag of an entry."""
    flag, _, code, _, first, count = struct.unpack_from("<B3sB3sII", record, 446 + 16 * at)
    return code, first, count, flag == 0x80


def read_mbr(disk: dict[int, bytes]) -> Found:
    """Follow the table and its chain as a kernel does: number, type, first, count, boot."""
    found: Found = []
    for at in range(4):
        code, first, count, boot = entry(disk[0], at)
        if code:
            found.append((at + 1, code, first, count, boot))
    extended = next((first for _, code, first, _, _ in found if code == 0x0F), None)
    record, number = extended, 5
    while record is not None:
        content = disk[record * SECTOR]
        assert content[-2:] == b"\x55\xaa"
        code, first, count, boot = entry(content, 0)
        found.append((number, code, record + first, count, boot))
        code, following, span, _ = entry(content, 1)
        assert code in {0, 5}
        assert extended is not None
        record, number = (extended + following if code else None), number + 1
        if record is not None:
            _, first, count, _ = entry(disk[record * SECTOR], 0)
            assert span == first + count
    return found


@settings(max_examples=25)
@given(st.integers(min_value=0, max_value=3), st.integers(min_value=0, max_value=70))
def test_the_chain_of_mbr_reads_back(primaries: int, logical: int) -> None:
    partitions = ["size: 5MiB, flags: [primary, boot]"] * primaries
    partitions += ["size: 3MiB, type: '0x82'"] * logical
    if not partitions:
        return
    geometry = place(graph_of(disk_with(*partitions)), GIB)

    disk = dict(table_sectors(geometry, identity="x"))

    assert all(len(content) == SECTOR for content in disk.values())
    assert read_mbr(disk) == [
        (
            volume.number,
            0x0F if volume.kind is VolumeKind.EXTENDED else int(volume.type, 16),
            volume.start_bytes // SECTOR,
            volume.size_bytes // SECTOR,
            "boot" in volume.flags,
        )
        for volume in geometry.volumes[1:]
    ]


def test_cylinders_beyond_the_last_are_said_as_the_last() -> None:
    geometry = place(graph_of(disk_with("size: 100%, flags: [primary]")), 20 * GIB)

    record = table_sectors(geometry, identity="x")[0][1]

    # sector 2048: cylinder 0, head 32, sector 33
    assert record[447:450] == bytes((32, 33, 0))
    assert record[451:454] == bytes((254, 0xFF, 0xFF))


@pytest.mark.parametrize("text", [EFI, disk_with("size: 100%")])
def test_the_same_identity_gives_the_same_table_and_another_another(text: str) -> None:
    geometry = place(graph_of(text), GIB)

    assert table_sectors(geometry, identity="a") == table_sectors(geometry, identity="a")
    assert table_sectors(geometry, identity="a") != table_sectors(geometry, identity="b")


def test_a_disk_without_a_table_needs_nothing() -> None:
    assert table_sectors(place(graph_of(FALLBACK), GIB), identity="x") == ()


@pytest.mark.parametrize("sector", [512, 4096])
def test_gpt_has_two_headers_that_check_out(sector: int) -> None:
    graph = graph_of(EFI, Defaults(block_size=sector))
    disk = dict(table_sectors(place(graph, GIB), identity="x"))
    last = GIB // sector - 1

    for own, other in ((1, last), (last, 1)):
        header = disk[own * sector]
        fields = struct.unpack_from("<8sIIIIQQQQ16sQIII", header)
        blank = header[:16] + bytes(4) + header[20:92]
        assert fields[0] == b"EFI PART"
        assert fields[3] == zlib.crc32(blank)
        assert fields[5:7] == (own, other)
        assert fields[13] == zlib.crc32(disk[fields[10] * sector])


def test_entries_of_gpt_have_type_place_and_name() -> None:
    geometry = place(upstream("gpt_efi"), GIB)

    entries = dict(table_sectors(geometry, identity="x"))[2 * SECTOR]

    kind, _, first, final, _, name = struct.unpack_from("<16s16sQQQ72s", entries, 2 * 128)
    assert uuid.UUID(bytes_le=kind) == uuid.UUID("0FC63DAF-8483-4772-8E79-3D69D8477DE4")
    assert (first, final) == (34816, 34816 + 1006 * 2048 - 1)
    assert name.decode("utf-16-le").rstrip("\0") == "Root Part"
