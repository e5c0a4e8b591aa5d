"""The order of hooks, checked against the sort of coreutils."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibflow.errors import UsageError
from dibflow.planning.ordering import (
    ENVIRONMENT_NAME,
    HOOK_NAME,
    environment_order,
    hook_name_pattern,
    hook_order,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

# Bytes that file names may have; a newline is left out because newer releases of sort skip it as a
# blank and older ones do not.
file_names = st.binary(min_size=1, max_size=40).filter(lambda raw: not {0, 10, 47} & set(raw))
number_like = st.from_regex(rb"\A[ \t]?-?[0-9]{0,40}(\.[0-9]{0,25})?[-a-zA-Z_.0]{0,3}\Z").filter(
    lambda raw: raw != b"" and b"\n" not in raw
)
names = (file_names | number_like).map(os.fsdecode)


def sort_of_coreutils(names: Sequence[str], *options: str) -> list[str]:
    """Give what the real sort makes of `names`."""
    completed = subprocess.run(
        ["sort", "-z", *options],
        input=b"".join(os.fsencode(name) + b"\0" for name in names),
        env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        check=True,
    )
    return [os.fsdecode(name) for name in completed.stdout.split(b"\0")[:-1]]


@given(st.lists(names, max_size=12))
def test_hook_order_equals_sort_n_of_coreutils(names: list[str]) -> None:
    assert hook_order(names) == sort_of_coreutils(names, "-n")


@given(st.lists(names, max_size=12))
def test_environment_order_equals_plain_sort_of_coreutils(names: list[str]) -> None:
    assert environment_order(names) == sort_of_coreutils(names)


@given(
    st.lists(names, unique=True, max_size=20).flatmap(
        lambda n: st.tuples(st.just(n), st.permutations(n))
    )
)
def test_hook_order_does_not_depend_on_the_order_given(both: tuple[list[str], list[str]]) -> None:
    names, permuted = both

    assert hook_order(names) == hook_order(permuted)


def test_hook_order_puts_names_without_a_number_among_the_zeros() -> None:
    zeros = ["-y", "00-00-generate", "00-01-yum", "00-install", "Zed", "_x", "abc"]
    ones = ["01-00-p", "02-y", "2-x", "9-z"]
    tens = ["010-q", "10-a", "10-b", "10_c", "99-a", "100-z", "1000"]
    expected = [*zeros, *ones, *tens]

    assert hook_order(reversed(expected)) == expected


def test_hook_order_is_exact_for_numbers_beyond_floats_and_the_digit_limit_of_int() -> None:
    small, large = "1" + "0" * 5000 + "-a", "1" + "0" * 4999 + "1-a"

    assert hook_order([large, small]) == [small, large]


def test_environment_order_ignores_numbers() -> None:
    names = ["a-first", "20-b", "100-c", "30-x.bash", "Z-zed", "10-a"]

    assert environment_order(names) == ["10-a", "100-c", "20-b", "30-x.bash", "Z-zed", "a-first"]


@pytest.mark.parametrize("name", ["10-a", "a_B-9", "-y"])
def test_a_hook_name_has_letters_digits_hyphens_and_underscores(name: str) -> None:
    assert HOOK_NAME.search(name)


@pytest.mark.parametrize("name", ["10-a.sh", "10-a~", "", "10 a", "10-a\n", "10-ä"])
def test_a_hook_name_has_nothing_else(name: str) -> None:
    assert not HOOK_NAME.search(name)


def test_an_environment_name_may_have_dots() -> None:
    assert ENVIRONMENT_NAME.search("10-dpkg.bash")
    assert not ENVIRONMENT_NAME.search("10-dpkg.bash~")


def test_run_parts_regex_replaces_the_pattern_of_hook_names() -> None:
    pattern = hook_name_pattern({"RUN_PARTS_REGEX": r"^[[:digit:]]{2}-[a-z.]+$"})

    assert pattern.search("10-a.sh")
    assert not pattern.search("1-a.sh")


@pytest.mark.parametrize("environment", [{}, {"RUN_PARTS_REGEX": ""}])
def test_an_unset_or_empty_run_parts_regex_leaves_the_default(environment: dict[str, str]) -> None:
    assert hook_name_pattern(environment) is HOOK_NAME


def test_a_broken_run_parts_regex_is_refused() -> None:
    with pytest.raises(UsageError, match=r'RUN_PARTS_REGEX is no regular expression: "\[a"'):
        hook_name_pattern({"RUN_PARTS_REGEX": "[a"})
