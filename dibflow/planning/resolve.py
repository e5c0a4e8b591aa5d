"""Fill in what a definition leaves open, from the environment and the machine.

An option wins over the variable of the same meaning, the variable over the default.
"""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping

from dibflow.errors import UsageError
from dibflow.planning.definition import ImageDefinition

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclasses.dataclass(frozen=True, slots=True)
class ResolvedDefinition(ImageDefinition):
    """A definition in which `arch`, `install_type` and `root_label` are always set.

    `ramdisk_element` is set for a ramdisk, and None for any other image.
    """

    arch: str
    install_type: str
    root_label: str

    def without_outputs(self) -> ResolvedDefinition:
        """Give the same image with nothing to be made of its tree."""
        return dataclasses.replace(self, types=())

    def _check_outputs(self) -> None:
        # A person has to ask for an output; what an element does not want is settled later.
        if self.types:
            ImageDefinition._check_outputs(self)


def machine_architecture(machine: str) -> str:
    """Give DIB's name of an architecture for that of uname(2): ``amd64`` for ``x86_64``."""
    if machine.startswith("armv"):
        return "armhf"
    return _MACHINES.get(machine, machine)


def resolve(
    definition: ImageDefinition, user: Mapping[str, str], *, machine: str = ""
) -> ResolvedDefinition:
    """Give `definition` with every option that has a variable or a default filled in.

    `machine` is uname's, of this machine if empty. Raises UsageError for a variable that makes no
    sense, naming it.
    """
    variables = {**user, **definition.variables}
    arch = definition.arch or variables.get("ARCH")
    filesystem = variables.get("FS_TYPE", "ext4")
    label = "img-rootfs" if filesystem == "xfs" else "cloudimg-rootfs"
    values = {
        field.name: getattr(definition, field.name) for field in dataclasses.fields(definition)
    }
    values |= {
        "arch": arch or machine_architecture(machine or platform.machine()),
        "install_type": definition.install_type
        or variables.get("DIB_DEFAULT_INSTALLTYPE")
        or "source",
        "root_label": definition.root_label or variables.get("ROOT_LABEL") or label,
        "ramdisk_element": _ramdisk_element(definition, variables) if definition.ramdisk else None,
        "skip_base": definition.skip_base or variables.get("SKIP_BASE") == "1",
        "offline": definition.offline or bool(variables.get("DIB_OFFLINE")),
        "image_cache": definition.image_cache or variables.get("DIB_IMAGE_CACHE"),
        "qemu_img_options": definition.qemu_img_options or variables.get("QEMU_IMG_OPTIONS", ""),
        "debug_trace": definition.debug_trace
        or int(_number("DIB_DEBUG_TRACE", variables, whole=True) or 0),
        "image_size_gib": definition.image_size_gib or _number("DIB_IMAGE_SIZE", variables),
        "image_extra_size_mib": definition.image_extra_size_mib
        or _number("DIB_IMAGE_EXTRA_SIZE", variables, whole=True),
        "mkfs_journal_size_mib": definition.mkfs_journal_size_mib
        or _number("DIB_JOURNAL_SIZE", variables, whole=True),
        "max_online_resize": definition.max_online_resize
        or _number("MAX_ONLINE_RESIZE", variables, whole=True),
    }
    return ResolvedDefinition(**values)


def _ramdisk_element(definition: ImageDefinition, variables: Mapping[str, str]) -> str:
    return definition.ramdisk_element or variables.get("RAMDISK_ELEMENT") or "ramdisk"


def _number(name: str, variables: Mapping[str, str], *, whole: bool = False) -> float | int | None:
    text = variables.get(name, "")
    if not text:
        return None
    try:
        return int(text) if whole else float(text)
    except ValueError as error:
        kind = "whole number" if whole else "number"
        raise UsageError(f'the variable {name} is "{text}", expected a {kind}') from error
