"""Choose the block-device configuration of an image, as DIB does, and read it.

In this order: the variable ``DIB_BLOCK_DEVICE_CONFIG`` (``file://PATH``, or the text itself), the
first element that brings a file for the architecture or for any, one filesystem without partitions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dibflow.blockdevice.config import FALLBACK, Defaults, read_config
from dibflow.blockdevice.graph import DeviceGraph
from dibflow.errors import UsageError
from dibflow.planning.element import Element
from dibflow.planning.resolve import ResolvedDefinition
from dibflow.planning.sizes import mkfs_options

VARIABLE = "DIB_BLOCK_DEVICE_CONFIG"
_FILE = "file://"
_ARCHITECTURES = {"ppc64le": "ppc64el"}


def read_layout(
    definition: ResolvedDefinition,
    elements: Sequence[Element],
    environment: Mapping[str, str],
    *,
    folder: Path,
) -> DeviceGraph:
    """Give the layout of the image's disk; a relative path is taken from `folder`.

    Raises DefinitionError with file, line and key.
    """
    text, source = _chosen(definition.arch, elements, environment, folder=folder)
    defaults = Defaults(
        root_fstype=environment.get("FS_TYPE") or "ext4",
        root_label=definition.root_label,
        root_options=mkfs_options(definition),
        block_size=_block_size(environment.get("DIB_BLOCK_SIZE", "")),
    )
    return read_config(text, source=source, defaults=defaults)


def _chosen(
    arch: str, elements: Sequence[Element], environment: Mapping[str, str], *, folder: Path
) -> tuple[str, Path]:
    named = environment.get(VARIABLE, "")
    if named.startswith(_FILE):
        return _text(folder / named.removeprefix(_FILE), named_by=VARIABLE)
    if named:
        return named, Path(VARIABLE)
    names = (f"block-device-{_ARCHITECTURES.get(arch, arch)}.yaml", "block-device-default.yaml")
    for element in elements:
        for name in names:
            if (element.path / name).is_file():
                return _text(element.path / name, named_by=f'element "{element.name}"')
    return FALLBACK, Path("built-in")


def _text(path: Path, *, named_by: str) -> tuple[str, Path]:
    try:
        return path.read_text(encoding="utf-8"), path
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f'reading the block-device configuration "{path}", named by {named_by}: {error}',
            hint="name a YAML file that can be read",
        ) from error


def _block_size(text: str) -> int | None:
    if not text:
        return None
    if text not in {"512", "1024", "2048", "4096"}:
        raise UsageError(
            f'the variable DIB_BLOCK_SIZE is "{text}", expected the bytes of a sector',
            hint="512 or 4096",
        )
    return int(text)
