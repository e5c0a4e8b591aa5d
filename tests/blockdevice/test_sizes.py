"""Sizes and shares."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibflow.blockdevice.sizes import (
    at_least_mib,
    at_most_mib,
    parse_share,
    parse_size,
    round_up,
)
from dibflow.errors import UsageError

FACTORS = {
    "TiB": 2**40,
    "GiB": 2**30,
    "MiB": 2**20,
    "KiB": 2**10,
    "TB": 10**12,
    "GB": 10**9,
    "MB": 10**6,
    "KB": 10**3,
    "T": 10**12,
    "G": 10**9,
    "M": 10**6,
    "K": 10**3,
    "B": 1,
    "": 1,
}


@given(st.integers(min_value=0, max_value=2**60), st.sampled_from(sorted(FACTORS)), st.booleans())
def test_a_size_is_its_number_times_its_unit(number: int, unit: str, blank: bool) -> None:
    assert parse_size(f"{number}{' ' * blank}{unit}") == number * FACTORS[unit]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1.2TB", 1_200_000_000_000),
        ("2.4T", 2_400_000_000_000),
        ("0.5GiB", 2**29),
        (".5 K", 500),
        ("1.5", 1),
        ("1.1TiB", 1_209_462_790_553),
    ],
)
def test_fractions_are_exact_and_rounded_down(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "G",
        "_+!HuHi+-=",
        "747InVaLiDUnIt",
        "1  G",
        " 1G",
        "1G ",
        "-1",
        "1e9",
        "1.2.3",
        "\u0661G",
    ],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r'^found "'):
        parse_size(text)


def test_a_unit_in_the_wrong_case_gets_a_hint() -> None:
    with pytest.raises(UsageError, match='hint: did you mean "550MiB"'):
        parse_size("550mib")


def test_a_share_is_a_fraction_of_one() -> None:
    assert parse_share("54%") == Fraction(27, 50)
    assert parse_share("100%") == 1
    assert parse_share("0.5%") == Fraction(1, 200)


@pytest.mark.parametrize("text", ["0%", "100.1%", "120%", "%", "-5%", "5", "5%%"])
def test_what_is_no_share_of_a_disk_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a share"):
        parse_share(text)


@given(st.integers(min_value=0), st.integers(min_value=1))
def test_rounding_up_gives_the_next_multiple(number: int, step: int) -> None:
    rounded = round_up(number, step)

    assert rounded % step == 0
    assert number <= rounded < number + step


def test_sizes_in_messages_promise_nothing() -> None:
    assert at_least_mib(2**20 + 1) == "2 MiB"
    assert at_most_mib(2**21 - 1) == "1 MiB"
