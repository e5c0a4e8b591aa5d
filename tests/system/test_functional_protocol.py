"""Upstream's protocol for functional tests of elements, ``elements/*/test-elements``.

A test element is built beside the element that it is for. It passes if there is an image without
``/tmp/dib-test-should-fail``; or if the build fails and the break point at the failure could copy
that file out of the root.
"""

from __future__ import annotations

import shutil
import tarfile
from enum import Enum
from pathlib import Path

import pytest

from bench.parity.builds import common_environment
from tests.system.harness import ELEMENTS, Ended, Workshop

upstream_paths = pytest.importorskip("diskimage_builder.paths", reason="needs diskimage-builder")
UPSTREAM = Path(upstream_paths.get_path("elements"))
SENTINEL = "dib-test-should-fail"

pytestmark = pytest.mark.needs(
    "root-namespaces", "overlay", "qemu-img", "mkfs.ext4", "dibflow-disk-image-create"
)


class Verdict(Enum):
    """How a test element came out."""

    PASSED = "an image, as it should"
    FAILED_AS_IT_SHOULD = "a failure, as it should"
    SHOULD_HAVE_FAILED = "an image, although it should fail"
    BROKEN = "a failure that nothing expects"


def run(
    workshop: Workshop, element: str, test_element: str, *, patience_seconds: float = 120
) -> tuple[Verdict, Ended]:
    """Build a test element as upstream's script does, and judge it."""
    copy = f"cp -v $TMP_MOUNT_PATH/tmp/{SENTINEL} {workshop.folder} || true"

    ended = workshop.run(
        *("dibflow-disk-image-create", "-x", "-t", "tar,qcow2", "--no-tmpfs"),
        *("-o", str(workshop.folder / "image"), "-n", element, test_element),
        patience_seconds=patience_seconds,
        **{"break": "after-error", "break_outside_target": "1", "break_cmd": copy},
        DIB_SHOW_IMAGE_USAGE="1",
    )

    if ended.status != 0:
        expected = (workshop.folder / SENTINEL).exists()
        return (Verdict.FAILED_AS_IT_SHOULD if expected else Verdict.BROKEN), ended
    assert (workshop.folder / "image.qcow2").exists()
    with tarfile.open(workshop.folder / "image.tar") as archive:
        left = any(name.endswith(f"/tmp/{SENTINEL}") for name in archive.getnames())
    return (Verdict.SHOULD_HAVE_FAILED if left else Verdict.PASSED), ended


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A workshop whose elements are test elements, upstream's, and the tiny system."""
    workshop = Workshop(tmp_path)
    workshop.variables["ELEMENTS_PATH"] = f"{workshop.elements}:{ELEMENTS}:{UPSTREAM}"
    return workshop


@pytest.mark.parametrize(
    ("hook", "verdict"),
    [
        ("true", Verdict.PASSED),
        (f"touch /tmp/{SENTINEL}; exit 1", Verdict.FAILED_AS_IT_SHOULD),
        ("exit 1", Verdict.BROKEN),
    ],
    ids=lambda value: value.name.lower() if isinstance(value, Verdict) else "",
)
def test_the_protocol_tells_how_a_test_element_came_out(
    workshop: Workshop, hook: str, verdict: Verdict
) -> None:
    workshop.hook("trial/install.d/50-trial", hook)

    found, ended = run(workshop, "tiny-os", "trial")

    assert found is verdict, ended.output


def test_the_test_of_apt_sources_fails_as_it_should(workshop: Workshop) -> None:
    """Upstream's own test, but of the tiny system: it needs no more of apt than a folder."""
    test = workshop.elements / "test-sources"
    shutil.copytree(UPSTREAM / "apt-sources" / "test-elements" / "test-sources", test)
    (test / "element-deps").write_text("tiny-os\n")
    workshop.hook("apt-folder/root.d/60-folder", 'mkdir -p "${TARGET_ROOT}/etc/apt"')
    (workshop.elements / "apt-folder" / "element-deps").write_text("tiny-os\n")
    with (test / "element-deps").open("a") as deps:
        deps.write("apt-folder\n")

    found, ended = run(workshop, "apt-sources", "test-sources")

    assert found is Verdict.FAILED_AS_IT_SHOULD, ended.output
    assert "testdata" in ended.output


@pytest.mark.thorough
@pytest.mark.needs("debian-mirror", "mmdebstrap", "debootstrap", "mcopy")
def test_upstreams_test_of_a_debian_with_efi_passes(workshop: Workshop) -> None:
    """Nothing in it asks for the architecture of its name."""
    tests = UPSTREAM / "debian-minimal" / "test-elements"
    workshop.variables.update(common_environment(workshop.environment()))
    workshop.variables["ELEMENTS_PATH"] = f"{tests}:{UPSTREAM}"

    found, ended = run(
        workshop, "debian-minimal", "bookworm-arm64-build-succeeds", patience_seconds=1800
    )

    assert found is Verdict.PASSED, ended.output[-8000:]
