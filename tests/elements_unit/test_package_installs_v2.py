"""Which packages package-installs-v2 and the older programs hand to install-packages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from .running import Run, Stub

PROGRAM = "package-installs/bin/package-installs-v2"
PACKAGES = {
    "install.d": {
        "install": [["zsh", "b"], ["fuse", "a"], ["curl", "a"]],
        "uninstall": [["gcc", "b"]],
    }
}


@pytest.fixture
def listed(tmp_path: Path, stub: Stub) -> Path:
    stub("install-packages", 'printf "installer:"; printf " %s" "$@"; printf "\\n"')
    stub(
        "pkg-map",
        'for name in "${@:6}"; do printf -- "-%s\\n" "${name/#fuse/fuse3 libfuse3}"; done',
    )
    file = tmp_path / "package-installs.json"
    file.write_text(json.dumps(PACKAGES))
    return file


def test_all_packages_are_mapped_sorted_and_installed_at_once(run: Run, listed: Path) -> None:
    done = run(PROGRAM, "--phase", "install.d", listed)

    assert done.stdout.splitlines()[-1] == "installer: curl fuse3 libfuse3 zsh"


def test_uninstall_removes(run: Run, listed: Path) -> None:
    done = run(PROGRAM, "--phase", "install.d", "--uninstall", listed)

    assert done.stdout.splitlines()[-1] == "installer: -e gcc"


def test_the_packages_of_all_phases_are_downloaded_at_once(run: Run, listed: Path) -> None:
    early = {"pre-install.d": {"install": [["git", "c"]]}}
    listed.write_text(json.dumps({**PACKAGES, **early}))

    done = run(PROGRAM, "--download", listed)

    assert done.stdout.splitlines()[-1] == "installer: -d curl fuse3 git libfuse3 zsh"


def test_noop_only_prints_the_command(run: Run, listed: Path) -> None:
    done = run(PROGRAM, "--phase", "install.d", "--noop", listed)

    assert done.stdout.splitlines()[-1] == "install-packages curl fuse3 libfuse3 zsh"


def test_a_phase_without_packages_runs_nothing(run: Run, listed: Path) -> None:
    done = run(PROGRAM, "--phase", "post-install.d", listed)

    assert (done.returncode, done.stdout) == (0, "nothing to install\n")


def test_a_failed_installation_fails(run: Run, stub: Stub, listed: Path) -> None:
    stub("install-packages", "exit 100")

    assert run(PROGRAM, "--phase", "install.d", listed).returncode == 100


def test_a_failed_mapping_installs_nothing(run: Run, stub: Stub, listed: Path) -> None:
    stub("pkg-map", "exit 1")

    done = run(PROGRAM, "--phase", "install.d", listed)

    assert done.returncode == 1
    assert "installer" not in done.stdout


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("package-installs", "installer: nginx openssl gcc make\n"),
        ("package-uninstalls", "installer: -e gcc make\n"),
    ],
)
def test_the_older_files_list_packages_line_by_line(
    run: Run, listed: Path, program: str, expected: str
) -> None:
    text = "# a server\nnginx openssl # and TLS\n\n-gcc make"
    (listed.parent / "package-installs-web").write_text(text)

    done = run(f"package-installs/bin/{program}", "-d", listed.parent)

    assert done.stdout == expected
