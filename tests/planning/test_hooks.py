"""The hooks tree of an image and what its phases run."""

from __future__ import annotations

import functools
import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibflow.errors import DuplicateHook, ElementError
from dibflow.planning.element import Element, read_element
from dibflow.planning.hooks import (
    ElementFiles,
    HookTree,
    Reason,
    TreeFile,
    merge_elements,
    predict_install_types,
    scan_element,
)
from dibflow.planning.phases import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def element(folder: Path, *, hooks: Sequence[str] = (), files: Sequence[str] = ()) -> Element:
    """Write an element with executables at `hooks` and plain files at `files`."""
    folder.mkdir(parents=True)
    for path, mode in [*((path, 0o755) for path in hooks), *((path, 0o644) for path in files)]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("#!/bin/sh\n")
        (folder / path).chmod(mode)
    return read_element(folder)


def names(hooks: Sequence[object]) -> list[str]:
    return [getattr(hook, "name", "") for hook in hooks]


def paths(tree: HookTree) -> list[str]:
    return [file.path for file in tree.files]


def test_a_phase_runs_the_hooks_of_all_elements_in_order(tmp_path: Path) -> None:
    a = element(tmp_path / "a", hooks=["install.d/100-z", "install.d/10-x"])
    b = element(tmp_path / "b", hooks=["install.d/99-y", "root.d/10-r"])

    hooks = merge_elements([a, b]).hooks(Phase.INSTALL)

    assert names(hooks) == ["10-x", "99-y", "100-z"]
    assert [hook.element for hook in hooks] == ["a", "b", "a"]
    assert hooks[1].source == tmp_path / "b/install.d/99-y"
    assert hooks[1].phase is Phase.INSTALL


def test_the_order_of_elements_does_not_matter(tmp_path: Path) -> None:
    a = element(tmp_path / "a", hooks=["install.d/10-x"], files=["README", "static/etc/f"])
    b = element(tmp_path / "b", hooks=["install.d/10-y"], files=["README", "static/etc/f"])

    assert merge_elements([a, b]) == merge_elements([b, a])


def test_folders_tests_and_pycache_and_compiled_files_stay_behind(tmp_path: Path) -> None:
    a = element(
        tmp_path / "a",
        files=["tests/x", "__pycache__/x", "x.pyc", "bin/tests/x", "bin/x.pyc", "README"],
    )

    assert paths(merge_elements([a])) == ["README", "bin/tests/x", "bin/x.pyc"]


def test_hidden_files_count_except_directly_in_a_folder(tmp_path: Path) -> None:
    a = element(tmp_path / "a", files=[".top", "static/.direct", "static/etc/.deep", ".d/x"])

    assert paths(merge_elements([a])) == [".d/x", ".top", "static/etc/.deep"]


def test_empty_folders_are_kept(tmp_path: Path) -> None:
    a = element(tmp_path / "a")
    (tmp_path / "a/static/var/empty").mkdir(parents=True)

    assert merge_elements([a]).directories == ("static", "static/var", "static/var/empty")


def test_a_linked_folder_is_followed_at_the_top_and_kept_as_a_link_below(tmp_path: Path) -> None:
    a = element(tmp_path / "a", files=["static/etc/f"])
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/10-x").write_text("")
    (tmp_path / "a/install.d").symlink_to(tmp_path / "outside")
    (tmp_path / "a/static/also").symlink_to("./etc")

    tree = merge_elements([a])

    assert paths(tree) == ["install.d/10-x", "static/also", "static/etc/f"]
    also = tree.file("static/also")
    assert also is not None
    assert also.link_target == "./etc"


@pytest.mark.parametrize("directory", ["install.d", "bin", "environment.d", "anything"])
def test_the_same_name_from_two_elements_is_refused_in_any_folder(
    tmp_path: Path, directory: str
) -> None:
    a = element(tmp_path / "a", hooks=[f"{directory}/80-x"])
    b = element(tmp_path / "b", hooks=[f"{directory}/80-x"])

    with pytest.raises(DuplicateHook) as caught:
        merge_elements([b, a])

    assert caught.value.message == (
        f'elements "a" and "b" both bring "{directory}/80-x":'
        f' "{tmp_path}/a/{directory}/80-x" and "{tmp_path}/b/{directory}/80-x"'
    )
    assert caught.value.hint


@pytest.mark.parametrize("path", ["x", "static/x", "static/deep/x"])
def test_a_file_and_a_folder_of_one_name_are_refused(tmp_path: Path, path: str) -> None:
    a = element(tmp_path / "a", files=[path])
    b = element(tmp_path / "b", files=[f"{path}/inner"])
    c = element(tmp_path / "c", files=[path])

    for pair in ([a, b], [b, c]):
        with pytest.raises(DuplicateHook, match=f'both bring "{path}"'):
            merge_elements(pair)


