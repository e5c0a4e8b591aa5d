"""Find out whether KVM really runs a guest here; a device that can be opened is no proof."""

from __future__ import annotations

import functools
import os
import platform
import subprocess

from dibflow.boot.command import PROGRAMS, accelerator
from dibflow.boot.firmware import Machine
from dibflow.boot.guest import started
from dibflow.errors import HostError

_PATIENCE_SECONDS = 5.0
_DISK_BYTES = 1024 * 1024  # BIOS reads no disk of a single sector
_SAID = 0x10
_EXIT_PORT = 0xF4
_STATUS = _SAID << 1 | 1  # what qemu's isa-debug-exit makes of it


def boot_sector(code: bytes) -> bytes:
    """Give a sector that BIOS starts: code, and the mark at the end."""
    if len(code) > 510:
        raise ValueError("the code does not fit")
    return code.ljust(510, b"\0") + b"\x55\xaa"


_LEAVE = boot_sector(
    bytes([0xBA, _EXIT_PORT, 0x00])  # mov dx, port
    + bytes([0xB0, _SAID])  # mov al, value
    + bytes([0xEE])  # out dx, al
    + bytes([0xF4, 0xEB, 0xFD])  # hlt; jmp to it
)


def choose_acceleration(machine: Machine, wanted: str) -> str:
    """Give ``kvm`` or ``tcg``; `wanted` may also be ``auto``, which takes KVM where it works."""
    if wanted != "auto":
        return wanted
    native = {"x86_64": Machine.AMD64, "aarch64": Machine.ARM64}.get(platform.machine())
    return "kvm" if native is machine and runs_guests("kvm") else "tcg"


@functools.cache
def runs_guests(acceleration: str) -> bool:
    """Tell whether a tiny guest gets to its end under an acceleration; tried once in a process.

    The guest is for amd64; on other machines only whether the device of KVM can be used is known.
    """
    if acceleration == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    if platform.machine() != "x86_64":
        return True
    descriptor = os.memfd_create("tiny-guest", 0)
    try:
        os.write(descriptor, _LEAVE)
        os.ftruncate(descriptor, _DISK_BYTES)
        arguments = [
            PROGRAMS[Machine.AMD64],
            *("-machine", "q35", *accelerator(acceleration), "-m", "32M"),
            *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
            *("-device", f"isa-debug-exit,iobase={_EXIT_PORT:#x},iosize=1"),
            *("-drive", f"format=raw,if=none,id=d,snapshot=on,file=/proc/self/fd/{descriptor}"),
            *("-device", "virtio-blk-pci,drive=d,bootindex=1"),
        ]
        with started(arguments, keep=(descriptor,)) as process:
            try:
                return process.wait(_PATIENCE_SECONDS) == _STATUS
            except subprocess.TimeoutExpired:
                return False
    except HostError:
        return False
    finally:
        os.close(descriptor)
