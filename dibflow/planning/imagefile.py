"""Image definitions in YAML: the format of diskimage-builder's own command, and ``include``.

A file holds a mapping, or a list of them; several files are read as one. Mappings with the same
``imagename`` describe one image together: lists are appended, mappings updated, everything else
replaced. A mapping without a name goes on with the image before it; the first one is called
``image``.

``include: FILE`` (or a list of files, relative to the file that names them) puts the mappings of
those files before the keys beside it, merged by the same rules, so that an image can be a few lines
over a shared part.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from dibflow.errors import DefinitionError, UsageError
from dibflow.planning.definition import DEFAULT_NAME, ImageDefinition
from dibflow.yamlfile import YamlValue, read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

INCLUDE = "include"

_Plain: TypeAlias = str | bool | int | float | tuple[str, ...] | dict[str, str]
_Fields: TypeAlias = dict[str, _Plain]


@dataclass(frozen=True, slots=True)
class _Key:
    """One key of the format: the field of ImageDefinition it sets, and how to read its value."""

    field: str
    read: Callable[[YamlValue], _Plain]


def read_image_file(*paths: Path) -> tuple[ImageDefinition, ...]:
    """Read the images that files describe, in the order their names first appear.

    Raises DefinitionError for whatever is unknown, of another type or out of range; its message
    starts with file and line, names the key and says what was expected.
    """
    images: dict[str, _Fields] = {}
    first_mention: dict[str, YamlValue] = {}
    name = DEFAULT_NAME
    for entry in (entry for path in paths for entry in _entries(path)):
        fields = _fields_of(entry, including=(entry.path.resolve(),))
        name = str(fields.get("name", name))
        first_mention.setdefault(name, entry)
        images[name] = _merged(images.get(name, {}), fields)
    return tuple(
        _definition({"name": name} | fields, first_mention[name]) for name, fields in images.items()
    )


def _entries(path: Path) -> tuple[YamlValue, ...]:
    content = read_yaml(path)
    if content is None:
        raise DefinitionError(
            f"{path}:1: found nothing, expected a mapping or a list of mappings",
            hint="describe at least one image: elements: [debian-minimal]",
        )
    if not content.is_list:
        return (content,)
    if not (entries := content.items()):
        content.refuse("found an empty list, expected a list of mappings")
    return entries


def _fields_of(entry: YamlValue, *, including: tuple[Path, ...]) -> _Fields:
    """Read one mapping with what it includes; `including` are the files being read, outer first."""
    values = entry.fields((*_KEYS, INCLUDE))
    fields: _Fields = {}
    if INCLUDE in values:
        for name in _one_or_more(values[INCLUDE]):
            fields = _merged(fields, _included(name, including=including))
    own: _Fields = {}
    for key, value in values.items():
        if key != INCLUDE:
            own[_KEYS[key].field] = _read_checked(key, value)
    return _merged(fields, own)


def _one_or_more(value: YamlValue) -> tuple[YamlValue, ...]:
    return value.items() if value.is_list else (value,)


def _included(name: YamlValue, *, including: tuple[Path, ...]) -> _Fields:
    path = name.path.parent / name.text()
    if not path.is_file():
        name.refuse(f'found the text "{name.text()}", expected a file: "{path}" is none')
    resolved = path.resolve()
    if resolved in including:
        chain = " -> ".join(str(file) for file in (*including, resolved))
        name.refuse(f"includes files in a circle: {chain}", hint="remove one of the includes")
    fields: _Fields = {}
    for entry in _entries(path):
        fields = _merged(fields, _fields_of(entry, including=(*including, resolved)))
    return fields


def _merged(base: _Fields, update: _Fields) -> _Fields:
    merged = dict(base)
    for field, value in update.items():
        before = merged.get(field)
        if isinstance(before, tuple) and isinstance(value, tuple):
            merged[field] = before + value
        elif isinstance(before, dict) and isinstance(value, dict):
            merged[field] = before | value
        else:
            merged[field] = value
    return merged


def _definition(fields: _Fields, entry: YamlValue) -> ImageDefinition:
    if "elements" not in fields:
        entry.refuse(
            f'image "{fields["name"]}" has no key "elements"',
            hint="name its elements: elements: [debian-minimal]",
        )
    try:
        return dataclasses.replace(_BLANK, **_constructor_arguments(fields))
    except UsageError as error:
        entry.refuse(f'image "{fields["name"]}": {error.message}', hint=error.hint)


def _read_checked(key: str, value: YamlValue) -> _Plain:
    """Read the value of a key and refuse it here, while its line is known."""
    plain = _KEYS[key].read(value)
    try:
        dataclasses.replace(_BLANK, **_constructor_arguments({_KEYS[key].field: plain}))
    except UsageError as error:
        value.refuse(error.message, hint=error.hint)
    return plain


def _constructor_arguments(fields: _Fields) -> dict[str, Any]:
    """Turn mappings into what ImageDefinition takes: pairs, or the text of an option.

    The types of the values are those that _KEYS reads for each field.
    """
    arguments: dict[str, Any] = dict(fields)
    for field, value in fields.items():
        if isinstance(value, dict):
            is_option = field == "qemu_img_options"
            pairs = tuple(value.items())
            arguments[field] = ",".join(f"{k}={v}" for k, v in pairs) if is_option else pairs
    return arguments


def _string_mapping(value: YamlValue) -> dict[str, str]:
    return {name: text.text() for name, text in value.mapping().items()}


def _whole_size(value: YamlValue) -> int:
    size = value.integer()
    if size < 1:
        value.refuse(f'found the number "{size}", expected a whole number above zero')
    return size


def _trace(value: YamlValue) -> int:
    level = value.integer()
    if level not in {0, 1, 2}:
        value.refuse(f'found the number "{level}", expected 0, 1 or 2')
    return level


_BLANK = ImageDefinition(elements=("blank",))

_KEYS: dict[str, _Key] = {
    "imagename": _Key("name", YamlValue.text),
    "arch": _Key("arch", YamlValue.text),
    "types": _Key("types", YamlValue.texts),
    "environment": _Key("environment", _string_mapping),
    "ramdisk": _Key("ramdisk", YamlValue.boolean),
    "debug-trace": _Key("debug_trace", _trace),
    "uncompressed": _Key("uncompressed", YamlValue.boolean),
    "clear": _Key("clear", YamlValue.boolean),
    "logfile": _Key("logfile", YamlValue.text),
    "checksum": _Key("checksum", YamlValue.boolean),
    "image-size": _Key("image_size_gib", YamlValue.number),
    "image-extra-size": _Key("image_extra_size_mib", _whole_size),
    "image-cache": _Key("image_cache", YamlValue.text),
    "max-online-resize": _Key("max_online_resize", _whole_size),
    "min-tmpfs": _Key("min_tmpfs_gib", _whole_size),
    "mkfs-journal-size": _Key("mkfs_journal_size_mib", _whole_size),
    "mkfs-options": _Key("mkfs_options", YamlValue.text),
    "no-tmpfs": _Key("no_tmpfs", YamlValue.boolean),
    "offline": _Key("offline", YamlValue.boolean),
    "qemu-img-options": _Key("qemu_img_options", _string_mapping),
    "root-label": _Key("root_label", YamlValue.text),
    "ramdisk-element": _Key("ramdisk_element", YamlValue.text),
    "install-type": _Key("install_type", YamlValue.text),
    "docker-target": _Key("docker_target", YamlValue.text),
    "packages": _Key("packages", YamlValue.texts),
    "skip-base": _Key("skip_base", YamlValue.boolean),
    "elements": _Key("elements", YamlValue.texts),
}