@pytest.mark.parametrize("path", ["README.rst", "static/etc/motd"])
def test_files_at_the_top_and_deep_ones_are_overwritten_by_the_later_name(
    tmp_path: Path, path: str
) -> None:
    a = element(tmp_path / "a", files=[path])
    b = element(tmp_path / "b", files=[path])

    winner = merge_elements([a, b]).file(path)

    assert winner is not None
    assert winner.element == "b"


def test_files_that_will_not_run_are_told_with_their_reason(tmp_path: Path) -> None:
    a = element(
        tmp_path / "a",
        hooks=["install.d/10-x.sh", "install.d/20-good", "install.d/sub/30-deep"],
        files=["install.d/40-plain", "install.d/50-data.conf"],
    )
    (tmp_path / "a/install.d/60-dangling").symlink_to("nowhere")
    tree = merge_elements([a])

    ignored = {entry.file.name: entry.reason for entry in tree.ignored(Phase.INSTALL)}

    assert names(tree.hooks(Phase.INSTALL)) == ["20-good"]
    assert ignored == {
        "10-x.sh": Reason.BAD_NAME,
        "40-plain": Reason.NOT_EXECUTABLE,
        "50-data.conf": Reason.DATA,
        "60-dangling": Reason.NO_FILE,
    }


def test_another_pattern_lets_other_names_run(tmp_path: Path) -> None:
    tree = merge_elements([element(tmp_path / "a", hooks=["root.d/10-x.sh", "root.d/20-y"])])

    hooks = tree.hooks(Phase.ROOT, names=re.compile(r"\.sh$"))

    assert names(hooks) == ["10-x.sh"]


def test_a_link_runs_if_it_leads_to_an_executable_of_the_tree(tmp_path: Path) -> None:
    a = element(tmp_path / "a", files=["bin/plain"])
    (tmp_path / "a/install.d").mkdir()
    (tmp_path / "a/install.d/10-program").symlink_to("../bin/program")
    (tmp_path / "a/install.d/20-plain").symlink_to("../bin/plain")
    b = element(tmp_path / "b", hooks=["bin/program"])

    tree = merge_elements([a, b])

    (hook,) = tree.hooks(Phase.INSTALL)
    assert (hook.name, hook.element) == ("10-program", "a")
    assert hook.source == tmp_path / "b/bin/program"
    assert [entry.reason for entry in tree.ignored(Phase.INSTALL)] == [Reason.NOT_EXECUTABLE]


def test_an_absolute_link_reaches_the_host_outside_only(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("")
    program.chmod(0o755)
    a = element(tmp_path / "a")
    for directory in ("root.d", "install.d"):
        (tmp_path / "a" / directory).mkdir()
        (tmp_path / "a" / directory / "10-x").symlink_to(program)

    tree = merge_elements([a])

    assert names(tree.hooks(Phase.ROOT)) == ["10-x"]
    assert names(tree.hooks(Phase.INSTALL)) == []


def test_a_relative_link_out_of_the_tree_leads_nowhere(tmp_path: Path) -> None:
    element(tmp_path / "b", hooks=["root.d/10-x"])
    a = element(tmp_path / "a")
    (tmp_path / "a/root.d").mkdir()
    (tmp_path / "a/root.d/10-y").symlink_to("../../b/root.d/10-x")

    tree = merge_elements([a])

    assert names(tree.hooks(Phase.ROOT)) == []
    assert [entry.reason for entry in tree.ignored(Phase.ROOT)] == [Reason.NO_FILE]


def test_links_in_a_circle_lead_nowhere(tmp_path: Path) -> None:
    a = element(tmp_path / "a")
    (tmp_path / "a/root.d").mkdir()
    (tmp_path / "a/root.d/10-x").symlink_to("10-y")
    (tmp_path / "a/root.d/10-y").symlink_to("10-x")

    assert names(merge_elements([a]).hooks(Phase.ROOT)) == []


def test_environment_files_come_in_byte_order_and_need_no_executable_bit(tmp_path: Path) -> None:
    a = element(tmp_path / "a", files=["environment.d/20-b", "environment.d/100-c.bash"])
    b = element(tmp_path / "b", hooks=["environment.d/10-a"], files=["environment.d/10-a~"])

    files = merge_elements([a, b]).environment_files()

    assert names(files) == ["10-a", "100-c.bash", "20-b"]
    assert [file.element for file in files] == ["b", "a", "a"]


def test_what_is_neither_file_folder_nor_link_is_refused(tmp_path: Path) -> None:
    a = element(tmp_path / "a", files=["static/x"])
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "a/static/control"))

        with pytest.raises(ElementError, match=r"static/control.* is neither file, folder"):
            merge_elements([a])


