"""Markers that every test may use: what it needs of the machine, and whether it is slow."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from tests.capabilities import lacking

pytest.register_assert_rewrite("tests.contracts")

settings.register_profile("dibflow", deadline=None)  # how busy the machine is proves nothing
settings.load_profile("dibflow")

STRICT = os.environ.get("DIBFLOW_TEST_STRICT") == "1"
"""Set in CI: nothing is skipped for want of something on the machine, nor because it is slow."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes, too")
    parser.addoption(
        "--thorough", action="store_true", help="run those that CI has no time for, too"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    slow = STRICT or config.getoption("--slow")
    thorough = config.getoption("--thorough")
    for item in items:
        if item.get_closest_marker("thorough") and not thorough:
            item.add_marker(pytest.mark.skip(reason="thorough: run with --thorough"))
        elif item.get_closest_marker("slow") and not slow:
            item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


@pytest.hookimpl(tryfirst=True)  # before any fixture of the test is made
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("skip"):
        return
    words = [word for marker in item.iter_markers("needs") for word in marker.args]
    reasons = [f"needs {word}: {reason}" for word in words if (reason := lacking(word))]
    if reasons and STRICT:
        pytest.fail("; ".join(reasons), pytrace=False)
    if reasons:
        pytest.skip("; ".join(reasons))
