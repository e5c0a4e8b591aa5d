"""DIB's image YAML, read by DIB's own code and by ours."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

from dibflow.planning.definition import ImageDefinition
from dibflow.planning.dibcommand import read_command
from dibflow.planning.imagefile import read_image_file

upstream: Any = pytest.importorskip("diskimage_builder.diskimage_builder")

EVERY_KEY = """\
    - imagename: out/deb
      arch: arm64
      types: [qcow2, tar]
      environment: {DIB_RELEASE: bookworm}
      ramdisk: false
      debug-trace: 2
      uncompressed: true
      clear: true
      logfile: build.log
      checksum: true
      image-size: 3
      image-extra-size: 100
      image-cache: /cache
      max-online-resize: 4096
      min-tmpfs: 4
      mkfs-journal-size: 32
      mkfs-options: -i 8192
      no-tmpfs: true
      offline: true
      qemu-img-options: {compat: "0.10", cluster_size: 64k}
      root-label: root
      ramdisk-element: dracut-ramdisk
      install-type: package
      docker-target: repo:tag
      packages: [vim, jq]
      skip-base: true
      elements: [vm, debian-minimal]
"""
MERGED = """\
    - imagename: one
      elements: [debian-minimal]
      environment: {A: "1", B: "1"}
      packages: [vim]
    - elements: [vm]
      environment: {B: "2"}
      checksum: true
    - imagename: two
      ramdisk: true
      elements: [debian-minimal]
    - imagename: one
      packages: [jq]
      root-label: later
"""
UNNAMED = """\
    - elements: [debian-minimal]
    - types: [raw]
      debug-trace: 1
"""


@pytest.mark.parametrize("text", [EVERY_KEY, MERGED, UNNAMED])
def test_a_file_asks_for_the_same_images(tmp_path: Path, text: str) -> None:
    path = tmp_path / "image.yaml"
    path.write_text(dedent(text))

    ours = read_image_file(path)

    theirs = upstream.build_commands(yaml.safe_load(path.read_text()))
    assert len(ours) == len(theirs)
    for image, command in zip(ours, theirs, strict=True):
        asked = read_command(
            command.args,
            {},
            ramdisk=command.script.endswith("ramdisk-image-create"),
        )
        assert image.variables == command.environ
        assert {**_fields(image), "environment": ()} == _fields(asked)


def _fields(image: object) -> dict[str, object]:
    assert isinstance(image, ImageDefinition)
    return dataclasses.asdict(image)


def test_the_keys_are_those_of_the_schema(tmp_path: Path) -> None:
    keys = {key: value["type"] for key, value in upstream.SCHEMA_PROPERTIES.items()}
    path = tmp_path / "image.yaml"
    path.write_text(dedent(EVERY_KEY))

    (written,) = yaml.safe_load(path.read_text())

    assert set(written) == set(keys)
