"""Read the types of partitions: a byte for mbr, a GUID for gpt.

Sources: UEFI specification 2.10, table 5.7; UAPI Group, "Discoverable Partitions Specification";
sgdisk(8), ``--list-types``, for the short codes.
"""

from __future__ import annotations

import re
import uuid

from dibflow.errors import UsageError

MBR_DEFAULT = "0x83"
GPT_DEFAULT = "8300"

EXTENDED = 0x0F
_CONTAINERS = frozenset({0x05, EXTENDED, 0x85})

GPT_CODES = {
    "0700": "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7",  # Microsoft basic data
    "0C01": "E3C9E316-0B5C-4DB8-817D-F92DF00215AE",  # Microsoft reserved
    "2700": "DE94BBA4-06D1-4D40-A16A-BFD50179D6AC",  # Windows RE
    "4100": "9E1A2D38-C612-4316-AA26-8B49521E5A8B",  # PowerPC PReP boot
    "8200": "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",  # Linux swap
    "8300": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",  # Linux filesystem
    "8301": "8DA63339-0007-60C0-C436-083AC8230908",  # Linux reserved
    "8302": "933AC7E1-2EB4-4F13-B844-0E14E2AEF915",  # Linux /home
    "8303": "44479540-F297-41B2-9AF7-D131D5F0458A",  # Linux x86 root
    "8304": "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",  # Linux x86-64 root
    "8305": "B921B045-1DF0-41C3-AF44-4C6F280D3FAE",  # Linux ARM64 root
    "8306": "3B8F8425-20E0-4F3B-907F-1A25A76F98E8",  # Linux /srv
    "8307": "69DAD710-2CE4-4E3C-B16C-21A1D49ABED3",  # Linux ARM32 root
    "8308": "7FFEC5C9-2D00-49B7-8941-3EA10A5586B7",  # Linux dm-crypt
    "8309": "CA7D7CCB-63ED-4C53-861C-1742536059CC",  # Linux LUKS
    "8310": "4D21B016-B534-45C2-A9FB-5C16E091FD2D",  # Linux /var
    "8311": "7EC6F557-3BC5-4ACA-B293-16EF5DF639D1",  # Linux /var/tmp
    "8312": "773F91EF-66D4-49B5-BD83-D683BF40AD16",  # Linux home of one user
    "8313": "75250D76-8CC6-458E-BD66-BD47CC81A812",  # Linux x86 /usr
    "8314": "8484680C-9521-48C6-9C11-B0720656F69E",  # Linux x86-64 /usr
    "8315": "7D0359A3-02B3-4F0A-865C-654403E70625",  # Linux ARM32 /usr
    "8316": "B0E01050-EE5F-4390-949A-9101B17104E9",  # Linux ARM64 /usr
    "8E00": "E6D6D379-F507-44C2-A23C-238F2A3DF928",  # Linux LVM
    "EA00": "BC13C2FF-59E6-4262-A352-B275FD6F7172",  # extended boot loader partition
    "EF00": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",  # EFI system partition
    "EF01": "024DEE41-33E7-11D3-9D69-0008C781F39F",  # MBR partition scheme
    "EF02": "21686148-6449-6E6F-744E-656564454649",  # BIOS boot partition
    "FD00": "A19D880F-05FC-4D3B-A006-743F0F84911E",  # Linux RAID
}
"""sgdisk's short codes of what a Linux image can hold; any other type is given as a GUID."""

_HEX_BYTE = re.compile(r"(?:0[xX])?([0-9A-Fa-f]{1,4})")


def mbr_type(text: str) -> int:
    """Give the type byte of ``0x83`` or ``83``; raises UsageError for what cannot be one."""
    match = _HEX_BYTE.fullmatch(text)
    number = int(match[1], 16) if match else 0
    if not 0 < number <= 0xFF:
        hint = "EF00 and the like are types of gpt" if number > 0xFF else ""
        raise UsageError(f'found "{text}", expected a type of mbr, as in "0x83"', hint=hint)
    if number in _CONTAINERS:
        raise UsageError(
            f'found "{text}", the type of an extended partition',
            hint='extended partitions are made as needed: leave out the flag "primary"',
        )
    return number


def gpt_type(text: str) -> str:
    """Give the GUID of ``EF00``, ``0x4100`` or of a GUID itself, in capitals.

    Raises UsageError for anything else.
    """
    match = _HEX_BYTE.fullmatch(text)
    if match and match[1].upper().zfill(4) in GPT_CODES:
        return GPT_CODES[match[1].upper().zfill(4)]
    try:
        guid = str(uuid.UUID(text)).upper()
    except ValueError:
        guid = ""
    if guid != text.upper():
        raise UsageError(
            f'found "{text}", which is no type of gpt that is known here',
            hint=f"give its GUID, or one of {', '.join(GPT_CODES)}",
        )
    return guid
