"""What a person asks for: one image, described and checked."""

from __future__ import annotations

import math
import posixpath
import re
from dataclasses import dataclass
from itertools import pairwise

from dibflow.errors import UsageError
from dibflow.planning.formats import FORMATS, KNOWN_TYPES
from dibflow.yamlfile import did_you_mean

DEFAULT_NAME = "image"

ARCHITECTURES = (
    "aarch64",
    "amd64",
    "arm64",
    "armhf",
    "powerpc",
    "ppc64",
    "ppc64el",
    "ppc64le",
    "s390x",
    "x86_64",
)

INSTALL_TYPES = ("source", "package")

_ELEMENT = re.compile(r"\A[^\s/\0]+\Z")
_PACKAGE = re.compile(r"\A[^\s\0]+\Z")  # apt takes name/suite
_DOCKER_TARGET = re.compile(
    r"\A[a-zA-Z0-9][a-zA-Z0-9.-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._/-]*)?(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?\Z"
)
_VARIABLE = re.compile(r"\A[A-Za-z_][0-9A-Za-z_]*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDefinition:
    """One image as it was asked for: every field is an option of the image commands.

    None, "" or False is an option that was not given; its default and the variable of the same
    meaning are the engine's matter. `name` is the path of the outputs without their extension; with
    one output type a trailing ``.<type>``, or the extension of its files, is cut off. `elements`
    and `types` keep their order, repeated types are dropped. `environment` is sorted by name.

    Raises UsageError for a value that makes no sense.
    """

    elements: tuple[str, ...]
    name: str = DEFAULT_NAME
    types: tuple[str, ...] = ("qcow2",)
    arch: str | None = None
    environment: tuple[tuple[str, str], ...] = ()
    packages: tuple[str, ...] = ()
    skip_base: bool = False
    ramdisk: bool = False
    ramdisk_element: str | None = None
    install_type: str | None = None
    image_size_gib: float | None = None
    image_extra_size_mib: int | None = None
    max_online_resize: int | None = None
    mkfs_options: str = ""
    mkfs_journal_size_mib: int | None = None
    root_label: str | None = None
    qemu_img_options: str = ""
    uncompressed: bool = False
    checksum: bool = False
    docker_target: str | None = None
    offline: bool = False
    image_cache: str | None = None
    min_tmpfs_gib: int | None = None
    no_tmpfs: bool = False
    clear: bool = False
    logfile: str | None = None
    debug_trace: int = 0

    def __post_init__(self) -> None:
        types = tuple(dict.fromkeys(self.types))
        if len(types) == 1:
            object.__setattr__(self, "name", _without_extension(self.name, types[0]))
        object.__setattr__(self, "types", types)
        object.__setattr__(self, "environment", tuple(sorted(self.environment)))
        self._check_elements()
        self._check_outputs()
        self._check_environment()
        self._check_choices()
        self._check_texts()
        self._check_sizes()

    @property
    def variables(self) -> dict[str, str]:
        """Give `environment` as a mapping."""
        return dict(self.environment)

    def _check_elements(self) -> None:
        if not self.elements:
            raise UsageError(
                "found no element, expected at least one", hint="name an operating system element"
            )
        for element in self.elements:
            if not _ELEMENT.search(element):
                raise _unfit(element, "element", "a name without blanks and slashes")
        for package in self.packages:
            if not _PACKAGE.search(package):
                raise _unfit(package, "package", "a name without blanks")

    def _check_outputs(self) -> None:
        if "\0" in self.name or posixpath.basename(self.name) in {"", ".", ".."}:
            raise _unfit(self.name, "name", "the path of a file, without its extension")
        if not self.types:
            raise UsageError(f"found no type, expected one of {', '.join(KNOWN_TYPES)}")
        for output in self.types:
            _check_choice(output, "type", KNOWN_TYPES)
        target = self.docker_target
        if target and not _DOCKER_TARGET.search(target):
            raise _unfit(target, "docker target", "a name, as registry:5000/path/name:tag")

    def _check_environment(self) -> None:
        for (name, value), (following, _) in pairwise((*self.environment, ("", ""))):
            if not _VARIABLE.search(name):
                raise _unfit(name, "name of a variable", "letters, digits and underscores")
            if name == following:
                raise _unfit(name, "name of a variable twice", "each variable once")
            if "\0" in value:
                raise _unfit(value, f"value of {name}", "a text without NUL characters")

    def _check_choices(self) -> None:
        _check_choice(self.arch, "architecture", ARCHITECTURES)
        _check_choice(self.install_type, "install type", INSTALL_TYPES)

    def _check_texts(self) -> None:
        for label, text in (
            ("ramdisk element", self.ramdisk_element),
            ("root label", self.root_label),
            ("docker target", self.docker_target),
            ("image cache", self.image_cache),
            ("logfile", self.logfile),
        ):
            if text is not None and (not text or "\0" in text):
                raise _unfit(text, label, "a text that is not empty and has no NUL character")
        for label, text in (
            ("mkfs options", self.mkfs_options),
            ("qemu-img options", self.qemu_img_options),
        ):
            if "\0" in text:
                raise _unfit(text, label, "a text without NUL characters")

    def _check_sizes(self) -> None:
        for label, size in (
            ("image size", self.image_size_gib),
            ("extra image size", self.image_extra_size_mib),
            ("journal size", self.mkfs_journal_size_mib),
            ("maximum online resize", self.max_online_resize),
            ("minimum tmpfs size", self.min_tmpfs_gib),
        ):
            if size is not None and not (size > 0 and math.isfinite(size)):
                raise _unfit(size, label, "a number above zero")
        if self.debug_trace < 0:
            raise _unfit(self.debug_trace, "level of tracing", "zero or more")


def _without_extension(name: str, kind: str) -> str:
    made = FORMATS.get(kind)
    for extension in (kind, made.extension if made else kind):
        if name.endswith(f".{extension}"):
            return name.removesuffix(f".{extension}")
    return name


def _unfit(value: object, role: str, expected: str, *, hint: str = "") -> UsageError:
    return UsageError(f'found "{value}" as {role}, expected {expected}', hint=hint)


def _check_choice(value: str | None, role: str, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        expected = f"one of {', '.join(known)}"
        raise _unfit(value, role, expected, hint=did_you_mean(value, known))
