"""What package-installs-squash makes of elements' package-installs files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from .running import Run

Packages = dict[str, dict[str, list[list[str]]]]


class Squash(Protocol):
    """Squash the given texts of package-installs.yaml, by element."""

    def __call__(self, files: dict[str, str], **variables: str) -> Packages: ...


@pytest.fixture
def squash(run: Run, tmp_path: Path) -> Squash:
    def call(files: dict[str, str], **variables: str) -> Packages:
        for element, text in files.items():
            folder = tmp_path / "elements" / element
            folder.mkdir(parents=True)
            (folder / "package-installs.yaml").write_text(text)
        done = run(
            "package-installs/bin/package-installs-squash",
            f"--elements={' '.join(files)}",
            f"--path={tmp_path / 'elements'}",
            tmp_path / "out.json",
            **{"ARCH": "amd64", **variables},
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        result: Packages = json.loads((tmp_path / "out.json").read_text())
        return result

    return call


def installed(packages: Packages, phase: str = "install.d") -> list[str]:
    return [name for name, _ in packages.get(phase, {}).get("install", [])]


def removed(packages: Packages, phase: str = "install.d") -> list[str]:
    return [name for name, _ in packages.get(phase, {}).get("uninstall", [])]


def test_a_bare_name_is_installed_in_install_d(squash: Squash) -> None:
    assert squash({"web": "nginx:\n"}) == {
        "install.d": {"install": [["nginx", "web"]], "uninstall": []}
    }


def test_lists_are_sorted_whatever_the_order_of_elements(squash: Squash) -> None:
    packages = squash({"b": "zsh:\nbash:\n", "a": "zsh:\n"})

    assert packages["install.d"]["install"] == [["bash", "b"], ["zsh", "a"], ["zsh", "b"]]


def test_phase_moves_a_package_to_another_phase(squash: Squash) -> None:
    packages = squash({"web": "nginx: {phase: post-install.d}\n"})

    assert installed(packages, "post-install.d") == ["nginx"]
    assert installed(packages) == []


def test_an_empty_file_asks_for_nothing(squash: Squash) -> None:
    assert squash({"web": "# none yet\n"}) == {}


@pytest.mark.parametrize(
    "condition", ["arch: 'arm64, amd64'", "arch: [arm64, amd64]", "not-arch: 'arm64, i386'"]
)
def test_an_architecture_that_suits_installs(squash: Squash, condition: str) -> None:
    assert installed(squash({"web": f"nginx: {{{condition}}}\n"})) == ["nginx"]


@pytest.mark.parametrize("condition", ["arch: 'arm64, amd6'", "not-arch: 'arm64, amd64 '"])
def test_an_architecture_that_does_not_suit_installs_nothing(
    squash: Squash, condition: str
) -> None:
    assert installed(squash({"web": f"nginx: {{{condition}}}\n"})) == []


def test_arch_with_not_arch_is_refused(squash: Squash) -> None:
    with pytest.raises(RuntimeError, match='package "nginx": both arch and not-arch are given'):
        squash({"web": "nginx: {arch: amd64, not-arch: arm64}\n"})


def test_each_map_of_a_list_is_judged_for_itself(squash: Squash) -> None:
    packages = squash(
        {
            "web": "nginx:\n"
            "- {arch: arm64, phase: pre-install.d}\n"
            "- {arch: amd64, phase: post-install.d}\n"
        }
    )

    assert list(packages) == ["post-install.d"]


@pytest.mark.parametrize(
    ("statement", "suits"),
    [
        ("DIB_X = 1", True),
        ("DIB_X=1", True),
        ("DIB_X = 2", False),
        ("DIB_X != 2", True),
        ("DIB_X!=1", False),
        ("[DIB_X = 1, DIB_Y != 1]", True),
        ("[DIB_X = 1, DIB_Y = 1]", False),
    ],
)
def test_when_compares_variables(squash: Squash, statement: str, *, suits: bool) -> None:
    packages = squash({"web": f"nginx: {{when: {statement}}}\n"}, DIB_X="1", DIB_Y="two words")

    assert installed(packages) == (["nginx"] if suits else [])


def test_when_refuses_a_variable_that_is_not_set(squash: Squash) -> None:
    with pytest.raises(RuntimeError, match='asks for variable "DIB_X", which is not set'):
        squash({"web": "nginx: {when: [DIB_Y = 1, DIB_X = 1]}\n"}, DIB_Y="0")


def test_when_refuses_what_it_cannot_read(squash: Squash) -> None:
    with pytest.raises(RuntimeError, match='"DIB_X" is neither NAME = value nor NAME != value'):
        squash({"web": "nginx: {when: DIB_X}\n"}, DIB_X="1")


@pytest.mark.parametrize("elements", [("a", "b"), ("b", "a")])
@pytest.mark.parametrize("flag", ["uninstall", "build-only"])
def test_a_package_that_is_to_stay_is_not_removed(
    squash: Squash, elements: tuple[str, str], flag: str
) -> None:
    packages = squash({elements[0]: "gcc:\n", elements[1]: f"gcc: {{{flag}: true}}\n"})

    assert "gcc" in installed(packages)
    assert removed(packages) == []


def test_an_entry_that_does_not_suit_keeps_nothing_from_being_removed(squash: Squash) -> None:
    packages = squash({"a": "gcc: {uninstall: true}\n", "b": "gcc: {arch: arm64}\n"})

    assert removed(packages) == ["gcc"]


def test_a_package_that_stays_in_one_phase_is_removed_in_another(squash: Squash) -> None:
    packages = squash({"a": "gcc:\n", "b": "gcc: {uninstall: true, phase: post-install.d}\n"})

    assert removed(packages, "post-install.d") == ["gcc"]


def test_build_only_installs_and_removes(squash: Squash) -> None:
    packages = squash({"a": "gcc: {build-only:}\n"})

    assert (installed(packages), removed(packages)) == (["gcc"], ["gcc"])


def test_uninstall_only_removes(squash: Squash) -> None:
    packages = squash({"a": "gcc: {uninstall:}\n"})

    assert (installed(packages), removed(packages)) == ([], ["gcc"])


@pytest.mark.parametrize("flag", ["uninstall", "build-only"])
def test_a_flag_that_is_false_counts_as_absent(squash: Squash, flag: str) -> None:
    packages = squash({"a": f"gcc: {{{flag}: false}}\n"})

    assert (installed(packages), removed(packages)) == (["gcc"], [])


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "from-source"),
        ({"DIB_DEFAULT_INSTALLTYPE": "package"}, "from-package"),
        ({"DIB_DEFAULT_INSTALLTYPE": "package", "DIB_INSTALLTYPE_my_web": "source"}, "from-source"),
        ({"DIB_INSTALLTYPE_other": "package"}, "from-source"),
    ],
)
def test_installtype_is_that_of_the_element(
    squash: Squash, variables: dict[str, str], expected: str
) -> None:
    packages = squash(
        {"my-web": "from-source: {installtype: source}\nfrom-package: {installtype: package}\n"},
        **variables,
    )

    assert installed(packages) == [expected]


@pytest.mark.parametrize(("version", "expected"), [("2", ["python"]), ("3", ["python3"])])
def test_dib_python_version_has_to_be_the_build_s(
    squash: Squash, version: str, expected: list[str]
) -> None:
    packages = squash(
        {"a": "python: {dib_python_version: 2}\npython3: {dib_python_version: 3}\n"},
        DIB_PYTHON_VERSION=version,
    )

    assert installed(packages) == expected


def test_an_element_that_is_overridden_is_not_read(run: Run, tmp_path: Path) -> None:
    for folder, package in (("mine", "nginx"), ("theirs", "apache2")):
        (tmp_path / folder / "web").mkdir(parents=True)
        (tmp_path / folder / "web" / "package-installs.json").write_text(f'{{"{package}": null}}')

    run(
        "package-installs/bin/package-installs-squash",
        "--elements=web",
        f"--path={tmp_path / 'mine'}:{tmp_path / 'theirs'}",
        tmp_path / "out.json",
        ARCH="amd64",
    )

    assert installed(json.loads((tmp_path / "out.json").read_text())) == ["nginx"]


def test_a_json_file_and_a_yaml_file_are_both_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "package-installs.json").write_text('{\n\t"nginx": null\n}')
    (tmp_path / "web" / "package-installs.yaml").write_text("curl:\n")

    run(
        "package-installs/bin/package-installs-squash",
        "--elements=web",
        f"--path={tmp_path}",
        tmp_path / "out.json",
        ARCH="amd64",
    )

    assert installed(json.loads((tmp_path / "out.json").read_text())) == ["curl", "nginx"]


def test_a_phase_that_does_not_exist_is_warned_of(run: Run, tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "package-installs.yaml").write_text("nginx: {phase: instal.d}\n")

    done = run(
        "package-installs/bin/package-installs-squash",
        "--elements=web",
        f"--path={tmp_path}",
        tmp_path / "out.json",
        ARCH="amd64",
    )

    assert 'packages of phase "instal.d" are never installed' in done.stderr


def test_the_hook_leaves_the_file_where_hooks_inside_find_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "package-installs.yaml").write_text("nginx:\n")
    (tmp_path / "root" / "tmp").mkdir(parents=True)

    done = run(
        "package-installs/extra-data.d/99-squash-package-install",
        ARCH="amd64",
        IMAGE_ELEMENT="web base",
        ELEMENTS_PATH=str(tmp_path),
        TMP_MOUNT_PATH=str(tmp_path / "root"),
    )

    assert done.returncode == 0, done.stderr
    packages = json.loads((tmp_path / "root" / "tmp" / "package-installs.json").read_text())
    assert installed(packages) == ["nginx"]
