"""Fixtures that run the shipped elements' programs and hooks as a build would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .running import Runner, Target

if TYPE_CHECKING:
    from pathlib import Path

    from .running import Run, Stub


@pytest.fixture
def stub(tmp_path: Path) -> Stub:
    folder = tmp_path / "stubs"
    folder.mkdir()

    def write(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/bash\n{script}\n")
        (folder / name).chmod(0o755)

    # Hooks use sudo for what needs root; here everything belongs to the tester.
    write("sudo", 'while [[ $1 == -* ]]; do shift; done\nexec "$@"')
    return write


@pytest.fixture
def run(tmp_path: Path, stub: Stub) -> Run:  # noqa: ARG001 - makes the folder
    return Runner(tmp_path / "stubs")


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target.make(tmp_path / "target")
