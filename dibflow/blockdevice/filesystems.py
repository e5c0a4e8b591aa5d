"""Give the commands that make filesystems.

Sources: mke2fs(8), mkfs.xfs(8), mkfs.btrfs(8), mkfs.fat(8), mkswap(8).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dibflow.blockdevice.ext import DEFAULT_JOURNAL_BYTES, ext_options
from dibflow.blockdevice.identity import derived_number, derived_uuid
from dibflow.blockdevice.labels import EXT_TYPES
from dibflow.blockdevice.nodes import Mkfs

TOOLS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "ext2": ("mkfs.ext2", "e2fsprogs"),
        "ext3": ("mkfs.ext3", "e2fsprogs"),
        "ext4": ("mkfs.ext4", "e2fsprogs"),
        "xfs": ("mkfs.xfs", "xfsprogs"),
        "btrfs": ("mkfs.btrfs", "btrfs-progs"),
        "vfat": ("mkfs.vfat", "dosfstools"),
        "swap": ("mkswap", "util-linux"),
    }
)
"""For each type of filesystem the program that makes it and the Debian package that brings it."""

_SMALL_SECTOR = 512


def filesystem_uuid(mkfs: Mkfs, *, identity: str) -> str:
    """Give the UUID of a filesystem: the configured one, else one derived from `identity`.

    That of vfat has eight hexadecimal digits, as in ``1A2B-3C4D``.
    """
    if mkfs.uuid is not None:
        return mkfs.uuid
    if mkfs.fstype == "vfat":
        digits = f"{derived_number(identity, 'filesystem', mkfs.name):08X}"
        return f"{digits[:4]}-{digits[4:]}"
    return str(derived_uuid(identity, "filesystem", mkfs.name))


def hash_seed(mkfs: Mkfs, *, identity: str) -> str:
    """Give the seed from which ext derives the order of its folders, else a random one."""
    return str(derived_uuid(identity, "hash seed", mkfs.name))


def make_command(
    mkfs: Mkfs,
    device: str,
    *,
    uuid: str,
    hash_seed: str = "",
    journal_bytes: int = DEFAULT_JOURNAL_BYTES,
    sector_size: int = _SMALL_SECTOR,
) -> tuple[str, ...]:
    """Give the command that makes a filesystem on a device, or in a file, without asking back.

    `uuid` comes from `filesystem_uuid`, `hash_seed` (for ext only) from the function of that name.
    `sector_size` is that of the disk; a file has none of its own. Of an option given twice the last
    one counts, so those of the configuration stand last.
    """
    tool, _ = TOOLS[mkfs.fstype]
    if mkfs.fstype in EXT_TYPES:
        return (*_ext_command(mkfs, uuid, hash_seed, journal_bytes), device)
    match mkfs.fstype:
        case "xfs":
            own = ["-q", "-f", "-L", mkfs.label, "-m", f"uuid={uuid}"]
            if sector_size != _SMALL_SECTOR:
                own += ["-s", f"size={sector_size}"]
        case "btrfs":
            own = ["-q", "-f", "-L", mkfs.label, "-U", uuid]
        case "vfat":
            # --invariant takes the time and the number out; the number comes back behind it.
            own = ["--invariant", "-n", mkfs.label, "-i", uuid.replace("-", "")]
            if sector_size != _SMALL_SECTOR:
                own += ["-S", str(sector_size)]
        case _:
            own = ["-q", "-f", "-L", mkfs.label, "-U", uuid]
    return (tool, *own, *mkfs.options, device)


def fill_command(
    mkfs: Mkfs,
    image: str,
    *,
    folder: str,
    offset_bytes: int,
    size_bytes: int,
    uuid: str,
    hash_seed: str = "",
    journal_bytes: int = DEFAULT_JOURNAL_BYTES,
) -> tuple[str, ...]:
    """Give the command that makes an ext filesystem in a part of a file, and fills it.

    It holds what `folder` does; that part of the file is a hole. The rest is as for `make_command`.
    Source: mke2fs(8), ``-d``, ``-E lazy_journal_init``, ``-E offset``.
    """
    # The file is new, so the journal is zero without 64 MiB of zeroes being written.
    place = ("lazy_journal_init=1", *((f"offset={offset_bytes}",) if offset_bytes else ()))
    command = _ext_command(mkfs, uuid, hash_seed, journal_bytes, extended=place)
    return (*command, "-d", folder, image, f"{size_bytes // 1024}k")


def _ext_command(
    mkfs: Mkfs, uuid: str, seed: str, journal_bytes: int, *, extended: tuple[str, ...] = ()
) -> tuple[str, ...]:
    tool, _ = TOOLS[mkfs.fstype]
    seeds = (f"hash_seed={seed}",) if seed else ()
    arguments = _ext_arguments(mkfs, journal_bytes, extended=(*seeds, *extended))
    return (tool, "-q", "-F", "-L", mkfs.label, "-U", uuid, *arguments)


def _ext_arguments(mkfs: Mkfs, journal_bytes: int, *, extended: tuple[str, ...]) -> tuple[str, ...]:
    """Give the options of mke2fs, with `extended` beside what ``-E`` holds already.

    mke2fs takes the last ``-E`` alone.
    """
    options = ext_options(mkfs, journal_bytes=journal_bytes)
    extended = (*options.given.get("E", ())[-1:], *extended)
    given = [
        word
        for letter, values in options.given.items()
        if letter != "E"
        for value in values
        for word in ((f"-{letter}", value) if value else (f"-{letter}",))
    ]
    merged = ("-E", ",".join(extended)) if extended else ()
    return (*options.arguments(), *merged, *given)
