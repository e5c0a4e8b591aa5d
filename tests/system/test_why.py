"""`dibflow why` after a hook or a variable has changed."""

from __future__ import annotations

import json

import pytest

from tests.system.harness import Workshop

pytestmark = pytest.mark.needs("root-namespaces", "overlay", "mknod")

LATER = "post-install.d/40-tiny-post-install"


@pytest.fixture
def built(workshop: Workshop) -> Workshop:
    workshop.hook("web/install.d/50-web", 'echo "${DIB_WEB:-x}" >/etc/web')
    ended = workshop.run("dibflow", "build", "tiny-os", "web", "-n", "-o", "demo", "-t", "tar")
    assert ended.status == 0, ended.output
    return workshop


def test_nothing_has_changed_after_a_build(built: Workshop) -> None:
    ended = built.run("dibflow", "why")

    assert ended.output == "demo: no step has changed since it was last built\n"
    assert "the same as in the build demo" in built.run("dibflow", "why", LATER).output


def test_an_edited_hook_is_the_reason_for_those_after_it(built: Workshop) -> None:
    built.hook("web/install.d/50-web", "echo other >/etc/web")

    whole = built.run("dibflow", "why")
    later = built.run("dibflow", "why", LATER)

    assert whole.status == 0
    assert "install.d/50-web: to run" in whole.output
    assert "file install.d/50-web has changed" in whole.output
    assert LATER not in whole.output
    assert later.output.startswith(f"{LATER}: to run\n")
    assert "file install.d/50-web has changed" in later.output


def test_a_variable_is_named_with_both_values(built: Workshop) -> None:
    ended = built.run("dibflow", "why", "50-web", "--json", DIB_WEB="y")

    (found,) = json.loads(ended.output)
    assert found["state"] == "to run"
    assert found["differences"] == [
        {"cause": "variable", "name": "DIB_WEB", "before": None, "after": "y"}
    ]


def test_a_step_that_does_not_exist_is_refused(built: Workshop) -> None:
    ended = built.run("dibflow", "why", "nothing")

    assert ended.status == 2
    assert 'the build has no step "nothing"' in ended.output
