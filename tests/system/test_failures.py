"""What goes wrong is said in one clear message, and nothing is lost."""

from __future__ import annotations

import shutil

import pytest

from dibflow.engine.journal import Happening
from tests.system.harness import Ended, Workshop

pytestmark = pytest.mark.needs("root-namespaces", "overlay", "mkfs.ext4", "qemu-img")


def assert_refused(ended: Ended, *words: str) -> None:
    """Check that a command failed with a message that has `words`, and without a traceback."""
    assert ended.status != 0
    assert "Traceback" not in ended.output, ended.output
    for word in words:
        assert word in ended.output, ended.output


def test_a_failed_hook_is_named_with_all_that_helps(workshop: Workshop) -> None:
    workshop.hook("bad/install.d/50-bad", "for i in {1..30}; do echo line $i; done; exit 7")

    ended = workshop.build("bad")

    assert_refused(
        ended,
        'install.d/50-bad of element "bad" ended with status 7',
        "line 11\n",
        "line 30",
        str(workshop.store / "logs"),
        "dibflow shell --store",
        "give the same command again",
    )
    assert "line 10\n" not in ended.output


def test_a_mended_hook_is_where_the_retry_starts(workshop: Workshop) -> None:
    workshop.hook("bad/install.d/50-bad", "exit 7")
    workshop.build("bad")
    before = len(workshop.lines())

    workshop.hook("bad/install.d/50-bad", "echo mended >/etc/mended")
    ended = workshop.build("bad")

    assert ended.status == 0, ended.output
    started = [
        title
        for title in workshop.titles(Happening.STARTED, after=before)
        if title != "settle-hooks"  # it looks at the hooks, which have changed
    ]
    assert started[0] == "install.d/50-bad"
    assert workshop.text("etc/mended") == "mended\n"


def test_a_failed_hook_leaves_no_trace_in_the_retry(workshop: Workshop) -> None:
    workshop.hook("bad/install.d/50-bad", "test ! -e /etc/half; touch /etc/half; exit 7")
    workshop.build("bad")

    ended = workshop.build("bad")

    assert "status 7" in ended.output


def test_environment_d_that_fails_is_named(workshop: Workshop) -> None:
    workshop.hook("bad/environment.d/50-bad", "echo no arm64 here; exit 1")

    assert_refused(workshop.build("bad"), "environment.d of root.d", "no arm64 here")


def test_a_full_store_is_said_and_the_build_goes_on_once_there_is_room(
    workshop: Workshop,
) -> None:
    script = f"""
    set -e
    mkdir room
    mount -t tmpfs -o size=12m room room
    export DIBFLOW_STORE=$PWD/room/store
    {" ".join(workshop.command())} >first 2>&1 && exit 90
    mount -o remount,size=100m room
    {" ".join(workshop.command())} >second 2>&1
    """

    ended = workshop.run("unshare", "--mount", "bash", "-c", script)

    first = (workshop.folder / "first").read_text()
    assert ended.status == 0, first + (workshop.folder / "second").read_text()
    assert_refused(Ended(1, first), "make room")
    assert "cleanup/70-tiny-cleanup" in workshop.trace()


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ("debain-minimal", ['no element "debain-minimal"', 'did you mean "debian-minimal"']),
        ("tiny-os,tiny-os", ['element "tiny-os"', "is named twice"]),
        ("tiny-os,debian-minimal", ['"operating-system" is provided by two elements']),
        ("install-bin", ["provides an operating system", "debian-minimal"]),
    ],
)
def test_elements_that_do_not_fit_are_refused(
    workshop: Workshop, elements: str, words: list[str]
) -> None:
    ended = workshop.run(
        *("luigi", "--module", "dibflow", "BuildImage", "--local-scheduler", "--skip-base"),
        *("--elements", elements),
    )

    assert_refused(ended, *words)


def test_a_hook_of_two_elements_is_refused_naming_both(workshop: Workshop) -> None:
    workshop.hook("one/install.d/50-same", "true")
    workshop.hook("two/install.d/50-same", "true")

    assert_refused(workshop.build("one", "two"), '"one" and "two" both bring', "50-same")


def test_hooks_that_will_not_run_are_warned_about(workshop: Workshop) -> None:
    workshop.hook("odd/install.d/50-not-executable", "true", mode=0o644)
    workshop.hook("odd/install.d/60-a.name", "true")

    ended = workshop.run("dibflow", "plan", "tiny-os", "odd", "-n")

    assert ended.status == 0
    assert '"install.d/50-not-executable" of element "odd" will not run' in ended.output
    assert '"install.d/60-a.name" of element "odd" will not run' in ended.output


def test_broken_yaml_is_refused_with_its_line(workshop: Workshop) -> None:
    (workshop.folder / "image.yaml").write_text("imagename: x\nelements: [tiny-os\ntypes: tar\n")

    ended = workshop.run(
        *("luigi", "--module", "dibflow", "BuildImage", "--local-scheduler"),
        *("--image", "image.yaml"),
    )

    assert_refused(ended, "image.yaml:")


def test_a_store_of_a_newer_version_is_refused(workshop: Workshop) -> None:
    workshop.store.mkdir()
    (workshop.store / "version").write_text("99\n")

    assert_refused(workshop.build(), "version 99", "--store")


def test_a_store_that_is_a_file_is_refused(workshop: Workshop) -> None:
    workshop.store.write_text("")

    assert_refused(workshop.build(), "it is not a folder")


def test_a_missing_tool_is_named_with_its_package(workshop: Workshop) -> None:
    tools = workshop.folder / "bin"
    tools.mkdir()
    for name in ("bash", "sh", "env", "luigi"):
        found = shutil.which(name, path=workshop.environment()["PATH"])
        assert found is not None
        (tools / name).symlink_to(found)

    ended = workshop.run(*workshop.command(types="raw"), PATH=str(tools))

    assert_refused(
        ended,
        'not installed are "mkfs.ext4", for the disk; "qemu-img", for raw',
        "apt-get install e2fsprogs qemu-utils",
    )
    assert not list((workshop.store / "steps").iterdir())  # told before anything ran


@pytest.mark.needs("setpriv")
def test_without_the_right_to_mount_one_line_says_so(workshop: Workshop) -> None:
    dropped = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")

    ended = workshop.run(*dropped, *workshop.command())

    assert_refused(ended, "making the namespaces of a step", "run as root")
    assert ended.output.count("run as root") <= 2
