from __future__ import annotations

import pytest

from dibflow.errors import UsageError
from dibflow.host.tools import read_tools
from dibflow.planning.formats import (
    FORMATS,
    KNOWN_TYPES,
    check_epoch,
    needs_disk,
    wanted_checksums,
)
from dibflow.resources import host_tools_file


def test_the_types_of_dib_have_the_extensions_of_dib() -> None:
    extensions = {name: FORMATS[name].extension for name in ("qcow2", "tgz", "squashfs", "aci")}

    assert extensions == {"qcow2": "qcow2", "tgz": "tgz", "squashfs": "squash", "aci": "aci"}


def test_no_two_types_write_the_same_file() -> None:
    assert len({made.extension for made in FORMATS.values()}) == len(KNOWN_TYPES)


def test_every_program_of_a_type_is_in_the_list_of_host_tools() -> None:
    tools = read_tools(host_tools_file().read_text(encoding="utf-8"), source="host-tools")
    listed = {(tool.name, tool.package) for tool in tools}

    used = {
        (program.name, program.package) for made in FORMATS.values() for program in made.programs
    }

    assert used - listed == set()


@pytest.mark.parametrize(
    ("types", "needed"),
    [(("tar",), False), (("tar", "qcow2"), True), (("squashfs", "erofs", "cpio"), False)],
)
def test_a_disk_is_needed_where_one_type_is_made_of_it(
    types: tuple[str, ...], needed: bool
) -> None:
    assert needs_disk(types) is needed


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ()),
        ("0", ()),
        ("1", ("md5", "sha256")),
        ("sha256", ("sha256",)),
        ("sha256,md5", ("md5", "sha256")),
    ],
)
def test_checksums_are_chosen_as_dib_chooses_them(text: str, wanted: tuple[str, ...]) -> None:
    assert wanted_checksums(text) == wanted


@pytest.mark.parametrize("text", ["yesterday", "-1", "1.5", "\u0661"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        check_epoch(text)
