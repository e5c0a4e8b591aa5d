"""What services are called, as svc-map merges and prints it."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from .running import Run

MERGE = "svc-map/service-maps/merge"
PROGRAM = "svc-map/bin/svc-map"

MAP = """\
nova-api:
  default: openstack-nova-api
  debian: nova-api-debian
  ubuntu: nova-api-ubuntu
plain:
  gentoo: other
"""


def merged(run: Run, distro: str, **folders: Path) -> subprocess.CompletedProcess[str]:
    elements = json.dumps({name: str(folder) for name, folder in folders.items()})
    return run(MERGE, "--distro", distro, "--elements", elements)


@pytest.fixture
def nova(tmp_path: Path) -> Path:
    folder = tmp_path / "nova"
    folder.mkdir()
    (folder / "svc-map").write_text(MAP)
    return folder


@pytest.mark.parametrize(
    ("distro", "expected"),
    [
        ("ubuntu", "nova-api-ubuntu"),
        ("debian", "nova-api-debian"),
        ("rocky", "openstack-nova-api"),
        ("unheard-of", "openstack-nova-api"),
    ],
)
def test_the_most_specific_name_counts(run: Run, nova: Path, distro: str, expected: str) -> None:
    assert json.loads(merged(run, distro, nova=nova).stdout)["nova-api"] == expected


def test_a_service_without_a_name_for_the_distribution_keeps_its_own(run: Run, nova: Path) -> None:
    assert json.loads(merged(run, "debian", nova=nova).stdout)["plain"] == "plain"


def test_elements_without_a_map_are_passed_over(run: Run, tmp_path: Path) -> None:
    assert json.loads(merged(run, "debian", base=tmp_path).stdout) == {}


def test_a_service_in_two_elements_is_an_error_that_names_both(
    run: Run, nova: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "svc-map").write_text("plain:\n  default: x\n")

    done = merged(run, "debian", nova=nova, other=other)

    assert done.returncode == 1
    assert f'{other}/svc-map: element "nova" has "plain" as well' in done.stderr


@pytest.mark.parametrize("text", ["- a\n", "a: b\n", "a: [\n"])
def test_a_file_that_is_no_map_is_named(run: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / "svc-map").write_text(text)

    done = merged(run, "debian", x=tmp_path)

    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_the_hooks_leave_the_map_where_the_program_looks(
    run: Run, nova: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    (root / "tmp").mkdir(parents=True)
    variables = {
        "TMP_MOUNT_PATH": str(root),
        "DISTRO_NAME": "debian",
        "IMAGE_ELEMENT_YAML": json.dumps({"nova": str(nova)}),
    }

    for hook in ("10-merge-svc-map-files", "11-copy-svc-map-file"):
        done = run(f"svc-map/extra-data.d/{hook}", **variables)
        assert done.returncode == 0, done.stderr

    done = run(PROGRAM, "--root", root, "nova-api", "unknown")
    assert done.stdout == "nova-api-debian\nunknown\n"
    assert (root / "usr/share/svc-map/services").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("file", ["lib/systemd/system/nova-api.service", "etc/init/nova-api.conf"])
def test_a_service_that_is_there_under_its_own_name_keeps_it(
    run: Run, tmp_path: Path, file: str
) -> None:
    (tmp_path / "usr/share/svc-map").mkdir(parents=True)
    (tmp_path / "usr/share/svc-map/services").write_text('{"nova-api": "other"}')
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).touch()

    assert run(PROGRAM, "--root", tmp_path, "nova-api").stdout == "nova-api\n"
