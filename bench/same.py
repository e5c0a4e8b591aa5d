"""Tell whether two images hold the same: ``python -m bench same OLD.tar NEW.tar``.

For changes that are to save time and nothing else. Compared are all names with type, mode, owner,
link and content, of the initramfs what is in it. Times are not. Each difference is printed; those
of `EXPLAINED` with the reason and without effect on the exit status.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

EXPLAINED: Mapping[str, str] = {
    r"var/cache/ldconfig/aux-cache": "inode numbers and times",
    r"var/lib/(dpkg|apt)/.*-old|var/cache/debconf/.*-old|etc/(passwd|shadow|group|gshadow)-|"
    r"etc/\.pwd\.lock|var/backups/.*": "the state before the last change",
    r"etc/shadow": "the day on which a password was last changed",
    r"var/cache/debconf/.*\.dat": "the order in which questions were registered",
    r"var/log/.*|root/.*\.log": "logs",
    r"boot/grub/grubenv|boot/grub/i386-pc/.*|boot/grub/grub.cfg|etc/fstab": "ids of the disk",
    r"etc/dib-manifests/.*": "how the build was started",
    r"var/lib/systemd/catalog/database|usr/lib/udev/hwdb.bin|etc/udev/hwdb.bin": "generated, "
    "with times in it",
    r".*\.pyc": "the time of its source",
    r"etc/iscsi/initiatorname\.iscsi|boot/initrd\.img-[^:]*:etc/initiatorname\.iscsi": "a random "
    "name, made when the package is installed",
}

_INITRAMFS = re.compile(r"boot/initrd\.img-.*")
_GZIP = b"\x1f\x8b"


def main(arguments: Sequence[str]) -> int:
    """Print the differences; 1 if one is not explained."""
    parser = argparse.ArgumentParser(
        prog="python -m bench same",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("old", type=Path, help="a tar of the image as it was")
    parser.add_argument("new", type=Path, help="a tar of the image as it is now")
    chosen = parser.parse_args(arguments)
    old, new = holds(chosen.old), holds(chosen.new)
    status = 0
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) == new.get(name):
            continue
        reason = explanation(name)
        status = status if reason else 1
        print(f"{name}: {old.get(name, '-')} -> {new.get(name, '-')}{reason and f'  ({reason})'}")
    print(f"{len(old)} and {len(new)} names compared: {'differences' if status else 'the same'}")
    return status


def explanation(name: str) -> str:
    """Give the reason why a file may differ; empty if it must not."""
    for pattern, reason in EXPLAINED.items():
        if re.fullmatch(pattern, name):
            return reason
    return ""


def holds(archive: Path) -> dict[str, str]:
    """Give what an archive holds: by name, a line that is the same where the entry is."""
    found: dict[str, str] = {}
    with tarfile.open(archive, "r|*") as members:
        for member in members:
            name = member.name.removeprefix("./")
            said = f"{member.type.decode()} {member.mode:o} {member.uid}:{member.gid}"
            if member.issym() or member.islnk():
                said += f" {member.linkname}"
            if member.isfile():
                file = members.extractfile(member)
                content = file.read() if file else b""
                if _INITRAMFS.fullmatch(name):
                    found |= {f"{name}:{inner}": what for inner, what in _initramfs(content)}
                    content = b""
                said += f" {hashlib.sha256(content).hexdigest()[:16]}"
            found[name] = said
    return found


def _initramfs(content: bytes) -> Iterator[tuple[str, str]]:
    """Give what an initramfs holds: a cpio archive of ASCII headers, as a rule compressed by gzip.

    Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
    """
    if content.startswith(_GZIP):
        content = zlib.decompress(content, wbits=31)
    at = 0
    while content[at : at + 6] == b"070701":
        fields = [int(content[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        start = at + 110
        name = content[start : start + name_size - 1].decode()
        start += name_size + -(110 + name_size) % 4
        data = content[start : start + size]
        at = start + size + -size % 4
        if name == "TRAILER!!!":
            return
        yield name, f"{mode:o} {hashlib.sha256(data).hexdigest()[:16]}"
