"""`dibflow lint` as a person and a program use it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dibflow.cli.lint import chosen_rules
from dibflow.cli.main import main
from dibflow.errors import UsageError
from dibflow.lint.linter import RULE_NAMES, rules
from tests.lint.elements import HOOK, make

CHOICE = ("--rule", "which,yaml")


@pytest.fixture
def elements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make(tmp_path / "path/web", {"bin/a": f"{HOOK}which b\n", "a.yaml": "a: [\n"})
    make(tmp_path / "path/mail", {"bin/b": f"{HOOK}which b\n"})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ELEMENTS_PATH", str(tmp_path / "path"))
    return tmp_path / "path"


@pytest.mark.usefixtures("elements")
def test_findings_are_a_line_each_and_errors_are_the_status(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = main(["lint", *CHOICE])

    assert status == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        'path/mail/bin/b:3: warning [which] calls "which", which may not be there: use type -P'
    )
    assert lines[1].startswith("path/web/a.yaml:2: error [yaml] broken YAML: ")
    assert lines[-1] == "2 elements: 1 error, 2 warnings, 0 notes"


@pytest.mark.usefixtures("elements")
@pytest.mark.parametrize("name", ["mail", "path/mail", "path/mail/"])
def test_warnings_alone_are_no_failure(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["lint", name, *CHOICE]) == 0
    assert "1 element: 0 errors, 1 warning, 0 notes" in capsys.readouterr().out


def test_json_has_each_finding_with_its_fields(
    elements: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["lint", "mail", "--json", *CHOICE])

    answer = json.loads(capsys.readouterr().out)
    assert {name: answer[name] for name in ("elements", "errors", "warnings", "notes")} == {
        "elements": 1,
        "errors": 0,
        "warnings": 1,
        "notes": 0,
    }
    (finding,) = answer["findings"]
    assert finding["path"] == str(elements / "mail/bin/b")
    assert (finding["element"], finding["line"]) == ("mail", 3)
    assert (finding["severity"], finding["rule"]) == ("warning", "which")


def test_without_elements_path_the_shipped_elements_are_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ELEMENTS_PATH", raising=False)

    assert main(["lint", "--ignore", "shellcheck", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["elements"] > 10


@pytest.mark.usefixtures("elements")
def test_an_unknown_element_is_an_error_about_elements(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "mial"]) == 3
    assert 'did you mean "mail"?' in capsys.readouterr().err


def test_rules_can_be_chosen_and_left_out() -> None:
    offered = rules(shellcheck=None)

    assert [
        one.name for one in chosen_rules(offered, only=("which", "yaml"), ignored=("yaml",))
    ] == ["which"]
    assert {one.name for one in chosen_rules(offered, only=(), ignored=("yaml",))} == set(
        RULE_NAMES
    ) - {"yaml", "shellcheck"}


def test_a_rule_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match='did you mean "which"'):
        chosen_rules(rules(shellcheck=None), only=("witch",), ignored=())
