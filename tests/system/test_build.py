"""Builds of the tiny operating system through the luigi command."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tarfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from dibflow.engine.journal import Happening
from tests.system.harness import Workshop

pytestmark = pytest.mark.needs("root-namespaces", "overlay", "mknod", "qemu-img", "mkfs.ext4")


def test_hooks_run_in_order(workshop: Workshop) -> None:
    workshop.build()

    assert workshop.trace() == [
        *("root/10-tiny-root", "root/20-tiny-oddities", "extra-data/50-tiny-extra-data"),
        *("pre-install/10-tiny-pre-install", "install/20-tiny-install"),
        *("install/30-tiny-thirtieth", "install/100-tiny-hundredth"),
        *("post-install/40-tiny-post-install", "post-root/50-tiny-post-root"),
        *("pre-finalise/50-tiny-pre-finalise", "finalise/60-tiny-finalise"),
        "cleanup/70-tiny-cleanup",
    ]


def test_every_type_is_what_its_own_tools_take(workshop: Workshop) -> None:
    ended = workshop.build(types="raw,qcow2,tar", options=("--workers", "2"))

    assert ended.status == 0, ended.output
    for check in (
        ["qemu-img", "check", "demo.qcow2"],
        ["qemu-img", "compare", "-f", "raw", "-F", "qcow2", "demo.raw", "demo.qcow2"],
        ["e2fsck", "-f", "-n", "demo.raw"],
        ["tar", "tf", "demo.tar"],
    ):
        assert workshop.run(*check).status == 0, check


def test_what_is_odd_in_a_tree_survives(workshop: Workshop) -> None:
    workshop.build()

    with tarfile.open(workshop.folder / "demo.tar") as archive:
        members = {member.name: member for member in archive}
    assert "./.tiny" in members
    assert members["./usr/bin/tiny-setuid"].mode & 0o4000
    assert members["./usr/share/tiny-os/fifo"].isfifo()
    assert members["./usr/share/tiny-os/linked-too"].islnk()
    assert members["./usr/share/tiny-os/sparse"].issparse()


def test_no_device_of_the_host_is_in_a_tar(workshop: Workshop) -> None:
    workshop.build()

    assert [name for name in workshop.tree() if name.startswith("./dev/")] == []


def test_a_finished_build_runs_nothing(workshop: Workshop) -> None:
    workshop.build()
    before = len(workshop.lines())

    ended = workshop.build()

    assert ended.status == 0
    assert workshop.lines()[before:] == []


def test_a_lost_output_alone_is_made_again(workshop: Workshop) -> None:
    workshop.build(types="raw,tar")
    before = len(workshop.lines())
    (workshop.folder / "demo.raw").unlink()

    workshop.build(types="raw,tar")

    assert workshop.titles(Happening.BUILT, after=before) == ["raw"]


def test_an_existing_output_is_set_aside(workshop: Workshop) -> None:
    (workshop.folder / "demo.tar").write_text("of somebody else")

    workshop.build()

    aside = list(workshop.folder.glob("demo-*.tar"))
    assert [path.read_text() for path in aside] == ["of somebody else"]


def test_an_edited_hook_runs_again_and_what_follows(workshop: Workshop) -> None:
    workshop.hook("app/install.d/50-app", "echo one >/etc/app")
    workshop.hook("app/finalise.d/70-end", "cat /etc/app >/etc/app-end")
    workshop.build("app")
    before = len(workshop.lines())

    workshop.hook("app/install.d/50-app", "echo two >/etc/app")
    workshop.build("app")

    built = workshop.titles(Happening.BUILT, after=before)
    assert built[:2] == ["settle-hooks", "install.d/50-app"]
    assert "root.d/10-tiny-root" not in built
    assert workshop.text("etc/app-end") == "two\n"


def test_an_edit_that_changes_nothing_reruns_one_hook(workshop: Workshop) -> None:
    workshop.hook("app/install.d/50-app", "echo one >/etc/app")
    workshop.build("app")
    before = len(workshop.lines())

    workshop.hook("app/install.d/50-app", "# a remark\necho one >/etc/app")
    workshop.build("app")

    hooks = [title for title in workshop.titles(Happening.BUILT, after=before) if "/" in title]
    assert hooks == ["install.d/50-app"]


def test_a_variable_counts_where_it_is_named(workshop: Workshop) -> None:
    workshop.hook("app/install.d/50-app", "echo ${APP_COLOUR:-blue} >/etc/app")
    workshop.build("app")
    before = len(workshop.lines())

    workshop.variables["NOT_NAMED"] = "1"
    workshop.build("app")
    unnamed = workshop.lines()[before:]
    workshop.variables["APP_COLOUR"] = "red"
    workshop.build("app")

    assert unnamed == []
    assert workshop.text("etc/app") == "red\n"


def test_hooks_that_extra_data_adds_and_removes_are_run_and_dropped(workshop: Workshop) -> None:
    workshop.hook(
        "adder/extra-data.d/60-add",
        "printf '#!/bin/bash\\necho added >/etc/added\\n' >$TMP_HOOKS_PATH/install.d/55-added\n"
        "chmod 755 $TMP_HOOKS_PATH/install.d/55-added; rm $TMP_HOOKS_PATH/install.d/57-gone",
    )
    workshop.hook("adder/install.d/57-gone", "exit 3")
    workshop.hook("adder/install.d/60-last", "test -e /etc/added")

    ended = workshop.build("adder")

    assert ended.status == 0, ended.output
    assert workshop.text("etc/added") == "added\n"
    before = len(workshop.lines())
    workshop.build("adder")
    assert workshop.lines()[before:] == []


def test_two_builds_at_once_run_a_shared_step_once(workshop: Workshop) -> None:
    workshop.hook("slow/install.d/50-slow", "sleep 2; echo x >/etc/slow")
    command = workshop.command("slow")
    other = ["other" if word == "demo" else word for word in command]

    processes = [workshop.start(*command), workshop.start(*other)]

    assert [process.wait(120) for process in processes] == [0, 0]
    assert workshop.titles(Happening.BUILT).count("install.d/50-slow") == 1


def test_files_that_hooks_leave_beside_the_image_are_cached_and_copied(
    workshop: Workshop,
) -> None:
    workshop.hook("app/cleanup.d/80-beside", 'echo kernel >"${IMAGE_NAME}.vmlinuz"')
    workshop.build("app")
    (workshop.folder / "demo.vmlinuz").unlink()
    (workshop.folder / "demo.tar").unlink()

    workshop.build("app")

    assert (workshop.folder / "demo.vmlinuz").read_text() == "kernel\n"


def test_the_report_says_what_was_built(workshop: Workshop) -> None:
    workshop.build("tiny-extra")

    report = workshop.report()
    assert report["elements"] == ["tiny-extra", "tiny-os"]
    assert {step["step"] for step in report["steps"]} >= {"root.d/10-tiny-root", "clean-up"}
    assert len(report["outputs"]["tar"]["sha256"]) == 64


@pytest.fixture
def luigid(workshop: Workshop) -> Iterator[str]:
    """A scheduler of its own on a free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    workshop.folder.mkdir(exist_ok=True)
    process = workshop.start("luigid", "--address", "127.0.0.1", "--port", str(port))
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.1)
    yield url
    process.terminate()
    process.wait()


