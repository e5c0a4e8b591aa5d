"""YAML values that know their line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dibflow.errors import DefinitionError
from dibflow.yamlfile import YamlValue, did_you_mean, read_yaml

if TYPE_CHECKING:
    from pathlib import Path


def load(tmp_path: Path, text: str) -> YamlValue:
    (tmp_path / "x.yaml").write_text(text)
    value = read_yaml(tmp_path / "x.yaml")
    assert value is not None
    return value


def test_values_are_read_by_their_type(tmp_path: Path) -> None:
    fields = load(tmp_path, "a: text\nb: yes\nc: 0x10\nd: 1.5\ne: [x, y]\n").mapping()

    assert fields["a"].text() == "text"
    assert fields["b"].boolean() is True
    assert fields["c"].integer() == 16
    assert fields["d"].number() == 1.5
    assert fields["e"].texts() == ("x", "y")


def test_a_value_knows_its_place_and_its_dotted_key(tmp_path: Path) -> None:
    inner = load(tmp_path, "a:\n  b: x\n").mapping()["a"].mapping()["b"]

    assert inner.place == f"{tmp_path}/x.yaml:2"
    assert inner.key == "a.b"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1", 'the number "1"'),
        ("yes", 'the boolean "yes"'),
        ("2020-01-01", 'the date "2020-01-01"'),
        ("[x]", "a list"),
        ("{x: y}", "a mapping"),
        ("", "nothing"),
        ("!!binary x", 'a value tagged "tag:yaml.org,2002:binary"'),
    ],
)
def test_a_value_of_another_type_is_named(tmp_path: Path, text: str, found: str) -> None:
    value = load(tmp_path, f"a: {text}").mapping()["a"]

    with pytest.raises(DefinitionError) as caught:
        value.text()

    assert caught.value.message == f'{tmp_path}/x.yaml:1: key "a": found {found}, expected a string'


def test_the_hint_for_an_unquoted_text_quotes_it(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match='hint: quote it: "0x10"'):
        load(tmp_path, "a: 0x10").mapping()["a"].text()


@pytest.mark.parametrize("text", ["!!int x", "9" * 5000, "!!bool maybe", "!!float x", "x"])
def test_a_number_or_boolean_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    value = load(tmp_path, f"a: {text}").mapping()["a"]

    for read in (value.integer, value.boolean):
        with pytest.raises(DefinitionError, match=r'x\.yaml:1: key "a": found '):
            read()


def test_a_text_or_number_is_read_as_it_is_written(tmp_path: Path) -> None:
    fields = load(tmp_path, "a: 0x83\nb: 1.50\nc: EF00\nd: yes\n").mapping()

    assert [fields[key].as_written() for key in "abc"] == ["0x83", "1.50", "EF00"]
    with pytest.raises(DefinitionError, match=r'found the boolean "yes", expected a string or'):
        fields["d"].as_written()


def test_a_float_is_no_whole_number(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r'found the number "1\.5", expected a whole number'):
        load(tmp_path, "a: 1.5").mapping()["a"].integer()


def test_merge_keys_give_way_to_own_keys_and_to_earlier_mappings(tmp_path: Path) -> None:
    text = "one: &one {a: 1, b: 1}\ntwo: &two {b: 2, c: 2}\nall:\n  <<: [*one, *two]\n  a: own\n"

    merged = load(tmp_path, text).mapping()["all"].mapping()

    assert {key: value.node.value for key, value in merged.items()} == {
        "a": "own",
        "b": "1",
        "c": "2",
    }


def test_a_mapping_that_merges_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="merges itself"):
        load(tmp_path, "a: &a\n  <<: *a\n").mapping()["a"].mapping()


def test_a_key_that_is_no_string_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match='found the boolean "on", expected a string'):
        load(tmp_path, "on: x").mapping()


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("# only a comment\n")

    assert read_yaml(tmp_path / "x.yaml") is None


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"a: 1\nb: 'x\n", ":3: broken YAML: while scanning a quoted scalar"),
        (b"a: 1\nb: [\n", ":3: broken YAML: while parsing a flow node"),
        (b"a: 1\nb: \xff\n", ":2: broken YAML: invalid start byte"),
        (b"a: 1\n---\nb: 2\n", ":2: broken YAML: expected a single document"),
        (b"a: *x\n", ":1: broken YAML: found undefined alias"),
        (b"[" * 100_000, ": broken YAML: nested too deeply"),
    ],
)
def test_broken_yaml_is_one_line_with_its_place(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    (tmp_path / "x.yaml").write_bytes(content)

    with pytest.raises(DefinitionError) as caught:
        read_yaml(tmp_path / "x.yaml")

    assert caught.value.message.startswith(f"{tmp_path}/x.yaml{complaint}")
    assert "\n" not in caught.value.message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"x\.yaml: cannot be read: No such file"):
        read_yaml(tmp_path / "x.yaml")


def test_the_closest_known_name_is_the_hint() -> None:
    assert did_you_mean("debain-minimal", ["base", "debian-minimal"]) == (
        'did you mean "debian-minimal"?'
    )
    assert did_you_mean("web", ["base", "debian-minimal"]) == ""
