"""Read the fields of one plugin: each value of its kind, or refused with file, line and key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import NoReturn, TypeVar

from dibflow.blockdevice.labels import LABEL_LIMITS
from dibflow.blockdevice.nodes import Extents, TableLabel
from dibflow.blockdevice.parttypes import GPT_DEFAULT, MBR_DEFAULT, gpt_type, mbr_type
from dibflow.blockdevice.sizes import GIB, parse_share, parse_size
from dibflow.errors import UsageError
from dibflow.yamlfile import YamlValue, did_you_mean

_FAT_ID = re.compile(r"[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}")
_LVM_NAME = re.compile(r"(?!-|\.{1,2}\Z)[A-Za-z0-9+_.-]{1,127}")
_EXTENTS = re.compile(r"\+?([0-9]+)(?:%(VG|FREE|PVS))?")
_LEAST_ALIGNMENT = 512
_T = TypeVar("_T")


@dataclass(slots=True)
class Entry:
    """The fields of one plugin, or of one item in it, and the name of what it stands inside of."""

    plugin: str
    value: YamlValue
    fields: dict[str, YamlValue]
    parent: str | None

    def required(self, key: str) -> YamlValue:
        """Give the value of a key that must be there."""
        if key not in self.fields:
            self.value.refuse(f'lacks the key "{key}"')
        return self.fields[key]

    def base(self) -> str:
        """Give the name of what this stands on: as said, else what it stands inside of."""
        if "base" not in self.fields and self.parent is not None:
            return self.parent
        return self.required("base").as_written()

    def name(self, base: str) -> str:
        """Give the name, or the one that DIB makes from the plugin and the base."""
        if "name" in self.fields:
            return self.fields["name"].as_written()
        if not base:
            self.value.refuse('lacks the key "name"')
        return f"{self.plugin}_{base}"

    @property
    def name_place(self) -> YamlValue:
        """Give where the name stands, or would."""
        return self.fields.get("name", self.value)

    def options(self) -> tuple[str, ...]:
        """Give the list of options, if any."""
        return self.fields["options"].texts() if "options" in self.fields else ()

    def count(self, key: str, default: int) -> int:
        """Give a whole number, quoted or not."""
        if key not in self.fields:
            return default
        text = self.fields[key].as_written()
        if not (text.isascii() and text.isdigit()):
            self.fields[key].refuse(f'found "{text}", expected a whole number')
        return int(text)


def _refuse_as(value: YamlValue, error: UsageError) -> NoReturn:
    value.refuse(error.message, hint=error.hint)


def read_size(value: YamlValue) -> int:
    """Read a size in bytes."""
    try:
        return parse_size(value.as_written())
    except UsageError as error:
        _refuse_as(value, error)


def read_share(value: YamlValue) -> Fraction:
    """Read a share as a fraction of one."""
    try:
        return parse_share(value.as_written())
    except UsageError as error:
        _refuse_as(value, error)


def read_alignment(value: YamlValue) -> int:
    """Read where partitions may begin, in bytes."""
    align = read_size(value)
    if align < _LEAST_ALIGNMENT or align & (align - 1) or align > GIB:
        value.refuse(
            f'found "{value.as_written()}", expected a power of two from 512 bytes to 1 GiB'
        )
    return align


def read_choice(value: YamlValue, known: dict[str, _T]) -> _T:
    """Read one of the words of `known` and give what it means."""
    text = value.as_written()
    if text not in known:
        close = did_you_mean(text, known)
        value.refuse(f'found "{text}", expected {" or ".join(known)}', hint=close)
    return known[text]


def read_partition_type(value: YamlValue | None, label: TableLabel) -> str:
    """Read the type of a partition, checked but as it is written."""
    if value is None:
        return MBR_DEFAULT if label is TableLabel.MBR else GPT_DEFAULT
    text = value.as_written()
    try:
        if label is TableLabel.MBR:
            mbr_type(text)
        else:
            gpt_type(text)
    except UsageError as error:
        _refuse_as(value, error)
    return text


def read_filesystem_type(value: YamlValue) -> str:
    """Read the type of a filesystem; ``fat`` is another word for vfat."""
    text = "vfat" if value.text() == "fat" else value.text()
    if text not in LABEL_LIMITS:
        close = did_you_mean(text, LABEL_LIMITS)
        value.refuse(
            f'found "{text}", a filesystem that is not known',
            hint=close or f"known are {', '.join(LABEL_LIMITS)}",
        )
    return text


def read_uuid(value: YamlValue, fstype: str) -> str:
    """Read a UUID; mkfs has the last word on what is one, and vfat has a form of its own."""
    text = value.as_written()
    if fstype == "vfat" and _FAT_ID.fullmatch(text) is None:
        value.refuse(f'found "{text}", expected the eight hexadecimal digits of vfat')
    if not text or text.split() != [text]:
        value.refuse(f'found "{text}", expected a UUID')
    return text


def read_lvm_name(value: YamlValue) -> str:
    """Read a name that LVM takes. Source: lvm(8), "Valid names"."""
    text = value.as_written()
    if _LVM_NAME.fullmatch(text) is None:
        value.refuse(
            f'found "{text}", which is no name for LVM',
            hint="letters, digits and + _ . - are allowed, no - at the beginning",
        )
    return text


def read_extents(value: YamlValue) -> Extents:
    """Read a size in extents as lvcreate takes it."""
    text = value.as_written()
    match = _EXTENTS.fullmatch(text)
    if match is None or int(match[1]) == 0:
        value.refuse(f'found "{text}", expected extents as in "100", "40%VG" or "100%FREE"')
    number, of = match.groups()
    if of is None:
        return Extents(text=text, count=int(number))
    if int(number) > 100:
        value.refuse(f'found "{text}", expected a share up to 100 %')
    return Extents(text=text, share=Fraction(int(number), 100), of=of)
