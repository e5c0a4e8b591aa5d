"""Which Python the hooks inside run with, and how they call pip."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from .running import ELEMENTS, Run, Stub

if TYPE_CHECKING:
    from pathlib import Path

VERSION = ELEMENTS / "dib-python" / "environment.d" / "50-dib-python-version"
DEFAULTS = ELEMENTS / "pip-and-virtualenv" / "environment.d" / "51-pip-and-virtualenv-default.bash"
INSTALL = "pip-and-virtualenv/install.d/pip-and-virtualenv-source-install/04-install-pip"


def sourced(file: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/bash", "-c", f"set -ue -o pipefail; . {file}; env -0"],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def exported(file: Path, **variables: str) -> dict[str, str]:
    done = sourced(file, **variables)
    assert done.returncode == 0, done.stderr
    return dict(pair.split("=", 1) for pair in done.stdout.split("\0") if pair)


@pytest.mark.parametrize(
    ("distro", "release", "expected"),
    [
        ("debian", "bookworm", "3"),
        ("debian", "jessie", "2"),
        ("ubuntu", "noble", "3"),
        ("ubuntu", "trusty", "2"),
        ("opensuse", "42.3", "2"),
        ("rocky", "9", "3"),
    ],
)
def test_python_2_is_for_releases_without_a_usable_3(
    distro: str, release: str, expected: str
) -> None:
    variables = exported(VERSION, DISTRO_NAME=distro, DIB_RELEASE=release)

    assert variables["DIB_PYTHON_VERSION"] == expected
    assert variables["DIB_PYTHON"] == f"python{expected}"


def test_the_user_s_version_goes_first() -> None:
    variables = exported(
        VERSION, DISTRO_NAME="debian", DIB_RELEASE="bookworm", DIB_PYTHON_VERSION="2"
    )

    assert variables["DIB_PYTHON"] == "python2"


def test_a_python_that_is_missing_is_named(run: Run) -> None:
    done = run("dib-python/pre-install.d/01-dib-python", DISTRO_NAME="x", DIB_PYTHON_VERSION="9")

    assert done.returncode == 1
    assert done.stderr == "01-dib-python: the image has no python9\n"


def test_the_link_is_taken_out_and_may_be_gone_already(run: Run, tmp_path: Path) -> None:
    link = tmp_path / "usr/local/bin/dib-python"
    link.parent.mkdir(parents=True)
    link.symlink_to("/usr/bin/python3")

    for _ in range(2):
        done = run("dib-python/cleanup.d/50-dib-python", TARGET_ROOT=str(tmp_path))
        assert done.returncode == 0, done.stderr

    assert not link.is_symlink()


def test_a_distribution_that_keeps_its_own_pip_gets_the_package() -> None:
    variables = exported(DEFAULTS, DISTRO_NAME="centos", DIB_PYTHON_VERSION="3")

    assert variables["DIB_INSTALLTYPE_pip_and_virtualenv"] == "package"


def test_the_newest_pip_is_refused_there() -> None:
    done = sourced(
        DEFAULTS,
        DISTRO_NAME="rhel",
        DIB_PYTHON_VERSION="3",
        DIB_INSTALLTYPE_pip_and_virtualenv="source",
    )

    assert done.returncode == 1
    assert '"source" is not possible on rhel' in done.stderr


def test_the_newest_pip_is_fetched_by_the_distribution_s(run: Run, stub: Stub) -> None:
    stub("python3", 'printf "%s %s\\n" "${PIP_BREAK_SYSTEM_PACKAGES}" "$*"')

    done = run(INSTALL, DIB_PYTHON_PIP="python3 -m pip")

    assert done.stdout == "1 -m pip install --upgrade --force-reinstall pip virtualenv\n"
