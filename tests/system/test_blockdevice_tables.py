"""Partition tables as the tools of the field read them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dibflow.blockdevice.config import Defaults
from dibflow.blockdevice.identity import derived_uuid
from dibflow.blockdevice.parttypes import GPT_CODES, gpt_type
from dibflow.blockdevice.placement import place
from dibflow.blockdevice.tables import table_sectors
from dibflow.blockdevice.volumes import Geometry
from tests.blockdevice.layouts import EFI, VAR_AND_SWAP, disk_with, graph_of, upstream

MIB = 2**20
GIB = 2**30


def written(image: Path, geometry: Geometry, identity: str = "test") -> Path:
    with image.open("wb") as file:
        file.truncate(geometry.size_bytes)
        for offset, content in table_sectors(geometry, identity=identity):
            file.seek(offset)
            file.write(content)
    return image


def output_of(*command: str | Path, text: str = "") -> str:
    done = subprocess.run(
        [str(word) for word in command], input=text, capture_output=True, text=True, check=True
    )
    assert not done.stderr
    return done.stdout


def partx(image: Path) -> list[str]:
    columns = "NR,START,END,TYPE,FLAGS,SCHEME"
    return output_of("partx", "--raw", "--output", columns, "-g", "-b", "-", image).splitlines()


PRIMARY = "size: 10MiB, flags: [primary]"
LOGICAL = "size: 10MiB"


@pytest.mark.needs("partx")
@pytest.mark.parametrize(
    ("partitions", "expected"),
    [
        ([LOGICAL], ["1 2048 2097151 0xf 0x0 dos", "5 4096 24575 0x83 0x0 dos"]),
        (
            [LOGICAL] * 64,
            [
                "1 2048 2097151 0xf 0x0 dos",
                *(
                    f"{5 + n} {4096 + n * 22528} {24575 + n * 22528} 0x83 0x0 dos"
                    for n in range(64)
                ),
            ],
        ),
        ([PRIMARY], ["1 2048 22527 0x83 0x0 dos"]),
        ([f"{PRIMARY}, type: '0x0c'"], ["1 2048 22527 0xc 0x0 dos"]),
        (["size: 10MiB, flags: [boot, primary]"], ["1 2048 22527 0x83 0x80 dos"]),
        (
            [PRIMARY] * 3 + [LOGICAL] * 2,
            [
                *("1 2048 22527 0x83 0x0 dos", "2 22528 43007 0x83 0x0 dos"),
                *("3 43008 63487 0x83 0x0 dos", "4 63488 2097151 0xf 0x0 dos"),
                *("5 65536 86015 0x83 0x0 dos", "6 88064 108543 0x83 0x0 dos"),
            ],
        ),
    ],
)
def test_partx_reads_mbr_as_it_reads_that_of_dib(
    tmp_path: Path, partitions: list[str], expected: list[str]
) -> None:
    image = written(tmp_path / "image", place(graph_of(disk_with(*partitions)), GIB))

    assert partx(image) == expected


@pytest.mark.needs("sfdisk")
@pytest.mark.parametrize("text", [VAR_AND_SWAP, disk_with(PRIMARY, *[LOGICAL] * 20), EFI])
def test_sfdisk_finds_nothing_wrong(tmp_path: Path, text: str) -> None:
    geometry = place(graph_of(text), 4 * GIB)
    image = written(tmp_path / "image", geometry)

    found = json.loads(output_of("sfdisk", "--json", image))["partitiontable"]["partitions"]

    assert "No errors detected" in output_of("sfdisk", "--verify", image)
    assert [(entry["start"] * 512, entry["size"] * 512) for entry in found] == [
        (volume.start_bytes, volume.size_bytes) for volume in geometry.volumes[1:]
    ]


@pytest.mark.needs("sgdisk", "sfdisk")
def test_sgdisk_finds_nothing_wrong_and_every_name_type_and_guid(tmp_path: Path) -> None:
    geometry = place(upstream("gpt_efi"), GIB)

    image = written(tmp_path / "image", geometry)

    assert "No problems found" in output_of("sgdisk", "--verify", image)
    # DIB's own test states these: +8M EF00 ESP, +8M EF02 BSP, +1006M 8300 "Root Part"
    listing = output_of("sgdisk", "--print", image)
    assert re.findall(
        r"^ +(\d+) +(\d+) +(\d+) +[\d.]+ MiB +(\w{4})  (.*)$", listing, re.MULTILINE
    ) == [
        ("1", "2048", "18431", "EF00", "ESP"),
        ("2", "18432", "34815", "EF02", "BSP"),
        ("3", "34816", "2095103", "8300", "Root Part"),
    ]


def sfdisk_script(geometry: Geometry, *, identity: str) -> str:
    """Say the same table in the words of sfdisk(8), "Input formats"."""

    def guid(*what: str) -> str:
        return str(derived_uuid(identity, "gpt", *what)).upper()

    sector = geometry.sector_size
    lines = ["label: gpt", f"label-id: {guid()}", "unit: sectors", f"sector-size: {sector}"]
    lines.append(f"first-lba: {MIB // sector}")
    for volume in geometry.partitions:
        name = volume.name.replace("\\", r"\x5c").replace('"', r"\x22")
        lines.append(
            f"start={volume.start_bytes // sector}, size={volume.size_bytes // sector}, "
            f"type={gpt_type(volume.type)}, uuid={guid(str(volume.number))}, "
            f'name="{name}"'
        )
    return "\n".join((*lines, ""))


@pytest.mark.slow  # sfdisk waits until all of the host's disks are written (sync(2))
@pytest.mark.needs("sfdisk")
def test_the_script_makes_sfdisk_write_the_same_table(tmp_path: Path) -> None:
    text = EFI.replace("name: BSP", "name: 'a \"quoted\" \\ name'")
    geometry = place(graph_of(text), GIB)
    ours = written(tmp_path / "ours", geometry)
    theirs = tmp_path / "theirs"
    with theirs.open("wb") as file:
        file.truncate(GIB)

    output_of("sfdisk", "--quiet", theirs, text=sfdisk_script(geometry, identity="test"))

    one, two = (
        json.loads(output_of("sfdisk", "--json", image))["partitiontable"]
        for image in (ours, theirs)
    )
    for table, image in ((one, ours), (two, theirs)):
        for entry in table["partitions"]:
            entry["node"] = entry["node"].removeprefix(str(image))
    assert one["id"] == two["id"]
    assert one["partitions"] == two["partitions"]


@pytest.fixture
def loop_of_4k(tmp_path: Path) -> Iterator[tuple[Geometry, str]]:
    geometry = place(graph_of(EFI, Defaults(block_size=4096)), GIB)
    image = written(tmp_path / "image", geometry)
    device = output_of("losetup", "--sector-size=4096", "--show", "--find", image).strip()
    try:
        yield geometry, device
    finally:
        output_of("losetup", "--detach", device)


@pytest.mark.needs("loop", "sfdisk", "sgdisk")
def test_a_table_for_large_sectors_is_read_from_a_disk_that_has_them(
    loop_of_4k: tuple[Geometry, str],
) -> None:
    geometry, device = loop_of_4k

    table = json.loads(output_of("sfdisk", "--json", device))["partitiontable"]

    assert table["sectorsize"] == 4096
    assert [(entry["start"] * 4096, entry["size"] * 4096) for entry in table["partitions"]] == [
        (volume.start_bytes, volume.size_bytes) for volume in geometry.partitions
    ]
    assert "No errors detected" in output_of("sfdisk", "--verify", device)
    assert "No problems found" in output_of("sgdisk", "--verify", device)


@pytest.mark.needs("sgdisk")
def test_short_codes_mean_what_sgdisk_means_by_them(tmp_path: Path) -> None:
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(128 * MIB)
    numbers = dict(enumerate(GPT_CODES, start=1))
    output_of("sgdisk", *(f"--new={n}:0:+1M" for n in numbers), image)
    output_of("sgdisk", *(f"--typecode={n}:{code}" for n, code in numbers.items()), image)

    found = {
        code: re.findall(r"GUID code: (\S+)", output_of("sgdisk", f"--info={n}", image))[0]
        for n, code in numbers.items()
    }

    assert found == GPT_CODES
