"""``dibflow boot``: start an image in a virtual machine and wait for its login prompt."""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dibflow.boot.acceleration import choose_acceleration
from dibflow.boot.command import Forward, Guest, command
from dibflow.boot.firmware import Firmware, Machine, choose_firmware, find_flash
from dibflow.boot.guest import SilentGuest, started, wait_for
from dibflow.boot.image import read_image
from dibflow.errors import BootFailed, UsageError
from dibflow.wording import human_seconds

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_MOST_CPUS = 4
_SILENCE_SECONDS = 20.0
"""On some machines KVM runs small guests, and hangs with larger ones before they say a word."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to those of ``dibflow``."""
    parser = subparsers.add_parser(
        "boot",
        help="start an image in a virtual machine, and wait for its login prompt",
        description="Start an image in qemu and wait until its serial console shows a pattern. The "
        "image is not written to. The exit status is 0 when the pattern has been shown, 6 if not.",
        epilog="example: dibflow boot out/demo.qcow2 --timeout 600",
    )
    parser.add_argument("image", type=Path, metavar="IMAGE", help="raw, qcow2, vhd(x), vmdk, vdi")
    parser.add_argument("--wait-for", default="login:", metavar="REGEX", help="default: login:")
    parser.add_argument("--timeout", type=_positive, default=300, metavar="SECONDS")
    parser.add_argument("--firmware", choices=[one.value for one in Firmware])
    parser.add_argument("--arch", choices=[one.value for one in Machine], default="amd64")
    parser.add_argument("--accel", choices=["auto", "kvm", "tcg"], default="auto")
    parser.add_argument("--memory", type=_positive, default=1024, metavar="MIB")
    parser.add_argument("--cpus", type=_positive, default=min(os.cpu_count() or 1, _MOST_CPUS))
    parser.add_argument(
        "--forward", action="append", type=_forward, default=[], metavar="HOSTPORT:GUESTPORT"
    )
    parser.add_argument(
        "--seed", type=Path, metavar="FOLDER", help="user-data and meta-data for cloud-init"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("-v", "--verbose", action="store_true", help="print the console as it goes")
    how.add_argument("--interactive", action="store_true", help="the console is this terminal")
    how.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Start the image, wait, print the time it took."""
    pattern = _pattern(arguments.wait_for)
    guest = _guest(arguments)
    line = command(guest)
    if arguments.interactive:
        with started(line, on_terminal=True) as process:
            return 0 if process.wait() == 0 else BootFailed.exit_status
    wait = functools.partial(
        wait_for,
        pattern=pattern,
        timeout_seconds=arguments.timeout,
        show=_show if arguments.verbose else len,
    )
    unsure = arguments.accel == "auto" and guest.acceleration == "kvm"
    try:
        seconds = wait(line, silence_seconds=_SILENCE_SECONDS if unsure else None)
    except SilentGuest as error:
        print(f"dibflow: {error.message} under KVM: trying again without it", file=sys.stderr)
        guest = replace(guest, acceleration="tcg")
        seconds = wait(command(guest))
    firmware = Firmware.UEFI if guest.flash else Firmware.BIOS
    if arguments.json:
        told = {
            "image": str(arguments.image),
            "firmware": firmware.value,
            "acceleration": guest.acceleration,
            "seconds": round(seconds, 3),
        }
        print(json.dumps(told))
    else:
        print(
            f'{arguments.image}: "{pattern.pattern}" after {human_seconds(seconds)} '
            f"({firmware.value}, {guest.acceleration})"
        )
    return 0


def _guest(arguments: argparse.Namespace) -> Guest:
    if arguments.seed is not None and not arguments.seed.is_dir():
        raise UsageError(
            f'--seed: there is no folder "{arguments.seed}"',
            hint="a seed is a folder with the files user-data and meta-data",
        )
    image = read_image(arguments.image)
    machine = Machine(arguments.arch)
    wanted = Firmware(arguments.firmware) if arguments.firmware else None
    firmware = choose_firmware(image.table, machine=machine, wanted=wanted)
    return Guest(
        machine=machine,
        disk=image.path,
        format=image.format,
        sector_bytes=image.table.sector_bytes,
        flash=find_flash(machine) if firmware is Firmware.UEFI else None,
        acceleration=choose_acceleration(machine, arguments.accel),
        memory_mib=arguments.memory,
        cpus=arguments.cpus,
        forwards=tuple(arguments.forward),
        seed=arguments.seed,
        interactive=arguments.interactive,
    )


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise UsageError(
            f'--wait-for: "{text}" is no regular expression: {error}', hint="see Python's re"
        ) from error


def _positive(text: str) -> int:
    number = int(text)
    if number <= 0:
        raise ValueError
    return number


def _forward(text: str) -> Forward:
    host, guest = (int(port) for port in text.split(":"))
    if not (0 < host < 65536 and 0 < guest < 65536):
        raise ValueError
    return Forward(host, guest)


def _show(chunk: bytes) -> None:
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