def asked(url: str) -> Any:
    """Give what the scheduler answers."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own, on loopback
        return json.load(answer)["response"]


def tasks_at(url: str, status: str) -> dict[str, Any]:
    data = urllib.parse.quote(json.dumps({"status": status, "upstream_status": ""}))
    value = asked(f"{url}/api/task_list?data={data}")
    assert isinstance(value, dict)
    return value


def test_a_running_scheduler_shows_each_hook(workshop: Workshop, luigid: str) -> None:
    command = [word for word in workshop.command() if word != "--local-scheduler"]

    ended = workshop.run(*command, "--scheduler-url", luigid)

    assert ended.status == 0, ended.output
    done = tasks_at(luigid, "DONE")
    (hook,) = [
        task for task in done.values() if task["params"].get("name") == "install.d/20-tiny-install"
    ]
    assert hook["params"]["element"] == "tiny-os"
    assert "built" in hook["status_message"]
    assert 0 < hook["progress_percentage"] <= 100
    assert any(task["name"] == "BuildImage" for task in done.values())


def test_a_running_scheduler_shows_a_failure_without_a_traceback(
    workshop: Workshop, luigid: str
) -> None:
    workshop.hook("bad/install.d/50-bad", "echo about to fail; exit 7")
    command = [word for word in workshop.command("bad") if word != "--local-scheduler"]

    ended = workshop.run(*command, "--scheduler-url", luigid)

    assert ended.status != 0
    (failed,) = tasks_at(luigid, "FAILED")
    data = urllib.parse.quote(json.dumps({"task_id": failed}))
    shown = asked(f"{luigid}/api/fetch_error?data={data}")["error"]
    assert "about to fail" in shown
    assert "Traceback" not in shown


def test_strict_inputs_hide_what_is_not_named(workshop: Workshop) -> None:
    # The name is put together where no reading of the text finds it.
    workshop.hook(
        "app/install.d/50-app", "x=AP; printenv ${x}P_HID >/etc/seen || echo no >/etc/seen"
    )
    workshop.variables["APP_HID"] = "yes"

    workshop.build("app", options=("--strict-inputs",))

    assert workshop.text("etc/seen") == "no\n"


def test_a_stopped_build_says_how_to_go_on_and_leaves_nothing(workshop: Workshop) -> None:
    workshop.hook("slow/install.d/50-slow", "sleep 60")
    workshop.elements.mkdir(exist_ok=True)
    process = subprocess.Popen(
        workshop.command("slow"),
        cwd=workshop.folder,
        env=workshop.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    deadline = time.monotonic() + 60
    while "install.d/50-slow" not in workshop.titles(Happening.STARTED):
        assert time.monotonic() < deadline
        time.sleep(0.1)

    process.terminate()
    output = process.communicate(timeout=60)[0].decode()

    assert process.returncode == 128 + 15
    assert "stopped by SIGTERM" in output
    assert "give the same command again" in output
    assert "Traceback" not in output
    assert workshop.staging() == []


def test_a_build_needs_none_of_the_callers_standard_input(workshop: Workshop) -> None:
    workshop.hook("app/install.d/50-app", "cat >/etc/from-stdin; umask >/etc/umask; pwd >/etc/pwd")

    workshop.build("app")

    assert workshop.text("etc/from-stdin") == ""
    assert workshop.text("etc/umask") == "0022\n"
    assert workshop.text("etc/pwd") == "/\n"


def test_outside_hooks_run_where_the_build_was_started(workshop: Workshop) -> None:
    workshop.hook("app/extra-data.d/50-app", 'pwd >"${TMP_MOUNT_PATH}/etc/pwd"')

    workshop.build("app")

    assert workshop.text("etc/pwd") == f"{os.path.realpath(workshop.folder)}\n"


def test_what_is_not_named_like_a_hook_does_not_run(workshop: Workshop) -> None:
    workshop.hook("app/install.d/50-app.sh", "exit 7")

    ended = workshop.build("app")

    assert ended.status == 0, ended.output


def test_an_environment_file_that_exits_is_told_how_to_return(workshop: Workshop) -> None:
    workshop.hook("app/environment.d/50-app", "exit 0", mode=0o644)

    ended = workshop.build("app")

    assert ended.status == 30
    assert "return 0" in ended.output
    assert "Traceback" not in ended.output


def test_a_build_whose_steps_a_dead_worker_has_is_no_success(
    workshop: Workshop, luigid: str
) -> None:
    workshop.hook("slow/install.d/50-slow", "sleep 60")
    command = ("dibflow", "build", "tiny-os", "slow", "-n", "-t", "tar", "--scheduler-url", luigid)
    process = workshop.start(*command)
    deadline = time.monotonic() + 60
    while "install.d/50-slow" not in workshop.titles(Happening.STARTED):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.kill()
    process.wait()

    ended = workshop.run(*command)

    assert ended.status == 6
    assert "another worker" in ended.output


def test_without_a_final_image_the_tree_is_finished_and_files_beside_it_come(
    workshop: Workshop,
) -> None:
    workshop.hook("app/cleanup.d/80-beside", 'echo ramdisk >"${IMAGE_NAME}.initramfs"')
    (workshop.elements / "app/element-deps").write_text("no-final-image\n")

    ended = workshop.build("app", types="tar,raw")

    assert ended.status == 0, ended.output
    assert (workshop.folder / "demo.initramfs").read_text() == "ramdisk\n"
    assert not (workshop.folder / "demo.tar").exists()
    assert not (workshop.folder / "demo.raw").exists()
    assert "clean-up" in workshop.titles(Happening.BUILT)


def test_a_build_without_a_final_image_is_not_run_again(workshop: Workshop) -> None:
    workshop.build("no-final-image")
    before = len(workshop.lines())

    ended = workshop.build("no-final-image")

    assert ended.status == 0, ended.output
    assert len(workshop.lines()) == before
