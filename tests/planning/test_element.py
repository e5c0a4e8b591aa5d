"""Elements on a search path, and the files that describe them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from dibflow.errors import DefinitionError, ElementError, ElementsPathError
from dibflow.planning.element import ElementMeta, ElementPath, read_element, search_path


def write(folder: Path, **files: str) -> Path:
    """Make an element; the names of `files` have underscores for hyphens."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name.replace("_", "-")).write_text(content)
    return folder


def meta_of(tmp_path: Path, text: str) -> ElementMeta:
    folder = write(tmp_path / "web")
    (folder / "element.yaml").write_text(dedent(text))
    return read_element(folder).meta


def test_every_subfolder_is_an_element(tmp_path: Path) -> None:
    write(tmp_path / "b")
    write(tmp_path / "a")
    (tmp_path / "README").write_text("no element")

    elements = ElementPath([tmp_path])

    assert list(elements) == ["a", "b"]
    assert len(elements) == 2
    assert elements["a"].path == tmp_path / "a"


def test_an_earlier_entry_wins_and_tells_what_it_overrides(tmp_path: Path) -> None:
    mine = write(tmp_path / "mine/web", element_deps="new\n")
    shipped = write(tmp_path / "shipped/web", element_deps="old\n")

    web = ElementPath([tmp_path / "mine", tmp_path / "shipped"])["web"]

    assert (web.path, web.deps, web.overrides) == (mine, ("new",), (shipped,))


def test_a_linked_element_takes_the_name_of_its_target(tmp_path: Path) -> None:
    target = write(tmp_path / "elsewhere/real")
    (tmp_path / "path").mkdir()
    (tmp_path / "path/alias").symlink_to(target)

    elements = ElementPath([tmp_path / "path"])

    assert list(elements) == ["real"]
    assert elements["real"].path == target


def test_a_real_folder_goes_before_a_link_to_another_of_the_same_name(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere/web")
    real = write(tmp_path / "path/web")
    (tmp_path / "path/a-link").symlink_to(tmp_path / "elsewhere/web")

    elements = ElementPath([tmp_path / "path"])

    assert elements["web"].path == real


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_an_entry_that_is_no_folder_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ElementsPathError, match=f'looking for elements in "{tmp_path / kind}"'):
        ElementPath([tmp_path / kind])


def test_element_files_have_one_name_a_line_and_no_comments(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "web",
        element_deps="  base \n\n# really\nbase\r\n\tpkg-map",
        element_provides="server\n\n",
    )

    web = read_element(folder)

    assert web.deps == ("base", "# really", "pkg-map")
    assert web.provides == ("server",)


def test_an_element_knows_the_line_of_each_dependency(tmp_path: Path) -> None:
    web = read_element(write(tmp_path / "web", element_deps="base\n\npkg-map\nbase\n"))

    assert web.where_needed("pkg-map") == f"{tmp_path}/web/element-deps:3"
    assert web.where_needed("base") == f"{tmp_path}/web/element-deps:1"


def test_an_unreadable_element_file_is_a_clear_error(tmp_path: Path) -> None:
    folder = write(tmp_path / "web")
    (folder / "element-deps").mkdir()

    with pytest.raises(ElementError, match=r'reading ".*/web/element-deps": Is a directory'):
        read_element(folder)


def test_a_broken_element_troubles_only_those_who_ask_for_it(tmp_path: Path) -> None:
    write(tmp_path / "good")
    (write(tmp_path / "bad") / "element.yaml").write_text("sumary: x\n")

    elements = ElementPath([tmp_path])

    assert elements["good"].name == "good"
    with pytest.raises(DefinitionError, match="sumary"):
        elements["bad"]


def test_an_element_is_read_once(tmp_path: Path) -> None:
    folder = write(tmp_path / "web", element_deps="base\n")
    elements = ElementPath([tmp_path])
    first = elements["web"]

    (folder / "element-deps").write_text("other\n")

    assert elements["web"] is first


def test_search_path_ends_with_the_shipped_elements() -> None:
    paths = search_path("/a:b", shipped=Path("/shipped"))

    assert paths == (Path("/a"), Path("b"), Path("/shipped"))
    assert search_path("", shipped=Path("/shipped")) == (Path("/shipped"),)


@pytest.mark.parametrize("text", ["/a:", ":/a", "/a::/b"])
def test_search_path_refuses_an_empty_entry(text: str) -> None:
    with pytest.raises(ElementsPathError, match="empty entry"):
        search_path(text, shipped=Path("/shipped"))


def test_element_yaml_adds_what_the_other_files_cannot_say(tmp_path: Path) -> None:
    program = write(tmp_path / "web/bin") / "suites"
    program.write_text("")
    program.chmod(0o755)
    (tmp_path / "web/element.yaml").write_text(
        dedent("""\
            summary: Serve pages.
            inputs:
              variables: [DIB_PORT, ARCH]
              files: [static/index.html]
            fingerprint: bin/suites
            max_age: 7d
        """)
    )

    meta = read_element(tmp_path / "web").meta

    assert meta == ElementMeta(
        summary="Serve pages.",
        variables=("DIB_PORT", "ARCH"),
        files=("static/index.html",),
        fingerprint="bin/suites",
        max_age_seconds=7 * 86400,
    )


def test_an_empty_element_yaml_says_nothing(tmp_path: Path) -> None:
    assert meta_of(tmp_path, "# nothing yet\n") == ElementMeta()


@pytest.mark.parametrize(("text", "seconds"), [("90m", 5400), ("24h", 86400), ("1d", 86400)])
def test_max_age_has_minutes_hours_or_days(tmp_path: Path, text: str, seconds: int) -> None:
    assert meta_of(tmp_path, f"max_age: {text}").max_age_seconds == seconds


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("summary: x\nsumary: y", ':2: key "sumary": is not known here'),
        ("summary: [x]", ':1: key "summary": found a list, expected a string'),
        ("summary: 1", ':1: key "summary": found the number "1", expected a string'),
        ("inputs: {vars: [X]}", ':1: key "inputs.vars": is not known here'),
        ("inputs:\n  variables: X", ':2: key "inputs.variables": found the text "X", expected a'),
        (
            "inputs:\n  variables:\n  - X\n  - a-b",
            ':4: key "inputs.variables": found the text "a-b"',
        ),
        ("inputs:\n  files: [../x]", ':2: key "inputs.files": found the text "../x"'),
        ("fingerprint: bin/none", ':1: key "fingerprint": found the text "bin/none"'),
        ("fingerprint: /bin/sh", ':1: key "fingerprint": found the text "/bin/sh"'),
        ("max_age: 3 days", ':1: key "max_age": found the text "3 days"'),
        ("max_age: 24", ':1: key "max_age": found the number "24", expected a string'),
        ("- summary", ":1: found a list, expected a mapping"),
        ("summary: x\nsummary: y", ':2: key "summary": is given twice, first on line 1'),
        ("summary: 'x", ":1: broken YAML: "),
    ],
)
def test_element_yaml_is_read_strictly(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        meta_of(tmp_path, text)

    assert caught.value.message.startswith(f"{tmp_path}/web/element.yaml{complaint}")
    assert "\n" not in caught.value.message


def test_element_yaml_names_rules_that_do_not_count(tmp_path: Path) -> None:
    assert meta_of(tmp_path, "lint:\n  ignore: [which, tabs]").lint_ignore == ("which", "tabs")
