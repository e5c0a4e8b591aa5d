"""What the documents point to is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_COMMAND = re.compile(r"`dibflow ([a-z-]+)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file(document: Path) -> None:
    targets = _LINK.findall(document.read_text())

    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_is_named_exists(document: Path) -> None:
    named = set(_COMMAND.findall(document.read_text()))

    for command in named:
        done = subprocess.run(
            [sys.executable, "-m", "dibflow", command, "--help"], capture_output=True, check=False
        )
        assert done.returncode == 0, command


def test_every_docstring_that_names_a_document_names_one_that_is_there() -> None:
    named = {
        name
        for path in (ROOT / "dibflow").rglob("*.py")
        for name in re.findall(r"docs/[a-z]+\.md", path.read_text())
    }

    assert [name for name in named if not (ROOT / name).exists()] == []
