"""Tests of reading the list of host tools and of comparing versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibflow.errors import HostError
from dibflow.host.tools import Need, Tool, is_older, read_tools, version_in
from dibflow.resources import host_tools_file

VERSIONS = st.lists(st.integers(0, 99), min_size=1, max_size=4)


def test_read_tools_reads_columns_however_they_are_spaced() -> None:
    text = "# a comment\n\nimage  tar   tar-package\t1.28 --version  writes tar  images\n"

    tools = read_tools(text, source="list")

    assert tools == (
        Tool("tar", Need.IMAGE, "tar-package", "1.28", "--version", "writes tar  images"),
    )


def test_read_tools_takes_a_hyphen_for_none() -> None:
    tools = read_tools("option /etc/keys keys - - the keys\n", source="list")

    assert tools == (Tool("/etc/keys", Need.OPTION, "keys", "", "", "the keys"),)


@pytest.mark.parametrize(
    "line", ["image tar", "sometimes tar tar - - writes tar"], ids=["few columns", "unknown need"]
)
def test_read_tools_refuses_a_bad_line_and_names_it(line: str) -> None:
    with pytest.raises(HostError, match=r"^list:2: .*tar"):
        read_tools(f"# first\n{line}\n", source="list")


def test_shipped_list_names_each_tool_once() -> None:
    text = host_tools_file().read_text(encoding="utf-8")

    names = [tool.name for tool in read_tools(text, source="host-tools")]

    assert names
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("qemu-img version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright 2003", "7.2.22"),
        ("mke2fs 1.47.0 (5-Feb-2023)", "1.47.0"),
        ("Sudo version 1.9.13p3", "1.9.13"),
        ("no version here, not in 2023 either", ""),
    ],
)
def test_version_in_finds_the_first_dotted_number(output: str, version: str) -> None:
    assert version_in(output) == version


def test_is_older_compares_numbers_not_text() -> None:
    assert is_older("4.9", "4.10")
    assert not is_older("4.10", "4.9")


@given(VERSIONS, VERSIONS)
def test_is_older_never_holds_both_ways(first: list[int], second: list[int]) -> None:
    one, other = (".".join(map(str, version)) for version in (first, second))

    assert not (is_older(one, other) and is_older(other, one))


@given(VERSIONS)
def test_is_older_ignores_zeros_at_the_end(numbers: list[int]) -> None:
    version = ".".join(map(str, numbers))

    assert not is_older(version, f"{version}.0")
    assert not is_older(f"{version}.0", version)
