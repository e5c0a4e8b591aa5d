"""Image definitions and what they refuse."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibflow.errors import UsageError
from dibflow.planning.definition import ImageDefinition
from dibflow.planning.formats import KNOWN_TYPES

DEBIAN = ImageDefinition(elements=("debian-minimal",))


def test_a_definition_needs_no_more_than_elements() -> None:
    assert (DEBIAN.name, DEBIAN.types, DEBIAN.arch) == ("image", ("qcow2",), None)


@pytest.mark.parametrize(
    ("name", "types", "cut"),
    [
        ("out/deb.qcow2", ("qcow2",), "out/deb"),
        ("deb.raw", ("qcow2",), "deb.raw"),
        ("deb.qcow2", ("qcow2", "raw"), "deb.qcow2"),
        ("deb.qcow2", ("qcow2", "qcow2"), "deb"),
        ("deb.qcow2.qcow2", ("qcow2",), "deb.qcow2"),
    ],
)
def test_the_extension_is_cut_from_the_name_of_a_single_output(
    name: str, types: tuple[str, ...], cut: str
) -> None:
    assert dataclasses.replace(DEBIAN, name=name, types=types).name == cut


def test_repeated_types_are_dropped_in_order() -> None:
    assert dataclasses.replace(DEBIAN, types=("tar", "raw", "tar")).types == ("tar", "raw")


@given(st.permutations([("A", "1"), ("B", ""), ("C", "x y")]))
def test_definitions_compare_whatever_the_order_of_variables(
    environment: list[tuple[str, str]],
) -> None:
    image = dataclasses.replace(DEBIAN, environment=tuple(environment))

    assert image == dataclasses.replace(DEBIAN, environment=(("A", "1"), ("B", ""), ("C", "x y")))
    assert image.variables == {"A": "1", "B": "", "C": "x y"}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"elements": ()}, "found no element, expected at least one"),
        ({"elements": ("a b",)}, 'found "a b" as element, expected a name'),
        ({"elements": ("a/b",)}, 'found "a/b" as element, expected a name'),
        ({"packages": ("",)}, 'found "" as package, expected a name'),
        ({"name": ""}, 'found "" as name, expected the path of a file'),
        ({"name": "out/"}, 'found "out/" as name, expected the path of a file'),
        ({"name": "a\0b"}, 'found "a\0b" as name, expected the path of a file'),
        ({"name": ".qcow2"}, 'found "" as name, expected the path of a file'),
        ({"types": ()}, "found no type, expected one of raw, qcow2, vhd"),
        ({"types": ("raw", "ami")}, 'found "ami" as type, expected one of raw, qcow2, vhd'),
        ({"arch": "i386"}, 'found "i386" as architecture, expected one of aarch64, amd64'),
        ({"install_type": "repo"}, 'found "repo" as install type, expected one of source'),
        ({"environment": (("A-B", "x"),)}, 'found "A-B" as name of a variable, expected'),
        ({"environment": (("A", "1"), ("A", "2"))}, 'found "A" as name of a variable twice'),
        ({"environment": (("A", "\0"),)}, 'found "\0" as value of A, expected a text'),
        ({"image_size_gib": 0}, 'found "0" as image size, expected a number above zero'),
        ({"image_size_gib": float("inf")}, 'found "inf" as image size, expected a number'),
        ({"image_size_gib": float("nan")}, 'found "nan" as image size, expected a number'),
        ({"image_extra_size_mib": -1}, 'found "-1" as extra image size, expected a number'),
        ({"mkfs_journal_size_mib": 0}, 'found "0" as journal size, expected a number'),
        ({"min_tmpfs_gib": 0}, 'found "0" as minimum tmpfs size, expected a number'),
        ({"root_label": ""}, 'found "" as root label, expected a text'),
        ({"docker_target": "a b"}, 'found "a b" as docker target, expected a name'),
        ({"docker_target": "Demo/App"}, 'found "Demo/App" as docker target, expected a name'),
        ({"mkfs_options": "\0"}, 'found "\0" as mkfs options, expected a text'),
        ({"debug_trace": -1}, 'found "-1" as level of tracing, expected zero or more'),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        dataclasses.replace(DEBIAN, **change)

    assert caught.value.message.startswith(complaint)


@pytest.mark.parametrize(
    "target", ["demo", "team/demo:1.0", "registry.example:5000/team/demo:latest", "localhost/a/b_c"]
)
def test_names_of_container_images_are_taken(target: str) -> None:
    assert dataclasses.replace(DEBIAN, docker_target=target).docker_target == target


def test_a_mistyped_type_gets_a_hint() -> None:
    with pytest.raises(UsageError, match='did you mean "qcow2"'):
        dataclasses.replace(DEBIAN, types=("qcow",))


@pytest.mark.parametrize("output", KNOWN_TYPES)
def test_every_known_type_is_accepted(output: str) -> None:
    assert dataclasses.replace(DEBIAN, types=(output,)).types == (output,)