def test_a_folder_that_vanished_is_a_clear_error(tmp_path: Path) -> None:
    gone = Element("gone", tmp_path / "gone")

    with pytest.raises(ElementError, match='reading element "gone": No such file or directory'):
        merge_elements([gone])


def test_each_element_is_scanned_once_for_many_images(tmp_path: Path) -> None:
    scanned: list[str] = []

    def counting(element: Element) -> ElementFiles:
        scanned.append(element.name)
        return scan_element(element)

    a, b = element(tmp_path / "a"), element(tmp_path / "b")
    scan = functools.cache(counting)

    merge_elements([a, b], scan=scan)
    merge_elements([b], scan=scan)

    assert scanned == ["a", "b"]


@pytest.fixture
def typed(tmp_path: Path) -> HookTree:
    """Give a tree with two prefixes of install types and the hook that links them."""
    types = element(tmp_path / "install-types", hooks=["extra-data.d/99-enable-install-types"])
    init = element(
        tmp_path / "simple-init",
        hooks=[
            "install.d/simple-init-source-install/40-glean",
            "install.d/simple-init-repo-install/41-glean-repo",
        ],
        files=[
            "install.d/simple-init-package-install/package-installs-x",
            "install.d/simple-init-source-install/.hidden",
        ],
    )
    pip = element(
        tmp_path / "pip",
        hooks=["install.d/pip-source-install/04-pip", "install.d/10-own"],
    )
    return merge_elements([types, init, pip])


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ["04-pip", "10-own", "40-glean"]),
        ({"DIB_DEFAULT_INSTALLTYPE": ""}, ["04-pip", "10-own", "40-glean"]),
        ({"DIB_DEFAULT_INSTALLTYPE": "package"}, ["10-own"]),
        ({"DIB_INSTALLTYPE_simple_init": "repo"}, ["04-pip", "10-own", "41-glean-repo"]),
        ({"DIB_INSTALLTYPE_simple_init": "none"}, ["04-pip", "10-own"]),
        (
            {"DIB_DEFAULT_INSTALLTYPE": "repo", "DIB_INSTALLTYPE_pip": "source"},
            ["04-pip", "10-own", "41-glean-repo"],
        ),
    ],
)
def test_install_types_link_the_hooks_of_the_chosen_type(
    typed: HookTree, environment: Mapping[str, str], expected: list[str]
) -> None:
    predicted = predict_install_types(typed, environment)

    assert names(predicted.hooks(Phase.INSTALL)) == expected


def test_install_types_link_data_files_too_and_keep_the_element(typed: HookTree) -> None:
    predicted = predict_install_types(typed, {"DIB_DEFAULT_INSTALLTYPE": "package"})

    link = predicted.file("install.d/package-installs-x")

    assert link is not None
    assert link.link_target == "simple-init-package-install/package-installs-x"
    assert link.element == "simple-init"


def test_a_linked_hook_belongs_to_its_element(typed: HookTree) -> None:
    hooks = predict_install_types(typed, {}).hooks(Phase.INSTALL)

    assert {hook.name: hook.element for hook in hooks}["40-glean"] == "simple-init"


def test_install_types_do_nothing_without_their_hook(tmp_path: Path) -> None:
    tree = merge_elements(
        [element(tmp_path / "pip", hooks=["install.d/pip-source-install/04-pip"])]
    )

    assert predict_install_types(tree, {}) == tree


hook_names = st.from_regex(r"\A[0-9]{0,3}[-a-zA-Z_]{1,4}(\.sh)?\Z")


@given(st.dictionaries(hook_names, st.tuples(st.sampled_from("abc"), st.booleans()), max_size=12))
def test_every_file_of_a_phase_either_runs_or_is_told_with_a_reason(
    drawn: dict[str, tuple[str, bool]],
) -> None:
    tree = HookTree(
        tuple(
            TreeFile(f"install.d/{name}", Path("/x", name), element, executable)
            for name, (element, executable) in drawn.items()
        )
    )

    run = names(tree.hooks(Phase.INSTALL))
    told = [entry.file.name for entry in tree.ignored(Phase.INSTALL)]

    assert sorted(run + told, key=os.fsencode) == sorted(drawn, key=os.fsencode)
