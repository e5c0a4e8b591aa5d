"""Tests of what ``dibflow doctor`` prints."""

import argparse
import json
from pathlib import Path

import pytest

from dibflow.cli.doctor import add_parser, as_json, as_text, exit_status
from dibflow.host.examination import Finding, State, ThisHost

TAR = Finding("tar", "writes tar images", State.FOUND, found="1.34", minimum="1.28")
NO_FUSE = Finding(
    "fuse",
    "shows images as files",
    State.NOTE,
    found="",
    problem="opening /dev/fuse: no such file or directory",
    fix="modprobe fuse",
)
NO_NAMESPACES = Finding(
    "namespaces",
    "keep hooks from the host",
    State.MISSING,
    found="",
    problem="operation not permitted",
    fix="run dibflow as root, with sudo",
)


def test_exit_status_is_zero_with_notes_only() -> None:
    assert exit_status([TAR, NO_FUSE]) == 0


def test_exit_status_is_that_of_a_host_error_when_something_is_missing() -> None:
    assert exit_status([TAR, NO_NAMESPACES]) == 4


def test_text_ends_with_ready_when_nothing_is_missing() -> None:
    text = as_text([TAR, NO_FUSE], host=ThisHost())

    assert text.splitlines() == [
        "found    tar   1.34  writes tar images",
        "note     fuse  -     shows images as files",
        "         opening /dev/fuse: no such file or directory",
        "         fix: modprobe fuse",
        "",
        "ready to build images",
    ]


def test_text_ends_with_what_to_do_when_something_is_missing() -> None:
    text = as_text([NO_NAMESPACES], host=ThisHost())

    assert text.splitlines()[-2:] == [
        "not ready to build images; what mends it:",
        "    run dibflow as root, with sudo",
    ]


def test_json_tells_whether_the_host_is_ready_and_why() -> None:
    answer = json.loads(as_json([NO_NAMESPACES]))

    assert answer == {
        "ready": False,
        "findings": [
            {
                "name": "namespaces",
                "purpose": "keep hooks from the host",
                "state": "missing",
                "found": "",
                "minimum": "",
                "problem": "operation not permitted",
                "fix": "run dibflow as root, with sudo",
                "package": "",
            }
        ],
    }


def test_command_examines_this_host_and_exits_accordingly(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["doctor", "--json", "--store", str(tmp_path / "store")])

    status = arguments.run(arguments)

    answer = json.loads(capsys.readouterr().out)
    assert status == (0 if answer["ready"] else 4)
    assert {"namespaces", "overlayfs", "mkfs.ext4"} <= {
        finding["name"] for finding in answer["findings"]
    }
    assert list(tmp_path.iterdir()) == []
