"""diskimage-builder and dibflow make the same tree of the same elements."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.parity.__main__ import parity
from bench.parity.report import as_text
from tests.system.harness import ELEMENTS

pytestmark = [
    pytest.mark.needs("root-namespaces", "overlay", "loop", "mknod"),
    pytest.mark.needs(
        "disk-image-create", "sudo", "mkfs.ext4", "fstrim", "findmnt", "lsattr", "ps"
    ),
]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of both builds, without what the caller's may say about elements."""
    for name in ("ELEMENTS_PATH", "IMAGE_ELEMENT", "DIB_RELEASE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_the_tiny_system_is_the_same(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ELEMENTS_PATH", str(ELEMENTS))
    environment.setenv("DIB_IMAGE_SIZE", "1")

    comparison = parity(["tiny-os", "tiny-extra"], tmp_path / "parity", skip_base=True)

    assert comparison.verdict.unexplained == (), as_text(comparison)
    assert comparison.hooks > 10


def test_a_difference_is_found(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    """The same comparison, of elements that leave something else with each of the two."""
    elements = tmp_path / "elements"
    hook = elements / "two-faced" / "install.d" / "50-two-faced"
    hook.parent.mkdir(parents=True)
    hook.write_text('#!/bin/bash\nset -eu\nprintf "%s" "${DIB_IMAGE_CACHE}" >/etc/cache\n')
    hook.chmod(0o755)
    environment.setenv("ELEMENTS_PATH", f"{elements}:{ELEMENTS}")
    environment.setenv("DIB_IMAGE_SIZE", "1")

    comparison = parity(["tiny-os", "two-faced"], tmp_path / "parity", skip_base=True)

    assert {one.name for one in comparison.verdict.unexplained} == {"etc/cache"}


@pytest.mark.slow
@pytest.mark.needs("debian-mirror", "mmdebstrap", "debootstrap")
def test_upstreams_debian_minimal_is_the_same(
    tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("DIB_RELEASE", "bookworm")

    comparison = parity(["debian-minimal"], tmp_path / "parity")

    assert comparison.verdict.unexplained == (), as_text(comparison)
    assert comparison.entries > 10_000
    assert comparison.hooks > 40
