"""The checks of ``scripts/check``, each a test, so that whoever runs the tests runs them too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    "check",
    [
        pytest.param("lint", marks=pytest.mark.needs("ruff")),
        pytest.param("types", marks=[pytest.mark.needs("mypy"), pytest.mark.slow]),
        pytest.param(
            "shell", marks=[pytest.mark.needs("git", "shellcheck", "shfmt"), pytest.mark.slow]
        ),
        pytest.param("exec-bits", marks=pytest.mark.needs("git")),
    ],
)
def test_sources_pass(check: str) -> None:
    tools = Path(sys.executable).parent

    done = subprocess.run(
        [ROOT / "scripts" / "check", check],
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs("git")
@pytest.mark.parametrize(
    ("mode", "content", "complaint"),
    [
        (0o644, "#!/bin/bash\n", "names an interpreter, but is not executable in git"),
        (0o755, "no script\n", "executable in git, but its first line names no interpreter"),
    ],
)
def test_exec_bits_that_do_not_fit_are_named(
    tmp_path: Path, mode: int, content: str, complaint: str
) -> None:
    (tmp_path / "scripts").mkdir()
    check = tmp_path / "scripts" / "check"
    check.write_bytes((ROOT / "scripts" / "check").read_bytes())
    check.chmod(0o755)
    hook = tmp_path / "10-hook"
    hook.write_text(content)
    hook.chmod(mode)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "add", "."], check=True)

    done = subprocess.run([check, "exec-bits"], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert f"10-hook: {complaint}" in done.stdout
