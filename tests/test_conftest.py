"""Tests of the markers `needs`, `slow` and `thorough`, with a test file of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SAMPLE = """
import pytest

@pytest.mark.needs("sh", "no-such-tool")
def test_missing(): ...

@pytest.mark.needs("sh")
def test_there(): ...

@pytest.mark.slow
def test_slow(): ...

@pytest.mark.thorough
def test_thorough(): ...
"""
_VERBOSE_LINE = re.compile(r"::(\w+) ([A-Z]+) ")


def outcomes(folder: Path, *options: str, strict: str = "") -> set[str]:
    """Run the sample under our conftest.py; give lines such as ``PASSED test_there``."""
    (folder / "test_sample.py").write_text(SAMPLE)
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "-v",
                "-p",
                "tests.conftest",
                "-p",
                "no:cacheprovider",
            ),
            *("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder)),
            *(*options, str(folder / "test_sample.py")),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DIBFLOW_TEST_STRICT": strict},
        capture_output=True,
        text=True,
        check=False,
    )
    return {f"{outcome} {name}" for name, outcome in _VERBOSE_LINE.findall(done.stdout)}


def test_what_is_missing_or_slow_is_skipped(tmp_path: Path) -> None:
    assert outcomes(tmp_path) == {
        "SKIPPED test_missing",
        "PASSED test_there",
        "SKIPPED test_slow",
        "SKIPPED test_thorough",
    }


def test_slow_tests_run_when_asked_for(tmp_path: Path) -> None:
    assert "PASSED test_slow" in outcomes(tmp_path, "--slow")


def test_thorough_tests_run_when_asked_for(tmp_path: Path) -> None:
    assert "PASSED test_thorough" in outcomes(tmp_path, "--thorough")


def test_strictness_skips_only_what_is_thorough(tmp_path: Path) -> None:
    assert outcomes(tmp_path, strict="1") == {
        "ERROR test_missing",
        "PASSED test_there",
        "PASSED test_slow",
        "SKIPPED test_thorough",
    }
