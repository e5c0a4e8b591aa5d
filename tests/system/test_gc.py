"""Garbage is collected between builds and never under one; what is left is sound."""

from __future__ import annotations

import json
import time

import pytest

from dibflow.engine.journal import Happening
from tests.system.harness import PATIENCE_SECONDS, Workshop

pytestmark = pytest.mark.needs("root-namespaces", "overlay", "mknod")

BUILD = ("dibflow", "build", "tiny-os", "web", "-n", "-o", "demo", "-t", "tar")


def test_a_build_that_runs_keeps_the_store(workshop: Workshop) -> None:
    workshop.hook("web/install.d/50-web", f"sleep {PATIENCE_SECONDS}")
    running = workshop.start(*BUILD)
    started = "install.d/50-web"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while started not in workshop.titles(Happening.STARTED) and time.monotonic() < deadline:
        time.sleep(0.1)

    refused = workshop.run("dibflow", "gc", "--max-size", "0")
    running.terminate()
    running.wait()
    after = workshop.run("dibflow", "gc", "--max-size", "0", "--json")

    assert refused.status == 5
    assert "a build or a shell uses it" in refused.output
    assert after.status == 0, after.output
    assert json.loads(after.output)["uses"] == []  # the build is unfinished, and goes on


def test_after_collecting_all_the_image_is_built_again(workshop: Workshop) -> None:
    workshop.hook("web/install.d/50-web", "true")
    assert workshop.run(*BUILD).status == 0
    before = workshop.tree()
    assert workshop.run("dibflow", "verify").status == 0

    collected = workshop.run("dibflow", "gc", "--max-size", "0", "--json")
    (workshop.folder / "demo.tar").unlink()
    again = workshop.run(*BUILD)

    assert json.loads(collected.output)["left_bytes"] == 0
    assert again.status == 0, again.output
    assert "0 reused, 26 built" in again.output  # a step without layers may stay
    assert workshop.tree() == before
    assert workshop.run("dibflow", "verify").status == 0
