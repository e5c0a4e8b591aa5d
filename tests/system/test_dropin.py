"""DIB's commands, used as users and programs use them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dibflow.engine.journal import Happening
from tests.system.harness import PATIENCE_SECONDS, Ended, Workshop, loop_devices_of
from tests.system.test_disk_stage import LAYOUTS

pytestmark = pytest.mark.needs("root-namespaces", "overlay", "mknod")

DISK = "dibflow-disk-image-create"
RAMDISK = "dibflow-ramdisk-image-create"
STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \| "


@dataclass
class Sharing(Workshop):
    """A workshop of a test, whose store has what earlier tests have built of the tiny system."""

    shared: Path = Path()

    @property
    def store(self) -> Path:
        return self.shared


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def workshop(tmp_path: Path, shared_store: Path) -> Workshop:
    return Sharing(tmp_path, shared=shared_store)


def create(workshop: Workshop, *elements: str, options: str = "", **variables: str) -> Ended:
    """Make ``demo.tar`` of the tiny system with some elements more."""
    words = ("tiny-os", "-o", "demo", *elements, "-n", "-t", "tar", *shlex.split(options))
    return replace(workshop, variables=variables).run(DISK, *words)


@pytest.mark.needs("qemu-img", "mkfs.ext4")
def test_nodepool_builder_gets_what_it_looks_for(workshop: Workshop) -> None:
    """The call of nodepool-builder, and what it does with the answer.

    Source: zuul/nodepool, ``nodepool/builder.py``: ``_buildImage`` and ``DibImageFile``.
    """
    workshop.hook("keep/cleanup.d/80-keep", 'mkdir "$IMAGE_NAME.d"; env >"$IMAGE_NAME.d/env"')
    images = workshop.folder / "images"
    images.mkdir()
    filename = str(images / "tiny-0000000001")
    command = (
        f"{DISK} -x -t qcow2,raw --checksum --no-tmpfs --qemu-img-options 'compat=0.10' "
        f"-o {filename} -n tiny-os keep"
    )
    environment = {
        **workshop.environment(),
        "DIB_RELEASE": "9",
        "DIB_IMAGE_NAME": "tiny",
        "DIB_IMAGE_FILENAME": filename,
        "DIB_IMAGE_CACHE": str(workshop.folder / "cache"),
        "TMPDIR": str(workshop.folder),
    }
    log = []

    with subprocess.Popen(
        shlex.split(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    ) as process:
        assert process.stdout is not None
        log = [line.strip().decode() for line in iter(process.stdout.readline, b"")]
        status = process.wait(timeout=PATIENCE_SECONDS)

    assert status == 0, log
    assert any(re.fullmatch(STAMP + r"\+ printf .* install/20-tiny-install", line) for line in log)
    found = {file.name.removeprefix("tiny-0000000001.") for file in images.iterdir()}
    checksums = {f"{kind}.{name}" for kind in ("qcow2", "raw") for name in ("md5", "sha256")}
    assert found == {"qcow2", "raw", "d", "build.json"} | checksums
    for kind in ("qcow2", "raw"):
        assert Path(f"{filename}.{kind}").stat().st_blocks > 0
        assert re.match("[0-9a-f]{32} ", Path(f"{filename}.{kind}.md5").read_text())
        assert re.match("[0-9a-f]{64} ", Path(f"{filename}.{kind}.sha256").read_text())
    check = "cd images && md5sum -c *.md5 && sha256sum -c *.sha256"
    assert workshop.run("bash", "-c", check).status == 0
    assert "compat: 0.10" in workshop.run("qemu-img", "info", f"{filename}.qcow2").output
    seen = Path(f"{filename}.d/env").read_text().splitlines()
    assert {"DIB_RELEASE=9", "DIB_IMAGE_NAME=tiny", "DIB_NO_TMPFS=1"} <= set(seen)
    assert f"DIB_IMAGE_CACHE={workshop.folder}/cache" in seen


class TestTheStream:
    def test_is_what_hooks_print_with_the_time(self, workshop: Workshop) -> None:
        workshop.hook("talk/install.d/50-talk", "echo one; echo two >&2; printf 'no newline'")

        lines = create(workshop, "talk").output.splitlines()

        start = next(n for n, line in enumerate(lines) if "50-talk (element talk): run" in line)
        said = [re.sub(STAMP, "", line) for line in lines[start + 1 : start + 4]]
        assert said == ["one", "two", "no newline"]
        assert all(re.match(STAMP, line) for line in lines)
        assert lines[-1].endswith("Build completed successfully")

    def test_comes_while_the_hook_runs(self, workshop: Workshop) -> None:
        gate = workshop.folder / "gate"
        os.mkfifo(gate)
        workshop.hook(
            "talk/extra-data.d/50-talk", f"echo waiting; read -r line <{gate}; echo $line"
        )
        command = (DISK, "tiny-os", "talk", "-n", "-o", "demo", "-t", "tar")
        workshop.elements.mkdir(exist_ok=True)

        with subprocess.Popen(
            command, cwd=workshop.folder, env=workshop.environment(), stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            for line in iter(process.stdout.readline, b""):
                if line.endswith(b"| waiting\n"):
                    gate.write_text("opened\n")
                    break
            rest = process.stdout.read()

        assert process.returncode == 0
        assert b"| opened\n" in rest

    def test_has_no_time_if_that_is_not_wanted(self, workshop: Workshop) -> None:
        workshop.hook("talk/install.d/50-talk", "echo one")

        ended = create(workshop, "talk", DIB_NO_TIMESTAMP="1")

        assert "\none\n" in ended.output
        assert not re.search(STAMP, ended.output)

    def test_is_silent_if_that_is_wanted(self, workshop: Workshop) -> None:
        ended = create(workshop, DIB_QUIET="1")

        assert (ended.status, ended.output) == (0, "")
        assert (workshop.folder / "demo.tar").exists()

    def test_goes_to_a_log_file_instead(self, workshop: Workshop) -> None:
        log = workshop.folder / "build.log"
        log.write_text("of an earlier build\n")

        ended = create(workshop, options="--logfile build.log")

        assert ended.output == "dibflow: the log goes to build.log\n"
        text = log.read_text()
        assert text.startswith("of an earlier build\n")
        assert re.search(STAMP + "dibflow: Build completed", text)

    def test_goes_to_both_if_that_is_wanted(self, workshop: Workshop) -> None:
        ended = create(workshop, options="--logfile build.log", DIB_QUIET="0")

        assert "Build completed" in ended.output
        assert "Build completed" in (workshop.folder / "build.log").read_text()

    def test_tells_what_is_cached(self, workshop: Workshop) -> None:
        create(workshop)
        (workshop.folder / "demo.tar").unlink()

        ended = create(workshop)

        assert "install.d/20-tiny-install (element tiny-os): cached" in ended.output
        assert "20-tiny-install (element tiny-os): running" not in ended.output
        assert "tar: built" in ended.output


class TestAFailure:
    def test_gives_the_status_of_the_hook(self, workshop: Workshop) -> None:
        workshop.hook("bad/install.d/50-bad", "echo last words; exit 7")

        ended = create(workshop, "bad")

        assert ended.status == 7
        assert ended.output.count("last words") == 1
        assert 'dibflow: hook install.d/50-bad of element "bad" ended with status 7' in ended.output
        assert "Traceback" not in ended.output

    def test_of_usage_is_told_without_a_time(self, workshop: Workshop) -> None:
        ended = workshop.run(DISK, "--frobnicate", "tiny-os")

        assert ended.status == 2
        assert ended.output.startswith("dibflow: option --frobnicate not recognized\nhint: ")

    def test_of_planning_is_in_the_log(self, workshop: Workshop) -> None:
        ended = create(workshop, "no-such-element")

        assert ended.status == 3
        assert re.search(STAMP + 'dibflow: no element "no-such-element"', ended.output)

    def test_of_a_hook_is_told_even_if_all_is_quiet(self, workshop: Workshop) -> None:
        workshop.hook("bad/install.d/50-bad", "echo last words; exit 7")

        ended = create(workshop, "bad", options="--logfile build.log")

        assert ended.status == 7
        assert "install.d/50-bad" in ended.output
        assert "last words" in ended.output

    def test_is_told_even_if_all_is_quiet(self, workshop: Workshop) -> None:
        ended = create(workshop, "no-such-element", DIB_QUIET="1")

        assert ended.status == 3
        assert 'dibflow: no element "no-such-element"' in ended.output


class TestVariables:
    def test_of_options_reach_the_hooks(self, workshop: Workshop) -> None:
        workshop.hook("show/install.d/50-show", "export -p >/etc/shown")

        ended = create(
            workshop,
            "show",
            options="--image-extra-size 7 --mkfs-journal-size 5 --max-online-resize 9 --no-tmpfs "
            "--min-tmpfs 3 --docker-target a/b:c --logfile l --offline --checksum -u "
            "--install-type package",
        )

        assert ended.status == 0, ended.output
        shown = set(workshop.text("etc/shown").splitlines())
        assert shown >= {
            f'declare -x {name}="{value}"'
            for name, value in {
                "DIB_IMAGE_EXTRA_SIZE": "7",
                "DIB_JOURNAL_SIZE": "5",
                "MAX_ONLINE_RESIZE": "9",
                "DIB_NO_TMPFS": "1",
                "DIB_MIN_TMPFS": "3",
                "DOCKER_TARGET": "a/b:c",
                "LOGFILE": "l",
                "DIB_OFFLINE": "1",
                "DIB_CHECKSUM": "1",
                "COMPRESS_IMAGE": "",
                "SKIP_BASE": "1",
                "DIB_DEFAULT_INSTALLTYPE": "package",
                "DIB_DEBUG_TRACE": "0",
            }.items()
        }
        assert any(line.startswith('declare -x DIB_ARGS="tiny-os -o demo show') for line in shown)

    def test_of_the_caller_are_gone_if_that_is_wanted(self, workshop: Workshop) -> None:
        workshop.hook("tiny-os/install.d/50-show", "echo ${GREETING:-nothing} >/etc/shown")
        command = (DISK, "tiny-os", "-n", "-o", "demo", "-t", "tar")

        ended = workshop.run(*command, "-c", GREETING="hello")

        # ELEMENTS_PATH is gone as well, and with it the element.
        assert ended.status == 3
        assert 'no element "tiny-os"' in ended.output

    def test_may_say_all_that_options_say(self, workshop: Workshop) -> None:
        ended = workshop.run(
            *(DISK, "tiny-os"),
            IMAGE_NAME="named",
            SKIP_BASE="1",
            IMAGE_ELEMENT="tiny-extra",
            DIB_CHECKSUM="md5",
            FS_TYPE="ext2",
            DIB_JOURNAL_SIZE="4",
        )

        assert ended.status == 0, ended.output
        assert (workshop.folder / "named.qcow2.md5").exists()
        assert not (workshop.folder / "named.qcow2.sha256").exists()

    def test_show_what_takes_the_room(self, workshop: Workshop) -> None:
        workshop.hook("big/install.d/50-big", "head -c 20M /dev/zero | tr '\\0' x >/usr/share/big")

        ended = create(workshop, "big", DIB_SHOW_IMAGE_USAGE="1")
        full = create(workshop, "big", DIB_SHOW_IMAGE_USAGE="1", DIB_SHOW_IMAGE_USAGE_FULL="1")

        assert re.search(r"dibflow: +20\.0 MiB +/usr/share/big\n", ended.output)
        assert "/etc/hostname" not in ended.output
        assert "/etc/hostname" in full.output

    def test_draw_the_block_devices(self, workshop: Workshop) -> None:
        create(workshop, DUMP_CONFIG_GRAPH="1")

        drawn = (workshop.folder / "demo.block-device.dot").read_text()
        assert '"image0" -> "mkfs_root";' in drawn


class TestBreaks:
    def test_stop_before_and_after_a_phase_in_the_sandbox_of_its_hooks(
        self, workshop: Workshop
    ) -> None:
        seen = workshop.folder / "seen"
        command = f'tail -n 1 "$TMP_MOUNT_PATH/etc/tiny-trace" >>{seen}'

        ended = create(workshop, **{"break": "after-post-root,before-post-root"}, break_cmd=command)

        assert ended.status == 0, ended.output
        assert seen.read_text().splitlines() == [
            "post-install/40-tiny-post-install",
            "post-root/50-tiny-post-root",
        ]

    def test_stop_inside_the_target_of_a_phase_inside(self, workshop: Workshop) -> None:
        command = "pwd; tail -n 1 /etc/tiny-trace; ls /tmp/in_target.d/install.d | head -n 1"

        ended = create(workshop, **{"break": "before-install"}, break_cmd=command)

        assert "/\npre-install/10-tiny-pre-install\n100-tiny-hundredth\n" in ended.output
        assert workshop.trace()[-1] == "cleanup/70-tiny-cleanup"

    def test_throw_away_what_is_changed_in_the_target(self, workshop: Workshop) -> None:
        create(workshop, **{"break": "before-install"}, break_cmd="rm /etc/tiny-trace")

        assert workshop.trace()[0] == "root/10-tiny-root"

    def test_stop_in_a_finished_build_too(self, workshop: Workshop) -> None:
        create(workshop)
        before = len(workshop.lines())

        ended = create(workshop, **{"break": "before-block-device"}, break_cmd="echo I was here")

        assert "I was here" in ended.output
        assert workshop.titles(Happening.BUILT, after=before) == []

    @pytest.mark.needs("loop", "fuse", "qemu-storage-daemon", "qemu-img", "mkfs.ext4", "mount")
    def test_stop_over_the_partitions_of_a_disk(self, workshop: Workshop) -> None:
        (workshop.folder / "disk.yaml").write_text(LAYOUTS["mbr"])
        command = """tail -n 1 /etc/tiny-trace
            while read -r source place type _; do
                [[ ${place} != / ]] || echo "on ${source} of ${IMAGE_BLOCK_DEVICE}: ${type}"
            done </proc/self/mounts
            : >/etc/left"""
        known = loop_devices_of(workshop.folder)

        ended = create(
            workshop,
            DIB_BLOCK_DEVICE_CONFIG=f"file://{workshop.folder}/disk.yaml",
            **{"break": "before-finalise"},
            break_cmd=command,
        )

        assert ended.status == 0, ended.output
        assert "pre-finalise/50-tiny-pre-finalise\n" in ended.output
        assert re.search(r"on /dev/loop\d+ of /dev/loop\d+: ext4\n", ended.output)
        assert "./etc/left" not in workshop.tree()
        assert loop_devices_of(workshop.folder) <= known

    def test_open_a_shell_that_ends_without_a_terminal(self, workshop: Workshop) -> None:
        assert create(workshop, **{"break": "before-root,after-cleanup"}).status == 0

    def test_name_what_is_no_break_point(self, workshop: Workshop) -> None:
        ended = create(workshop, **{"break": "before-lunch"})

        assert ended.status == 0
        assert 'break: "before-lunch" is no break point' in ended.output

    def test_do_not_make_a_hook_run_again(self, workshop: Workshop) -> None:
        workshop.hook("loop/install.d/50-loop", "for i in 1 2; do break; done")
        create(workshop, "loop")
        before = len(workshop.lines())

        create(workshop, "loop", **{"break": "after-error"}, break_cmd="false")

        assert workshop.titles(Happening.BUILT, after=before) == []


class TestBreakAfterError:
    HALF = "echo half >/etc/half; mkdir -p /tmp/out; exit 7"

    def test_sees_what_the_hook_has_half_done(self, workshop: Workshop) -> None:
        workshop.hook("bad/install.d/50-bad", self.HALF)

        ended = create(
            workshop, "bad", **{"break": "after-error"}, break_cmd="cat /etc/half; false"
        )

        assert ended.status == 7
        assert "\nhalf\n" in ended.output

    def test_leaves_nothing_in_the_next_try(self, workshop: Workshop) -> None:
        workshop.hook("bad/install.d/50-bad", "test ! -e /etc/half; " + self.HALF)
        create(workshop, "bad", **{"break": "after-error"}, break_cmd="touch /etc/half")

        assert create(workshop, "bad").status == 7

    def test_runs_outside_the_target_if_that_is_wanted(self, workshop: Workshop) -> None:
        """The protocol of DIB's functional tests for builds that are to fail."""
        workshop.hook("bad/install.d/50-bad", "echo half >/tmp/dib-test-should-fail; exit 1")
        copy = workshop.folder / "copy"

        ended = create(
            workshop,
            "bad",
            **{"break": "after-error"},
            break_outside_target="1",
            break_cmd=f"cp -v $TMP_MOUNT_PATH/tmp/dib-test-should-fail {copy} || true",
        )

        assert ended.status == 1
        assert copy.read_text() == "half\n"

    def test_works_in_a_phase_outside_the_target(self, workshop: Workshop) -> None:
        workshop.hook("bad/extra-data.d/60-bad", 'echo half >"$TMP_MOUNT_PATH/etc/half"; exit 3')

        ended = create(
            workshop, "bad", **{"break": "after-error"}, break_cmd='cat "$TMP_MOUNT_PATH/etc/half"'
        )

        assert ended.status == 3
        assert "\nhalf\n" in ended.output


