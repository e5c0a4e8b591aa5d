from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator

import pytest

from dibflow.commands import Command, run, stream
from dibflow.errors import HostError, StepError

CAT = Command(("cat",), "coreutils")


def python(code: str) -> Command:
    return Command((sys.executable, "-c", code), "python3")


def test_a_stream_gives_what_the_last_program_writes() -> None:
    printed = Command(("printf", "one two"), "coreutils")

    chunks = stream(printed, Command(("tr", "a-z", "A-Z"), "coreutils"), doing="trying")

    assert b"".join(chunks) == b"ONE TWO"


def test_a_stream_takes_more_than_pipes_hold_without_blocking() -> None:
    fed = [bytes([number % 256]) * 100_000 for number in range(100)]

    out = b"".join(stream(Command(("gzip",), "gzip"), CAT, doing="trying", feed=fed))

    assert gzip.decompress(out) == b"".join(fed)


def test_an_empty_chunk_does_not_end_what_is_fed() -> None:
    assert b"".join(stream(CAT, doing="trying", feed=[b"a", b"", b"b"])) == b"ab"


def test_a_stream_that_nothing_feeds_reads_nothing() -> None:
    assert list(stream(CAT, doing="trying")) == []


def test_the_first_program_that_fails_by_itself_is_named() -> None:
    failing = python("import sys; print('no such thing', file=sys.stderr); sys.exit(3)")
    endless = Command(("yes",), "coreutils")

    with pytest.raises(StepError, match="ended with status 3: no such thing"):
        list(stream(endless, failing, CAT, doing="trying"))


def test_a_program_that_is_not_installed_is_named_with_its_package() -> None:
    lacking = Command(("no-such-program",), "some-package")

    with pytest.raises(HostError, match="apt-get install some-package"):
        list(stream(CAT, lacking, doing="trying", feed=[b"x"]))


def test_a_stream_that_is_left_ends_its_programs() -> None:
    chunks = stream(Command(("yes",), "coreutils"), CAT, doing="trying")

    assert isinstance(chunks, Iterator)
    assert next(chunks).startswith(b"y\n")
    chunks.close()  # type: ignore[attr-defined]  # would wait for ever if yes were still there


def test_what_feeds_a_stream_may_fail() -> None:
    def feed() -> Iterator[bytes]:
        yield b"x"
        raise StepError("the feed is broken")

    with pytest.raises(StepError, match="the feed is broken"):
        list(stream(CAT, doing="trying", feed=feed()))


def test_programs_speak_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")

    assert run(["printenv", "LC_ALL"], doing="trying", package="coreutils") == "C\n"
