"""The stream of lines that users of DIB know."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest

from dibflow.cli.progress import Tally
from dibflow.cli.stream import LogStream, Sink, sinks_of
from dibflow.engine.journal import Happening, Line
from dibflow.errors import UsageError


class Following:
    """A stream into memory, and the log of a step."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "1.log"
        self.file = io.BytesIO()
        self.tally = Tally("demo", 3, 0)
        self.stream = LogStream(self.tally, [Sink(self.file, timestamps=False)])

    def happens(self, happening: Happening, *, text: str = "", tally: Tally | None = None) -> None:
        line = Line(0.0, happening, "key", "install.d/50-x", "app", 1.5, 2048, text)
        self.stream.update(tally or self.tally, line)

    def printed(self, text: bytes) -> None:
        with self.log.open("ab") as file:
            file.write(text)

    @property
    def lines(self) -> list[bytes]:
        return self.file.getvalue().splitlines()


@pytest.fixture
def following(tmp_path: Path) -> Following:
    return Following(tmp_path)


def test_whole_lines_are_passed_on_while_a_step_runs(following: Following) -> None:
    following.happens(Happening.STARTED, text=str(following.log))
    following.printed(b"one\ntw")
    following.stream.tick()

    assert following.lines[1:] == [b"one"]

    following.printed(b"o\n")
    following.stream.tick()

    assert following.lines[1:] == [b"one", b"two"]


def test_the_rest_comes_before_what_became_of_it(following: Following) -> None:
    following.happens(Happening.STARTED, text=str(following.log))
    following.printed(b"one\nno newline")
    following.happens(Happening.BUILT)

    assert following.lines == [
        b"dibflow: install.d/50-x (element app): running",
        b"one",
        b"no newline",
        b"dibflow: install.d/50-x (element app): built, 1.50 s, 2.0 KiB",
    ]


def test_bytes_that_are_no_text_pass(following: Following) -> None:
    following.happens(Happening.STARTED, text=str(following.log))
    following.printed(b"\xff\xfe\n")
    following.stream.close()

    assert following.lines[1:] == [b"\xff\xfe"]


def test_a_failure_does_not_repeat_what_the_hook_said(following: Following) -> None:
    text = "hook x ended with status 7; its last lines:\n    last words\n  log: /l\nhint: mend it"

    following.happens(Happening.FAILED, text=text)

    assert following.lines == [
        b"dibflow: hook x ended with status 7",
        b"dibflow:   log: /l",
        b"dibflow: hint: mend it",
    ]


def test_another_image_is_not_shown(following: Following) -> None:
    following.happens(Happening.REUSED, tally=Tally("demo", 3, 0))

    assert following.lines == []


def test_a_line_has_the_time_in_front() -> None:
    file = io.BytesIO()

    LogStream(Tally("demo", 0, 0), [Sink(file, timestamps=True)]).say("one\ntwo")

    stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \| dibflow: "
    assert re.fullmatch(f"{stamp}one\n{stamp}two\n", file.getvalue().decode())


def test_a_reader_that_has_gone_ends_nothing() -> None:
    class Gone(io.BytesIO):
        def write(self, _: object) -> int:
            raise BrokenPipeError

    file = io.BytesIO()
    stream = LogStream(Tally("demo", 0, 0), [Sink(Gone(), False), Sink(file, False)])

    stream.say("one")
    stream.say("two")

    assert file.getvalue() == b"dibflow: one\ndibflow: two\n"


@pytest.mark.parametrize(
    ("variables", "logfile", "expected"),
    [
        ({}, None, [("stdout", True)]),
        ({"DIB_NO_TIMESTAMP": "1"}, None, [("stdout", False)]),
        ({"DIB_NO_TIMESTAMP": "0"}, None, [("stdout", True)]),
        ({"DIB_QUIET": "1"}, None, []),
        ({"DIB_QUIET": "0"}, None, [("stdout", True)]),
        ({}, "l", [("file", True)]),
        ({"DIB_QUIET": "0", "DIB_NO_TIMESTAMP": "1"}, "l", [("stdout", False), ("file", True)]),
        ({"DIB_QUIET": "1"}, "l", [("file", True)]),
    ],
)
def test_variables_and_log_file_say_where_lines_go(
    tmp_path: Path, variables: dict[str, str], logfile: str | None, expected: list[object]
) -> None:
    with sinks_of(variables, logfile, folder=tmp_path) as sinks:
        found = [
            ("stdout" if sink.file is sys.stdout.buffer else "file", sink.timestamps)
            for sink in sinks
        ]

    assert found == expected


def test_a_log_file_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match=r'the log file ".*/no/log": No such file'),
        sinks_of({}, "no/log", folder=tmp_path),
    ):
        pass
