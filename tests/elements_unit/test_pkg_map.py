"""Which names pkg-map prints, and with which status it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from .running import Run

PROGRAM = "pkg-map/bin/pkg-map"
MAP = {
    "default": {"server": "from-default", "fuse": "fuse3", "none": ""},
    "family": {"debian": {"server": "from-family"}, "redhat": {"fuse": "a b"}},
    "distro": {"ubuntu": {"server": "from-distro"}, "centos": {}},
    "release": {
        "ubuntu": {"noble": {"server": "from-release"}},
        "centos": {"8": {"server": "from-release"}},
    },
}


@pytest.fixture
def sections(tmp_path: Path) -> Path:
    file = tmp_path / "pkg-map"
    file.write_text(json.dumps(MAP))
    return file


@pytest.mark.parametrize(
    ("distro", "release", "expected"),
    [
        ("gentoo", "", "from-default"),
        ("nobody-knows", "1", "from-default"),
        ("debian", "bookworm", "from-family"),
        ("ubuntu", "jammy", "from-distro"),
        ("ubuntu", "noble", "from-release"),
        ("debian", "noble", "from-family"),
        ("centos", "8-stream", "from-release"),
    ],
)
def test_the_more_specific_section_counts(
    run: Run, sections: Path, distro: str, release: str, expected: str
) -> None:
    done = run(PROGRAM, "--pkg-map", sections, "--distro", distro, "--release", release, "server")

    assert (done.returncode, done.stdout) == (0, f"{expected}\n")


def test_distribution_and_release_default_to_the_build_s(run: Run, sections: Path) -> None:
    done = run(PROGRAM, "--pkg-map", sections, "server", DISTRO_NAME="ubuntu", DIB_RELEASE="noble")

    assert done.stdout == "from-release\n"


def test_several_packages_stay_on_one_line_and_none_prints_nothing(
    run: Run, sections: Path
) -> None:
    done = run(PROGRAM, "--pkg-map", sections, "--distro", "rhel", "fuse", "none", "server")

    assert done.stdout == "a b\nfrom-default\n"


def test_prefix_is_put_before_each_line(run: Run, sections: Path) -> None:
    done = run(
        PROGRAM, "--pkg-map", sections, "--distro", "rhel", "--prefix", "-", "fuse", "server"
    )

    assert done.stdout == "-a b\n-from-default\n"


def test_a_name_that_is_not_in_the_map_ends_with_1(run: Run, sections: Path) -> None:
    done = run(PROGRAM, "--pkg-map", sections, "--distro", "debian", "unheard-of")

    assert done.returncode == 1
    assert 'no package "unheard-of"' in done.stderr


def test_missing_ok_prints_a_name_that_is_not_in_the_map(run: Run, sections: Path) -> None:
    done = run(
        PROGRAM, "--pkg-map", sections, "--distro", "debian", "--missing-ok", "fuse", "vim", "none"
    )

    assert (done.returncode, done.stdout) == (0, "fuse3\nvim\n")


def test_no_map_ends_with_2(run: Run) -> None:
    assert run(PROGRAM, "--element", "no-such-element", "--distro", "debian", "x").returncode == 2


def test_missing_ok_does_without_a_map(run: Run) -> None:
    done = run(PROGRAM, "--element", "no-such-element", "--distro", "debian", "--missing-ok", "x")

    assert (done.returncode, done.stdout) == (0, "x\n")


@pytest.mark.parametrize(
    "arguments",
    [["x"], ["--element", "a", "--pkg-map", "b", "x"], ["--element", "a", "x"], ["--no-such"]],
    ids=["no map", "two maps", "no distribution", "unknown option"],
)
def test_a_wrong_command_line_ends_with_1(run: Run, arguments: list[str]) -> None:
    assert run(PROGRAM, *arguments).returncode == 1


def test_a_map_that_is_not_json_ends_with_1_and_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pkg-map").write_text("server: nginx\n")

    done = run(PROGRAM, "--pkg-map", tmp_path / "pkg-map", "--distro", "debian", "server")

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


def test_the_hook_copies_each_element_s_map(run: Run, tmp_path: Path) -> None:
    for element in ("web", "plain"):
        (tmp_path / element).mkdir()
    (tmp_path / "web" / "pkg-map").write_text("{}")
    function = f"() {{ echo '[web]={tmp_path}/web [plain]={tmp_path}/plain '; }}"

    done = run(
        "pkg-map/extra-data.d/10-create-pkg-map-dir",
        TMP_MOUNT_PATH=str(tmp_path / "root"),
        **{"BASH_FUNC_get_image_element_array%%": function},
    )

    assert done.returncode == 0, done.stderr
    maps = tmp_path / "root" / "usr" / "share" / "pkg-map"
    assert [file.name for file in maps.iterdir()] == ["web"]
