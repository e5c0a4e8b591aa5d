"""Tests of watching a console."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dibflow.boot.console import Console


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.integers(0, 40), max_size=5))
def test_a_pattern_is_found_wherever_its_chunks_end(cuts: list[int]) -> None:
    text = b"Debian GNU/Linux 12\r\n\r\ndebian login: "
    console = Console(re.compile(r"^debian login:", re.MULTILINE))
    ends = [*sorted(cuts), len(text)]
    starts = [0, *ends[:-1]]

    found = [console.feed(text[start:end]) for start, end in zip(starts, ends, strict=True)]

    assert found[-1]


def test_what_is_not_printed_is_not_found() -> None:
    console = Console(re.compile("login:"))

    assert not console.feed(b"logi")
    assert not console.feed(b"stics:")


@pytest.mark.parametrize("noise", ["\x1b[0;32m", "\x1b[2J", "\x1b(B", "\x1b7"])
def test_the_tail_is_plain_text(noise: str) -> None:
    console = Console(re.compile("x"))
    console.feed(f"one\r\n{noise}two\r\n\r\nthree\r\n".encode())

    assert console.tail(2) == "two\nthree"
