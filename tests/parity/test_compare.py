"""The comparison of two builds, over values."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from bench.parity.compare import (
    Difference,
    Subject,
    changed_lines,
    compare_maps,
    compare_order,
    compare_trees,
)
from bench.parity.tree import Entry

FILE = Entry(kind="file", mode=0o644, owner=(0, 0), size=3, digest="abc")


def test_equal_trees_have_no_differences() -> None:
    tree = {"etc/motd": FILE, ".": Entry(kind="folder", mode=0o755, owner=(0, 0))}

    assert compare_trees(tree, dict(tree)) == []


CHANGES: list[tuple[str, Any]] = [
    ("kind", "symlink"),
    ("mode", 0o4644),
    ("owner", (0, 4)),
    ("size", 4),
    ("target", "other"),
    ("device", (1, 3)),
    ("xattrs", (("security.capability", "x"),)),
    ("digest", "abd"),
    ("twins", ("etc/other",)),
]


@pytest.mark.parametrize(("aspect", "value"), CHANGES, ids=[aspect for aspect, _ in CHANGES])
def test_each_aspect_of_an_entry_counts(aspect: str, value: object) -> None:
    values: dict[str, Any] = {aspect: value}
    changed = dataclasses.replace(FILE, **values)

    found = compare_trees({"etc/motd": FILE}, {"etc/motd": changed})

    assert [(one.name, one.aspect) for one in found] == [("etc/motd", aspect)]


def test_every_field_of_an_entry_has_its_case() -> None:
    fields = {field.name for field in dataclasses.fields(Entry)}

    assert {aspect for aspect, _ in CHANGES} == fields


def test_two_changes_of_an_entry_are_two_differences() -> None:
    changed = dataclasses.replace(FILE, mode=0o600, digest="other")

    found = compare_trees({"a": FILE}, {"a": changed})

    assert [one.aspect for one in found] == ["mode", "digest"]


def test_an_entry_of_one_tree_only_is_a_difference_of_presence() -> None:
    found = compare_trees({"a": FILE}, {"b": FILE})

    assert found == [
        Difference(Subject.TREE, "a", "presence", "file", "absent"),
        Difference(Subject.TREE, "b", "presence", "absent", "file"),
    ]


def test_packages_differ_by_version_and_by_presence() -> None:
    found = compare_maps(Subject.PACKAGES, {"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2"})

    assert [(one.name, one.dib, one.dibflow) for one in found] == [
        ("b", "1", "2"),
        ("c", "1", "absent"),
    ]


def test_the_same_order_is_no_difference() -> None:
    assert compare_order(Subject.HOOKS, ["a", "b"], ["a", "b"]) == []


def test_hooks_that_change_places_are_a_difference() -> None:
    found = compare_order(Subject.HOOKS, ["a", "b", "c"], ["b", "a", "c"])

    assert {one.name for one in found} in ({"a"}, {"b"})
    assert all(one.aspect == "order" for one in found)


def test_a_hook_that_one_has_not_run_is_a_difference() -> None:
    found = compare_order(Subject.HOOKS, ["a", "b"], ["a"])

    assert found == [Difference(Subject.HOOKS, "b", "order", "number 2", "absent")]


def test_changed_lines_are_those_of_one_text_only() -> None:
    assert list(changed_lines("one\ntwo\n", "one\nthree\n")) == ["- two", "+ three"]
