"""The command line of DIB's image commands."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibflow.errors import UsageError
from dibflow.planning.definition import ARCHITECTURES, INSTALL_TYPES, ImageDefinition
from dibflow.planning.dibcommand import Answer, command_line, read_command, words
from dibflow.planning.formats import KNOWN_TYPES


def read(line: str, **environment: str) -> ImageDefinition:
    definition = read_command(shlex.split(line), environment, ramdisk=False)
    assert isinstance(definition, ImageDefinition)
    return definition


def test_every_option_sets_its_field() -> None:
    definition = read(
        "-a arm64 -o out/x -t qcow2,tar -x -x -u -n -p vim,jq -p git --checksum --image-size 1.5 "
        "--image-extra-size 100 --image-cache /cache --max-online-resize 4096 "
        "--mkfs-options '-i 8192 -O ^x' --mkfs-journal-size 32 --min-tmpfs 4 --no-tmpfs --offline "
        "--qemu-img-options compat=0.10 --root-label root --ramdisk-element dracut-ramdisk "
        "--install-type package --docker-target repo:tag --logfile build.log vm debian-minimal"
    )

    assert definition == ImageDefinition(
        elements=("vm", "debian-minimal"),
        arch="arm64",
        name="out/x",
        types=("qcow2", "tar"),
        debug_trace=2,
        uncompressed=True,
        skip_base=True,
        packages=("vim", "jq", "git"),
        checksum=True,
        image_size_gib=1.5,
        image_extra_size_mib=100,
        image_cache="/cache",
        max_online_resize=4096,
        mkfs_options="-i 8192 -O ^x",
        mkfs_journal_size_mib=32,
        min_tmpfs_gib=4,
        no_tmpfs=True,
        offline=True,
        qemu_img_options="compat=0.10",
        root_label="root",
        ramdisk_element="dracut-ramdisk",
        install_type="package",
        docker_target="repo:tag",
        logfile="build.log",
    )


def test_without_options_it_is_the_default_image() -> None:
    assert read("debian-minimal") == ImageDefinition(elements=("debian-minimal",))


@pytest.mark.parametrize(
    "line",
    [
        "-o x -t tar -x -u vm debian-minimal",
        "vm debian-minimal -o x -t tar -x -u",
        "-o x vm -xu debian-minimal -t tar",
        "-xuox vm -ttar debian-minimal",
        "-x -u -o y -t tar -o x vm debian-minimal",
        "-x -u -o x -t tar -- vm debian-minimal",
    ],
)
def test_options_may_stand_anywhere(line: str) -> None:
    assert read(line) == ImageDefinition(
        elements=("vm", "debian-minimal"),
        name="x",
        types=("tar",),
        debug_trace=1,
        uncompressed=True,
    )


def test_a_long_option_may_be_shortened_and_joined() -> None:
    assert read("--check --image-s=2 x") == ImageDefinition(
        elements=("x",), checksum=True, image_size_gib=2
    )


@pytest.mark.parametrize(("asked", "answer"), [("-h", "HELP"), ("--help", "HELP")])
def test_help_needs_no_element(asked: str, answer: str) -> None:
    assert read_command([asked], {}, ramdisk=False) is Answer[answer]


def test_the_version_needs_no_element() -> None:
    assert read_command(["-x", "--version"], {}, ramdisk=True) is Answer.VERSION


def test_what_only_this_command_line_knows_comes_from_variables() -> None:
    assert read("-x x", IMAGE_NAME="out", DIB_DEBUG_TRACE="1") == ImageDefinition(
        elements=("x",), name="out", debug_trace=2
    )


@pytest.mark.parametrize(("line", "variables"), [("-c x", {}), ("x", {"CLEAR_ENV": "1"})])
def test_a_cleared_environment_gives_nothing(line: str, variables: dict[str, str]) -> None:
    definition = read(line, IMAGE_NAME="out", DIB_DEBUG_TRACE="1", **variables)

    assert definition == ImageDefinition(elements=("x",), clear=True)


def test_a_ramdisk_takes_the_same_options() -> None:
    definition = read_command(["-n", "-p", "jq", "x"], {}, ramdisk=True)

    assert definition == ImageDefinition(
        elements=("x",), ramdisk=True, skip_base=True, packages=("jq",)
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--frobnicate x", "--frobnicate"),
        ("-o", "-o"),
        ("--image x", "--image"),
        ("-o x", "no element"),
        ("--image-size big x", '--image-size: found "big", expected a number'),
        ("--max-online-resize 1.5 x", "expected a whole number"),
        ("-a sparc x", "architecture"),
        ("-t zip x", "type"),
        ("--install-type wheel x", "install type"),
    ],
)
def test_what_makes_no_sense_is_refused(line: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(line)

    assert message in caught.value.message


_NAMES = st.from_regex(r"[a-z][a-z-]{0,8}", fullmatch=True)
_TEXTS = st.one_of(st.none(), st.text("ab ='\"$^/", min_size=1))


@given(
    st.fixed_dictionaries(
        {"elements": st.lists(_NAMES, min_size=1).map(tuple), "name": _NAMES},
        optional={
            "types": st.lists(st.sampled_from(KNOWN_TYPES), min_size=1).map(tuple),
            "arch": st.sampled_from(ARCHITECTURES),
            "packages": st.lists(_NAMES).map(tuple),
            "install_type": st.sampled_from(INSTALL_TYPES),
            "image_size_gib": st.sampled_from([0.25, 1, 2.5, 4096]),
            "image_extra_size_mib": st.integers(1, 10**6),
            "max_online_resize": st.integers(1, 10**11),
            "mkfs_options": st.text("ab -^"),
            "root_label": _TEXTS,
            "logfile": _TEXTS,
            "docker_target": st.just("registry:5000/a/b:tag"),
            "debug_trace": st.integers(0, 3),
            "ramdisk": st.booleans(),
            "clear": st.booleans(),
            "checksum": st.booleans(),
            "skip_base": st.booleans(),
            "no_tmpfs": st.booleans(),
        },
    )
)
def test_what_is_written_reads_back(fields: dict[str, Any]) -> None:
    definition = ImageDefinition(**fields)

    assert read_command(words(definition), {}, ramdisk=definition.ramdisk) == definition


def test_a_command_can_be_pasted() -> None:
    definition = ImageDefinition(
        elements=("vm", "debian-minimal"),
        environment=(("DIB_RELEASE", "bookworm"), ("GREETING", "hello world")),
        ramdisk=True,
        checksum=True,
        qemu_img_options="compat=0.10",
    )

    assert command_line(definition) == (
        "DIB_RELEASE=bookworm GREETING='hello world' dibflow ramdisk-image-create "
        "-o image -t qcow2 --qemu-img-options compat=0.10 --checksum vm debian-minimal"
    )
