"""New elements: whole, clean, and only where nothing is."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from dibflow import resources
from dibflow.cli.main import main
from dibflow.errors import UsageError
from dibflow.lint.linter import lint, rules
from dibflow.lint.programs import installed_shellcheck
from dibflow.lint.source import read_source
from dibflow.lint.surroundings import look_around
from dibflow.planning.element import ElementPath
from dibflow.skeleton import make_element

EXAMPLE = resources.new_element_directory()


def test_an_element_has_all_that_one_needs(tmp_path: Path) -> None:
    made = make_element("web-server", folder=tmp_path, example=EXAMPLE)

    files = {str(file.relative_to(made)) for file in made.rglob("*") if file.is_file()}
    assert files == {
        *("README.md", "element-deps", "element.yaml", "package-installs.yaml"),
        *("install.d/50-web-server", "tests/run"),
    }
    assert [path.name for path in tmp_path.iterdir()] == ["web-server"]


def test_nothing_of_the_example_is_left(tmp_path: Path) -> None:
    made = make_element("web-server", folder=tmp_path, example=EXAMPLE)

    texts = "".join(file.read_text() for file in made.rglob("*") if file.is_file())
    assert "new-element" not in texts
    assert "NEW_ELEMENT" not in texts
    assert "DIB_WEB_SERVER_GREETING" in texts
    assert "/etc/web-server.conf" in texts


def test_programs_are_executable_whatever_the_umask_of_the_installer(tmp_path: Path) -> None:
    example = tmp_path / "installed"
    for file in (file for file in EXAMPLE.rglob("*") if file.is_file()):
        copy = example / file.relative_to(EXAMPLE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
        copy.chmod(0o600)

    made = make_element("web", folder=tmp_path, example=example)

    modes = {
        file.name: stat.S_IMODE(file.stat().st_mode) for file in made.rglob("*") if file.is_file()
    }
    assert {name for name, mode in modes.items() if mode == 0o755} == {"50-web", "run"}
    assert set(modes.values()) == {0o755, 0o644}


@pytest.mark.parametrize("name", ["web", "a-b-c2"])
def test_a_new_element_is_lint_clean(tmp_path: Path, name: str) -> None:
    made = make_element(name, folder=tmp_path, example=EXAMPLE)

    found = lint(
        [read_source(made)],
        around=look_around(ElementPath([resources.elements_directory()])),
        rules=rules(shellcheck=installed_shellcheck()),
    )

    assert list(found) == []


@pytest.mark.parametrize("name", ["", "Web", "web_server", "-web", "web-", "../web", "9web", "w.d"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no name for an element"):
        make_element(name, folder=tmp_path, example=EXAMPLE)

    assert list(tmp_path.iterdir()) == []


def test_the_name_of_a_phase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name of a phase"):
        make_element("post-install", folder=tmp_path, example=EXAMPLE)


def test_what_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "web").symlink_to("nowhere")

    with pytest.raises(UsageError, match="is there already"):
        make_element("web", folder=tmp_path, example=EXAMPLE)

    assert [path.name for path in tmp_path.iterdir()] == ["web"]


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder"):
        make_element("web", folder=tmp_path / "none", example=EXAMPLE)


def test_the_command_makes_an_element_and_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new-element", "web", "--folder", str(tmp_path)]) == 0
    assert f"dibflow lint {tmp_path}/web" in capsys.readouterr().out
    assert (tmp_path / "web/README.md").exists()


def test_the_command_refuses_the_name_of_another_element(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new-element", "dpkg", "--folder", str(tmp_path)]) == 2
    assert "there is an element" in capsys.readouterr().err
