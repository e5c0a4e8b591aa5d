"""What goes wrong with a disk is said in one clear message, before the hooks where that can be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.harness import Ended, Workshop
from tests.system.test_disk_stage import disk, partition
from tests.system.test_failures import assert_refused

pytestmark = pytest.mark.needs(
    *("root-namespaces", "overlay", "loop", "fuse", "mknod"),
    *("qemu-storage-daemon", "qemu-img", "mkfs.ext4"),
)

GPT = disk(table="gpt", partitions=partition("root", "100%", mount="/"))
TWO = disk(
    table="gpt",
    partitions=partition("root", "50%", mount="/", label="one")
    + partition("more", "100%", fstype="ext4", mount="/var", label="one"),
)


def configure(workshop: Workshop, layout: str) -> Path:
    """Have the workshop build on a disk of `layout`."""
    path = workshop.folder / "disk.yaml"
    path.write_text(layout)
    workshop.variables["DIB_BLOCK_DEVICE_CONFIG"] = f"file://{path}"
    return path


def assert_nothing_ran(workshop: Workshop) -> None:
    assert list((workshop.store / "steps").iterdir()) == []
    assert workshop.staging() == []


@pytest.mark.parametrize(
    ("layout", "line", "key", "words"),
    [
        (GPT.replace("local_loop:", "local_lop:"), 2, "local_lop", ['mean "local_loop"']),
        (GPT.replace("label: gpt", "colour: red"), 6, "partitioning.colour", ["not known"]),
        (GPT.replace("base: image0", "base: image7"), 5, "partitioning.base", ['"image7"']),
        (GPT + partition("root", "1MiB"), 12, "partitions.name", ['"root" is used twice']),
        (GPT.replace("100%", "110%"), 9, "partitions.size", ['"110%"', "up to 100 %"]),
        (GPT + partition("more", "100%"), 12, "partitions.name", ["nothing is left"]),
        (GPT.replace("512", "4096").replace("gpt", "mbr"), 2, "", ["mbr", "4096"]),
        (GPT.replace("          mount", "          label: a-label-much-too-long\n          mount"),
         11, "mkfs.label", ["21 bytes > 16"]),
        (TWO, 17, "mkfs.label", ['"one" is used more than once', "first on line 11"]),
    ],
    ids=["plugin", "key", "base", "name", "share", "shares", "sectors", "label", "labels"],
)  # fmt: skip
def test_a_layout_that_cannot_be_is_refused_with_its_place(
    workshop: Workshop, layout: str, line: int, key: str, words: list[str]
) -> None:
    path = configure(workshop, layout)

    for ended in (
        workshop.run("dibflow", "build", "tiny-os", "-n", "-o", "demo", "-t", "tar"),
        workshop.build(),
    ):
        assert_refused(ended, f"{path}:{line}: key ", key, *words)
        assert ended.status == 2
    assert_nothing_ran(workshop)


@pytest.mark.parametrize(
    ("layout", "options", "words"),
    [
        (GPT, ("--image-size", "0.05"), ['ext4 filesystem of "/" on "root"', "--image-size"]),
        (GPT.replace("100%", "9MiB"), (), ['ext4 filesystem of "/" on "root"', "has 9 MiB"]),
    ],
    ids=["image", "partition"],
)
def test_a_tree_that_is_too_large_is_told_what_it_needs(
    workshop: Workshop, layout: str, options: tuple[str, ...], words: list[str]
) -> None:
    configure(workshop, layout)
    build = ("dibflow", "build", "tiny-os", "-n", "-o", "demo", "-t", "raw")

    ended = workshop.run(*build, *options)

    assert_refused(ended, "laying out the disk", "needs ", " MiB, but has ", *words)
    assert ended.status == 6
    assert workshop.staging() == []
    assert list((workshop.store / "disks").iterdir()) == []


@pytest.mark.needs("mkfs.xfs")
def test_a_program_for_the_disk_is_missed_before_the_hooks(workshop: Workshop) -> None:
    configure(workshop, GPT.replace("mkfs:", "mkfs:\n          type: xfs\n          label: root"))
    script = f"""
    touch empty
    mount --bind empty "$(type -P mkfs.xfs)"
    {" ".join(workshop.command())}
    """

    ended = workshop.run("unshare", "--mount", "bash", "-c", script)

    assert_refused(ended, '"mkfs.xfs", for the disk', "apt-get install xfsprogs")
    assert ended.status == 4
    assert_nothing_ran(workshop)


def without_loop_devices(workshop: Workshop, command: str) -> Ended:
    """Run a command where /dev has no loop devices, as in many containers."""
    script = f"""
    set -e
    mkdir dev
    mount -t tmpfs none dev
    cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/fuse dev
    mkdir dev/pts dev/shm
    mount -t devpts none dev/pts
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    mount --move dev /dev
    {command}
    """
    return workshop.run("unshare", "--mount", "bash", "-c", script)


def test_without_loop_devices_the_build_says_what_a_container_needs(workshop: Workshop) -> None:
    configure(workshop, GPT)

    ended = without_loop_devices(workshop, " ".join(workshop.command(types="raw")))

    assert_refused(ended, "attaching a loop device", "/dev/loop-control", "dibflow doctor")
    assert workshop.staging() == []
    assert workshop.build(types="raw").status == 0  # goes on where there are some
