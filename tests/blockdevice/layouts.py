"""Layouts that the tests of block devices share: DIB's own and a few written here."""

from __future__ import annotations

from pathlib import Path

import diskimage_builder  # type: ignore[import-untyped] # it ships no types

from dibflow.blockdevice.config import Defaults, read_config
from dibflow.blockdevice.graph import DeviceGraph

_UPSTREAM = Path(diskimage_builder.__file__).parent
SOURCE = Path("layout.yaml")


def graph_of(text: str, defaults: Defaults | None = None) -> DeviceGraph:
    return read_config(text, source=SOURCE, defaults=defaults or Defaults())


def upstream_text(name: str) -> str:
    """Give one of the configurations that DIB's own tests use."""
    return (_UPSTREAM / "block_device" / "tests" / "config" / f"{name}.yaml").read_text()


def upstream(name: str) -> DeviceGraph:
    return graph_of(upstream_text(name))


def upstream_elements() -> dict[str, str]:
    """Give the configurations that DIB's elements bring, by ``element/file``."""
    paths = sorted((_UPSTREAM / "elements").glob("block-device-*/*.yaml"))
    return {f"{path.parent.name}/{path.name}": path.read_text() for path in paths}


def disk_with(*partitions: str, label: str = "mbr", loop: str = "", root: str = "0") -> str:
    """Write a layout of partitions, each a flow mapping without a name; `root` is on ``/``."""
    items = "".join(f"      - {{name: '{n}', {text}}}\n" for n, text in enumerate(partitions))
    return f"""\
- local_loop: {{name: image0, {loop}}}
- partitioning:
    base: image0
    label: {label}
    partitions:
{items}
- mkfs: {{name: mkfs_root, base: '{root}', mount: {{mount_point: /}}}}
"""


EFI = """\
- local_loop:
    name: image0
- partitioning:
    base: image0
    label: gpt
    partitions:
      - name: ESP
        type: EF00
        size: 64MiB
        mkfs:
          type: vfat
          mount:
            mount_point: /boot/efi
            fstab:
              options: umask=0077
      - name: BSP
        type: EF02
        size: 8MiB
      - name: root
        size: 100%
        mkfs:
          mount:
            mount_point: /
            fstab:
              fsck-passno: 1
"""

VAR_AND_SWAP = """\
- local_loop:
    name: image0
- partitioning:
    base: image0
    label: mbr
    partitions:
      - name: swap
        type: '0x82'
        flags: [primary]
        size: 256MiB
        mkfs:
          type: swap
          mount:
            mount_point: none
            fstab: {}
      - name: root
        flags: [boot, primary]
        size: 60%
        mkfs:
          mount:
            mount_point: /
            fstab:
              fsck-passno: 1
      - name: var
        size: 100%
        mkfs:
          type: ext4
          label: var
          mount:
            mount_point: /var
            fstab: {}
"""
