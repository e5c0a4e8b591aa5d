"""The commands of dibflow, used as a person uses them."""

from __future__ import annotations

import json

import pytest

from tests.system.harness import Workshop

pytestmark = pytest.mark.needs("root-namespaces", "overlay", "mknod")

BUILD = ("dibflow", "build", "tiny-os", "-n", "-o", "demo", "-t", "tar")


def test_build_prints_a_line_a_step_and_the_outputs(workshop: Workshop) -> None:
    ended = workshop.run(*BUILD)

    assert ended.status == 0
    assert "install.d/20-tiny-install" in ended.output
    assert f"{workshop.folder}/demo.tar" in ended.output
    assert "0 cached, 0 reused, 26 built" in ended.output


def test_build_again_says_that_all_is_cached(workshop: Workshop) -> None:
    workshop.run(*BUILD)

    ended = workshop.run(*BUILD)

    assert "0 reused, 0 built" in ended.output


def test_build_goes_on_where_luigi_stopped(workshop: Workshop) -> None:
    workshop.hook("bad/install.d/50-bad", "exit 7")
    workshop.build("bad")
    workshop.hook("bad/install.d/50-bad", "true")

    ended = workshop.run("dibflow", "build", "tiny-os", "bad", "-n", "-o", "demo", "-t", "tar")

    assert ended.status == 0
    assert "root.d/10-tiny-root" not in ended.output


def test_a_failed_hook_gives_the_status_of_a_step(workshop: Workshop) -> None:
    workshop.hook("bad/install.d/50-bad", "echo last words; exit 7")

    ended = workshop.run("dibflow", "build", "tiny-os", "bad", "-n", "-o", "demo", "-t", "tar")

    assert ended.status == 6
    assert ended.output.count("last words") == 1
    assert "Traceback" not in ended.output


def test_plan_writes_nothing(workshop: Workshop) -> None:
    ended = workshop.run("dibflow", "plan", "tiny-os", "-n", "-t", "tar", "--json")

    assert not workshop.store.exists()
    (plan,) = json.loads(ended.output)
    assert {step["state"] for step in plan["steps"]} == {"to run"}
    assert plan["steps"][1]["step"] == "root.d/10-tiny-root"
    assert "root.d/10-tiny-root" in plan["steps"][1]["inputs"]["files"]


def test_plan_tells_what_is_cached(workshop: Workshop) -> None:
    workshop.run(*BUILD)

    ended = workshop.run("dibflow", "plan", "tiny-os", "-n", "-o", "demo", "-t", "tar")

    assert "26 steps, 26 cached" in ended.output


@pytest.mark.parametrize(
    ("form", "start", "edge"),
    [
        ("text", "  1  root.d/environment", ""),
        ("dot", 'digraph "', "->"),
        ("mermaid", "flow", "-->"),
    ],
)
def test_graph_draws_in_each_form(workshop: Workshop, form: str, start: str, edge: str) -> None:
    ended = workshop.run("dibflow", "graph", "tiny-os", "-n", "--format", form)

    assert ended.status == 0
    assert ended.output.startswith(start)
    assert edge in ended.output


def test_log_shows_a_build_and_a_step(workshop: Workshop) -> None:
    workshop.hook("talk/install.d/50-talk", "echo said by the hook")
    workshop.build("talk")

    assert "install.d/50-talk" in workshop.run("dibflow", "log").output
    assert workshop.run("dibflow", "log", "50-talk").output == "said by the hook\n"


def test_shell_opens_a_step_before_and_after_it(workshop: Workshop) -> None:
    workshop.hook("app/install.d/50-app", "echo made >/etc/made")
    workshop.build("app")
    look = ("-c", "cat /etc/made; echo $ARCH; echo changed >/etc/made")

    after = workshop.run("dibflow", "shell", "install.d/50-app", *look)
    before = workshop.run("dibflow", "shell", "--before", "install.d/50-app", *look)
    again = workshop.run("dibflow", "shell", "install.d/50-app", *look)

    assert after.output.startswith("made\n")
    assert "No such file" in before.output
    assert again.output == after.output


def test_shell_opens_a_failed_step_as_its_hook_found_it(workshop: Workshop) -> None:
    workshop.hook("bad/install.d/50-bad", "touch /etc/half; exit 7")
    workshop.build("bad")

    ended = workshop.run("dibflow", "shell", "50-bad", "-c", "ls /etc/half; ls /tmp/in_target.d")

    assert "install.d" in ended.output
    assert "cannot access '/etc/half'" in ended.output


def test_an_unknown_step_is_refused(workshop: Workshop) -> None:
    workshop.build()

    ended = workshop.run("dibflow", "shell", "nonsense")

    assert ended.status == 2
    assert 'no step "nonsense"' in ended.output


def test_a_store_without_builds_says_so(workshop: Workshop) -> None:
    ended = workshop.run("dibflow", "log")

    assert ended.status == 5
    assert "has no builds" in ended.output


def test_several_images_of_one_file_are_built_together(workshop: Workshop) -> None:
    (workshop.folder / "images.yaml").write_text(
        "- {imagename: one, elements: [tiny-os], types: [tar], skip-base: true}\n"
        "- {imagename: two, elements: [tiny-os, tiny-extra], types: [tar], skip-base: true}\n"
    )

    ended = workshop.run("dibflow", "build", "images.yaml")

    assert ended.status == 0, ended.output
    assert (workshop.folder / "one.tar").exists()
    assert (workshop.folder / "two.tar").exists()
