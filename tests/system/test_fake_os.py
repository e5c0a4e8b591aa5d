"""Upstream's test of output types: a system of some folders and 42 MiB, as every type.

There each type is asked for alone, and then all of them at once; all of them must then be there.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest

from dibflow.planning.formats import FORMATS
from tests.system.harness import Workshop

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.needs("root-namespaces", "overlay", "qemu-img", "mkfs.ext4"),
]

TYPES = ("tar", "tgz", "squashfs", "raw", "qcow2", "docker", "aci")
"""The types that upstream tests, in its order."""

OTHERS = tuple(name for name in FORMATS if name not in TYPES)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A folder with the system's element, and one store for all the builds."""
    workshop = Workshop(tmp_path_factory.mktemp("fake-os"))
    workshop.hook(
        "fake-os/root.d/10-fake-os",
        'cd "${TARGET_ROOT}"\n'
        "mkdir -p dev etc mnt proc sys tmp\n"
        "touch fake-os\n"
        "head -c 42M /dev/zero >fake-data\n",
    )
    (workshop.elements / "fake-os" / "element-provides").write_text("operating-system\n")
    return workshop


def build(workshop: Workshop, name: str, *types: str) -> list[Path]:
    """Build the system as `types`, or as what comes without; give the paths to expect."""
    for one in types:
        for program in FORMATS[one].programs:
            if shutil.which(program.name) is None:
                pytest.skip(f'"{program.name}" is not installed')
    wanted = ("-t", ",".join(types)) if types else ()

    ended = workshop.run("dibflow", "build", "-n", *wanted, "-o", name, "fake-os")

    assert ended.status == 0, ended.output
    return [workshop.folder / f"{name}.{FORMATS[one].extension}" for one in types or ("qcow2",)]


def test_without_a_type_there_is_a_qcow2(workshop: Workshop) -> None:
    assert all(path.stat().st_size for path in build(workshop, "plain"))


@pytest.mark.parametrize("kind", [*TYPES, *OTHERS])
def test_each_type_alone_yields_its_file(workshop: Workshop, kind: str) -> None:
    (path,) = build(workshop, f"alone-{kind}", kind)

    assert path.exists()
    assert path.is_dir() or path.stat().st_size


@pytest.mark.parametrize(
    "types", [TYPES, TYPES[::-1], (*TYPES, *OTHERS)], ids=["upstreams", "backwards", "every"]
)
def test_all_types_together_yield_their_files(workshop: Workshop, types: tuple[str, ...]) -> None:
    paths = build(workshop, f"together-{len(types)}-{types[0]}", *types)

    assert [path for path in paths if not path.exists()] == []


def test_the_data_is_in_it(workshop: Workshop) -> None:
    (path,) = build(workshop, "data", "tar")

    with tarfile.open(path) as archive:
        sizes = {member.name: member.size for member in archive}
    assert (sizes["./fake-data"], sizes["./fake-os"]) == (42 << 20, 0)
