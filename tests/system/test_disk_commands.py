"""The commands that look at a build know the disk stage too."""

from __future__ import annotations

import json

import pytest

from tests.system.harness import Workshop
from tests.system.test_disk_stage import disk, partition

pytestmark = pytest.mark.needs(
    *("root-namespaces", "overlay", "loop", "fuse", "mknod"),
    *("qemu-storage-daemon", "qemu-img", "mkfs.ext4"),
)

LAYOUT = disk(
    table="gpt",
    partitions=partition("boot", "64MiB", fstype="ext4", label="boot", mount="/boot")
    + partition("root", "100%", mount="/"),
)
BUILD = ("tiny-os", "notes", "-n", "-o", "demo", "-t", "tar")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A finished build on a disk, whose hook in finalise.d writes to /boot."""
    shop = Workshop(tmp_path_factory.mktemp("commands"))
    (shop.folder / "disk.yaml").write_text(LAYOUT)
    shop.variables["DIB_BLOCK_DEVICE_CONFIG"] = f"file://{shop.folder}/disk.yaml"
    shop.hook("notes/finalise.d/50-notes", "echo noted; printf note >/boot/note")
    ended = shop.run("dibflow", "build", *BUILD)
    assert ended.status == 0, ended.output
    return shop


@pytest.mark.parametrize(("moment", "expected"), [("--before", "absent"), ("--after", "note")])
def test_a_shell_shows_the_disk_as_it_was_and_as_it_is(
    done: Workshop, moment: str, expected: str
) -> None:
    look = (
        'cat /boot/note 2>/dev/null || printf absent; printf " "; '
        "while read -r source place kind rest; do "
        '[ "$place" != /boot ] || printf "%s %s" "${source%%[0-9]*}" "$kind"; done </proc/mounts'
    )

    ended = done.run("dibflow", "shell", moment, "--command", look, "finalise.d/50-notes")

    assert ended.status == 0, ended.output
    assert f"{expected} /dev/loop ext4" in ended.output


def test_what_a_shell_writes_is_thrown_away(done: Workshop) -> None:
    write = "printf scratch >/boot/note; printf scratch >/scratch"
    assert done.run("dibflow", "shell", "--command", write, "finalise.d/50-notes").status == 0

    look = "cat /boot/note; test ! -e /scratch"
    ended = done.run("dibflow", "shell", "--after", "--command", look, "finalise.d/50-notes")

    assert (ended.status, ended.output) == (0, "note")
    assert done.staging() == []


def test_the_log_of_a_hook_on_the_disk_is_kept(done: Workshop) -> None:
    ended = done.run("dibflow", "log", "finalise.d/50-notes")

    assert ended.status == 0
    assert "noted\n" in ended.output


def test_the_plan_has_the_disk_where_it_is_made(done: Workshop) -> None:
    (plan,) = json.loads(done.run("dibflow", "plan", *BUILD, "--json").output)

    names = [step["step"] for step in plan["steps"]]
    at = names.index("make-disk")
    assert names[at - 1] == "finish-root"
    assert names[at + 1] == "copy-in"
    assert names[at + 2].startswith("pre-finalise.d/")
    assert {step["state"] for step in plan["steps"]} == {"cached"}


def test_the_graph_has_the_disk_between_tree_and_hooks(done: Workshop) -> None:
    graph = done.run("dibflow", "graph", *BUILD).output

    assert "make-disk" in graph
    assert "copy-in" in graph


def chains(shop: Workshop) -> list[list[str]]:
    """Give what each step's record says of the disk."""
    return [json.loads(path.read_text())["disks"] for path in (shop.store / "steps").glob("*.json")]


def test_a_lost_disk_is_found_and_made_again(done: Workshop) -> None:
    assert done.run("dibflow", "verify").status == 0
    base, *_ = max(chains(done), key=len)
    (done.store / "disks" / base).unlink()

    found = done.run("dibflow", "verify")
    (done.folder / "demo.tar").unlink()
    again = done.run("dibflow", "build", *BUILD)

    assert found.status == 5
    assert f"needs disks that are not there: {base}" in found.output
    assert again.status == 0, again.output
    assert "copy-in" in again.output
    assert done.run("dibflow", "gc").status == 0  # what lay on the lost one
    verified = done.run("dibflow", "verify")
    assert verified.status == 0, verified.output


def test_collecting_keeps_the_disk_of_a_build_and_removes_all_in_the_end(done: Workshop) -> None:
    before = {path.name for path in (done.store / "disks").iterdir()}
    needed = {name for chain in chains(done) for name in chain}

    kept = done.run("dibflow", "gc")
    after = {path.name for path in (done.store / "disks").iterdir()}
    (done.folder / "demo.tar").unlink()
    again = done.run("dibflow", "build", *BUILD)
    done.run("dibflow", "gc", "--max-size", "0")

    assert kept.status == 0, kept.output
    assert after == before & needed != frozenset()
    assert "1 built" in again.output  # the tar, from the disk that is still there
    assert list((done.store / "disks").iterdir()) == []
    assert done.run("dibflow", "verify").status == 0