class TestRamdisk:
    @pytest.fixture
    def ramdisk(self, workshop: Workshop) -> Workshop:
        workshop.hook(
            "mine/cleanup.d/99-extract",
            'echo kernel >"$IMAGE_NAME.kernel"; echo "$RAMDISK_ELEMENT" >"$IMAGE_NAME.initramfs"',
        )
        return workshop

    def test_is_what_hooks_leave_beside_the_image(self, ramdisk: Workshop) -> None:
        ended = ramdisk.run(RAMDISK, "-n", "-o", "out/rd", "--ramdisk-element", "mine", "tiny-os")

        assert ended.status == 0, ended.output
        assert "elements: mine tiny-os" in ended.output
        made = {file.name for file in (ramdisk.folder / "out").iterdir()}
        assert made == {"rd.kernel", "rd.initramfs", "rd.build.json"}
        assert (ramdisk.folder / "out" / "rd.initramfs").read_text() == "mine\n"

    def test_is_made_again_if_it_is_lost(self, ramdisk: Workshop) -> None:
        command = (RAMDISK, "-n", "-o", "rd", "tiny-os")
        ramdisk.run(*command, RAMDISK_ELEMENT="mine")
        (ramdisk.folder / "rd.kernel").unlink()

        ramdisk.run(*command, RAMDISK_ELEMENT="mine")

        assert (ramdisk.folder / "rd.kernel").read_text() == "kernel\n"

    def test_is_made_from_a_definition_too(self, ramdisk: Workshop) -> None:
        (ramdisk.folder / "image.yaml").write_text(
            "- {imagename: rd, ramdisk: true, ramdisk-element: mine, skip-base: true, "
            "elements: [tiny-os]}\n"
        )

        ended = ramdisk.run("dibflow", "build", "image.yaml")

        assert ended.status == 0, ended.output
        assert (ramdisk.folder / "rd.kernel").exists()


@pytest.mark.parametrize("program", [DISK, RAMDISK])
def test_help_names_the_options_and_what_differs(workshop: Workshop, program: str) -> None:
    ended = workshop.run(program, "--help")

    assert ended.status == 0
    assert "--mkfs-journal-size" in ended.output
    assert "what differs from DIB" in ended.output


def test_the_commands_of_dibflow_are_the_same(workshop: Workshop) -> None:
    ended = workshop.run("dibflow", "disk-image-create", "--version")

    assert ended.output.startswith("dibflow ")
    assert "diskimage-builder 3.43.0" in ended.output
