"""The linter as a whole: suppression, shellcheck, order, and elements of all kinds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from dibflow import resources
from dibflow.errors import ElementError
from dibflow.lint.linter import RULE_NAMES, lint, rules
from dibflow.lint.model import Severity
from dibflow.lint.programs import Remark, installed_shellcheck
from dibflow.lint.source import read_source
from dibflow.lint.surroundings import Surroundings
from tests.lint.elements import HOOK, findings, make, on_path, said

ROOT = Path(__file__).parents[2]
BAD = "#!/bin/bash\nset -eu\nwhich a\nwhich b # dib-lint: which\n"


def test_a_comment_in_a_file_suppresses_rules_there(tmp_path: Path) -> None:
    web = make(
        tmp_path / "web",
        {"bin/a": f"{BAD}# dib-lint: disable=which, setpipefail\n", "bin/b": BAD},
    )

    assert said(web, "which") == ["bin/b:3"]
    assert said(web, "set-pipefail") == ["bin/b:1"]


def test_element_yaml_suppresses_rules_in_the_element(tmp_path: Path) -> None:
    web = make(
        tmp_path / "web",
        {"bin/a": BAD, "element.yaml": "lint:\n  ignore: [which, set-pipefail]\n"},
    )

    assert findings(web) == []


def test_findings_come_by_place(tmp_path: Path) -> None:
    web = make(tmp_path / "web", {"bin/b": BAD, "bin/a": BAD})

    assert said(web, "") == ["bin/a:1", "bin/a:3", "bin/b:1", "bin/b:3"]


def test_shellcheck_is_asked_once_about_all_shell_files(tmp_path: Path) -> None:
    asked: list[Sequence[str]] = []

    def shellcheck(files: Sequence[str], folder: Path) -> Sequence[Remark]:
        assert folder == tmp_path / "web"
        asked.append(files)
        return [
            Remark("bin/a", 2, "warning", 2034, "unused"),
            Remark("bin/a", 3, "style", 2006, "old"),
        ]

    web = make(
        tmp_path / "web",
        {
            "bin/a": HOOK,
            "bin/b": "#!/usr/bin/env python3\n",
            "environment.d/10-a": "A=1\n",
            "install.d/50-a": "#!/bin/sh\n",
            "install.d/data": "A=1\n",
        },
    )

    found = findings(web, "shellcheck", shellcheck=shellcheck)

    assert asked == [["bin/a", "environment.d/10-a", "install.d/50-a"]]
    assert [(one.line, one.severity, one.message) for one in found] == [
        (2, Severity.WARNING, "SC2034: unused"),
        (3, Severity.NOTE, "SC2006: old"),
    ]


@pytest.mark.needs("shellcheck")
def test_the_real_shellcheck_finds_what_is_wrong(tmp_path: Path) -> None:
    web = make(tmp_path / "web", {"bin/a": f"{HOOK}cd $1\n", "environment.d/10-a": "export A=1\n"})

    found = findings(web, "shellcheck", shellcheck=installed_shellcheck())

    assert [(one.path.name, one.line, one.message[:7]) for one in found] == [("a", 3, "SC2086:")]


def test_an_element_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ElementError, match="No such file"):
        read_source(tmp_path / "web")


def test_odd_files_trouble_no_rule(tmp_path: Path) -> None:
    web = make(tmp_path / "web", {"bin/big": "#!/bin/bash\n" + "x" * (1 << 20)})
    (web / "binary").write_bytes(b"\0\xff")
    (web / "install.d").mkdir()
    (web / "install.d/50-\udcff".encode("utf-8", "surrogateescape").decode("latin-1")).write_bytes(
        b"#!/bin/bash\n\xff\xfe\n"
    )
    (web / "pkg-map").symlink_to("nowhere")
    (web / "element-deps").mkdir()
    os.mkfifo(web / "fifo")

    assert {one.rule for one in findings(web)} >= {"element-yaml", "links"}


def test_upstreams_elements_are_read_to_the_end() -> None:
    upstream = pytest.importorskip("diskimage_builder.paths", reason="needs diskimage-builder")
    folder = Path(upstream.get_path("elements"))
    sources = [read_source(one) for one in folder.iterdir() if one.is_dir()]

    found = list(lint(sources, around=on_path(folder), rules=rules(shellcheck=None)))

    assert len(sources) >= 128
    shown = {(one.rule, one.element) for one in found if one.severity is Severity.ERROR}
    # Mistakes that upstream's own linter does not see.
    assert ("unknown-dependency", "deploy-kexec") in shown
    assert ("executable", "enable-serial-console") in shown
    assert ("duplicate-hook", "modprobe-blacklist") in shown
    # A linter that cries at every corner is switched off.
    assert len(shown) < 20


@pytest.mark.parametrize("folder", [resources.elements_directory(), ROOT / "tests/elements"])
def test_our_own_elements_are_clean(folder: Path) -> None:
    around = on_path(*{resources.elements_directory(), folder})
    sources = [read_source(one) for one in sorted(folder.iterdir()) if one.is_dir()]

    found = lint(sources, around=around, rules=rules(shellcheck=installed_shellcheck()))

    assert [f"{one.path}:{one.line}: [{one.rule}] {one.message}" for one in found] == []


def test_nothing_is_found_in_an_empty_element_but_that_it_has_no_readme(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()

    found = lint(
        [read_source(tmp_path / "web")], around=Surroundings(), rules=rules(shellcheck=None)
    )

    assert [one.rule for one in found] == ["readme"]


def test_every_rule_is_explained() -> None:
    text = (ROOT / "docs/linting.md").read_text()

    assert [name for name in RULE_NAMES if f"\n### {name}\n" not in text] == []
