"""Tests of qemu's command line."""

from dataclasses import replace
from pathlib import Path

from dibflow.boot.command import Forward, Guest, command
from dibflow.boot.firmware import Flash, Machine

GUEST = Guest(
    machine=Machine.AMD64,
    disk=Path("/images/a,b.qcow2"),
    format="qcow2",
    sector_bytes=512,
    flash=None,
    acceleration="tcg",
    memory_mib=1024,
    cpus=2,
)


def values(arguments: list[str], option: str) -> list[str]:
    return [arguments[number + 1] for number, word in enumerate(arguments) if word == option]


def test_the_disk_is_never_written_to() -> None:
    assert values(command(GUEST), "-drive") == [
        "if=none,id=disk,snapshot=on,format=qcow2,file=/images/a,,b.qcow2"
    ]


def test_efi_gets_its_code_read_only_and_variables_of_its_own() -> None:
    flash = Flash(Path("/code.fd"), Path("/vars.fd"))

    assert values(command(replace(GUEST, flash=flash)), "-drive")[:2] == [
        "if=pflash,format=raw,unit=0,readonly=on,file=/code.fd",
        "if=pflash,format=raw,unit=1,snapshot=on,file=/vars.fd",
    ]


def test_a_disk_with_big_sectors_is_shown_as_one() -> None:
    devices = values(command(replace(GUEST, sector_bytes=4096)), "-device")

    assert (
        "virtio-blk-pci,drive=disk,bootindex=1,logical_block_size=4096,physical_block_size=4096"
        in devices
    )


def test_ports_are_forwarded_from_this_host_only() -> None:
    guest = replace(GUEST, forwards=(Forward(2222, 22), Forward(8080, 80)))

    assert values(command(guest), "-netdev") == [
        "user,id=net,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=tcp:127.0.0.1:8080-:80"
    ]


def test_a_seed_is_a_filesystem_that_cloud_init_looks_for() -> None:
    blockdevs = values(command(replace(GUEST, seed=Path("/seed"))), "-blockdev")

    assert blockdevs == ["driver=vvfat,node-name=seed,read-only=on,label=cidata,dir=/seed"]


def test_arm_has_its_own_program_and_machine() -> None:
    arguments = command(replace(GUEST, machine=Machine.ARM64))

    assert arguments[:3] == ["qemu-system-aarch64", "-machine", "virt"]
