from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dibflow.planning.inputs import Declared, InputFinder, NamedInputs
from dibflow.planning.path_patterns import element_file_matches
from dibflow.planning.texts import TextReader

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

HOOK = "install.d/10-hook"


class FakeTree:
    """A hooks tree in memory; the element of a file stands before a colon: ``{"web:bin/x": ...}``.

    Files of an element's folder that are in no hooks tree start with a slash: ``{"web:/x": ...}``.
    """

    def __init__(self, files: Mapping[str, str | bytes]) -> None:
        self._texts: dict[str, bytes] = {}
        self._elements: dict[str, str] = {}
        for key, content in files.items():
            element, _, path = key.rpartition(":")
            self._texts[path] = content.encode() if isinstance(content, str) else content
            self._elements[path] = element or "own"

    def paths(self) -> Collection[str]:
        return [path for path in self._texts if not path.startswith("/")]

    def text(self, path: str) -> bytes:
        return self._texts[path]

    def element(self, path: str) -> str:
        return self._elements[path]

    def element_texts(self, pattern: str) -> Collection[bytes]:
        return [
            text
            for path, text in self._texts.items()
            if path.startswith("/") and element_file_matches(pattern, path[1:])
        ]


def inputs_of(
    hook: str,
    files: Mapping[str, str | bytes] | None = None,
    *,
    shebang: str = "#!/bin/bash",
    declared: Mapping[str, Declared] | None = None,
) -> NamedInputs:
    tree = FakeTree({HOOK: f"{shebang}\n{hook}\n", **(files or {})})
    visible = {"own": {"own", "dep"}, "dep": {"dep"}, "far": {"far"}}
    return InputFinder(tree, visible=visible, declared=declared).find(HOOK)


TREE = {
    "install.d/data.conf": "",
    "install.d/11-other": "",
    "install.d/sub/inner.conf": "",
    "far:static/etc/motd": "",
    "far:static/usr/sbin/growfs": "",
    "far:init-scripts/systemd/x.service": "",
    "far:init-scripts/sysv/x.init": "",
    "far:yum.repos.d/a.repo": "",
    "far:yum.repos.d/9/b.repo": "",
    "far:source-repository-far": "",
    "far:source-repository-more": "",
    "far:pkg-map": "",
    "far:README.rst": "",
    "far:bin/tool": "",
    "dep:root.d/20-dep": "",
}


@pytest.mark.parametrize(
    ("hook", "files"),
    [
        ("echo nothing", ()),
        ("cp $(dirname $0)/data.conf /etc", ("install.d/data.conf",)),
        ('cp "${0%/*}/data.conf" /etc', ("install.d/data.conf",)),
        ('D=$(dirname "$0")\ncp "${D}/data.$x" /etc', ("install.d/data.conf",)),
        ("D=`dirname $0`; cp $D/sub/* /etc", ("install.d/sub/inner.conf",)),
        ("cp $(dirname $0)/*.conf /etc", ("install.d/data.conf",)),
        (
            'here=$(cd "$(dirname "${BASH_SOURCE[0]}")" >/dev/null 2>&1 && pwd)\ncp $here/sub /x',
            ("install.d/sub/inner.conf",),
        ),
        (
            'S="$(dirname $0)/../static"\n[ -d $S ] && rsync $S/ /',
            ("static/etc/motd", "static/usr/sbin/growfs"),
        ),
        (
            "d=$(readlink -f $(dirname $0)/../init-scripts/$DIB_INIT_SYSTEM/)\ncp $d/* /x",
            ("init-scripts/systemd/x.service", "init-scripts/sysv/x.init"),
        ),
        (
            "cat ${TMP_HOOKS_PATH}/yum.repos.d/$DIB_RELEASE",
            ("yum.repos.d/9/b.repo", "yum.repos.d/a.repo"),
        ),
        ("cat ${TMP_HOOKS_PATH}/yum.repos.d/9", ("yum.repos.d/9/b.repo",)),
        (
            'find $TMP_HOOKS_PATH -maxdepth 1 -name "source-repository-*" -not -name "*~"',
            ("source-repository-far", "source-repository-more"),
        ),
        ("cat $TMP_HOOKS_PATH/source-repository-f$name", ("source-repository-far",)),
        ("cat /tmp/in_target.d/pkg-map", ("pkg-map",)),
        (
            "T=/tmp/in_target.d/\nfor f in $(ls ${T}/yum.repos.d/); do cat $T/yum.repos.d/$f; done",
            ("yum.repos.d/9/b.repo", "yum.repos.d/a.repo"),
        ),
        ("[ -n $TMP_HOOKS_PATH ] || die; echo $TMP_HOOKS_PATH", ()),
        ('[ "$m" != /tmp/in_target.d ]', ()),
        ('D="$(\n  cd "$(dirname "$0")"\n  pwd\n)"\ncat $D/data.conf', ("install.d/data.conf",)),
        ("cat ${TMP_HOOKS_PATH%/}/pkg-map", ("pkg-map",)),
        ("SCRIPTDIR=$(dirname $0)", ()),
        ("echo usage: $(basename $0)", ()),
        ("echo x > $TMP_HOOKS_PATH/new-file", ()),
        ("$TMP_HOOKS_PATH/bin/tool x", ("bin/tool",)),
        ("tool --now", ("bin/tool",)),
        ("toolbox", ()),
        ("/usr/sbin/growfs", ("static/usr/sbin/growfs",)),
        ("grep 20-dep log", ("root.d/20-dep",)),
        ("cat a.repo motd", ()),
        ("cat pkg-map README.rst", ()),
    ],
)
def test_a_hook_names_files_of_the_tree(hook: str, files: tuple[str, ...]) -> None:
    assert inputs_of(hook, TREE).files == files


@pytest.mark.parametrize(
    "hook",
    [
        "cat $TMP_HOOKS_PATH/$x",
        "cp -r $TMP_HOOKS_PATH /x",
        "ls /tmp/in_target.d | xargs cat",
        "f() { cp -r $1/static /; }\nf $(dirname $0)/..",
        "cd $(dirname $0)\ncp -r ../static /",
        "x=$(echo $TMP_HOOKS_PATH)",
        "cat $TMP_BUILD_DIR/hooks/$x",
        "cat ${TMP_HOOKS_PATH%/*}/hooks/pkg-map",
        "D=$(folder_of $0); cat $D/x",
        "D=$(echo $0 | sed 's,/[^/]*$,,'); cat $D/x",
        "D=$(echo $(realpath $(dirname $0)) | cut -d/ -f1-4)\ncat $D/x",
        "python3 -c 'import os; print(os.environ[\"TMP_HOOKS_PATH\"])'",
        "D=$0\nwhile :; do D=$(dirname $D)/..; cat $D/$x; done",
    ],
)
def test_a_path_that_cannot_be_followed_names_every_file(hook: str) -> None:
    assert inputs_of(hook, TREE).files == tuple(sorted(path.split(":")[-1] for path in TREE))


def test_a_python_hook_that_knows_its_own_path_names_every_file() -> None:
    found = inputs_of("print(__file__)", TREE, shebang="#!/usr/bin/env python3")

    assert len(found.files) == len(TREE)


def test_what_a_named_file_names_counts_as_well() -> None:
    found = inputs_of(
        "tool",
        {
            "far:bin/tool": "#!/bin/bash\necho $TOOL_VARIABLE\ninner\n",
            "far:bin/inner": "#!/bin/sh\necho $HELPER_VARIABLE; compgen -v\n",
        },
    )

    assert found.files == ("bin/inner", "bin/tool")
    assert {"TOOL_VARIABLE", "HELPER_VARIABLE"} <= found.words
    assert found.reason == 'uses "compgen -v" in bin/inner:2'
    assert found.everything


def test_a_file_named_by_base_name_must_be_of_the_element_or_its_dependencies() -> None:
    files = {"install.d/a.conf": "", "dep:install.d/b.conf": "", "far:install.d/c.conf": ""}

    found = inputs_of("cat a.conf b.conf c.conf", files)

    assert found.files == ("install.d/a.conf", "install.d/b.conf")


def test_a_sourced_file_speaks_of_the_path_of_the_hook() -> None:
    found = inputs_of(
        ". $TMP_HOOKS_PATH/lib/common.sh",
        {"lib/common.sh": "cat $(dirname $0)/data.conf\n", "install.d/data.conf": ""},
    )

    assert "install.d/data.conf" in found.files


def test_a_program_takes_from_a_folder_only_what_its_text_looks_for() -> None:
    collect = '#!/bin/bash\nD=$2\nfor f in $(find $D -name "list-*"); do cat $f; done\n'

    found = inputs_of(
        "collect -d $(dirname $0)",
        {"bin/collect": collect, "far:install.d/list-far": "", "far:install.d/50-far": ""},
    )

    assert found.files == ("bin/collect", "install.d/list-far")


def test_an_exported_path_counts_for_the_programs_that_read_the_variable() -> None:
    files = {"bin/reads": "#!/bin/sh\ncat $DATA/x\n", "bin/not": "", "far:static/x": ""}

    assert inputs_of("export DATA=$TMP_HOOKS_PATH/static\nnot", files).files == ("bin/not",)
    assert inputs_of("export DATA=$TMP_HOOKS_PATH/static\nreads", files).files == (
        "bin/reads",
        "static/x",
    )


def test_a_name_that_no_word_can_hold_counts_wherever_it_is_visible() -> None:
    found = inputs_of("cat $x", {"install.d/my file": "", "my dir/x": "", "far:install.d/a b": ""})

    assert found.files == ("install.d/my file", "my dir/x")


def test_a_binary_file_names_its_words_only() -> None:
    found = inputs_of("tool", {"bin/tool": b"\x7fELF\0\0SOME_NAME\0 env \0$TMP_HOOKS_PATH\0"})

    assert "SOME_NAME" in found.words
    assert not found.everything
    assert found.files == ("bin/tool",)


ELEMENTS = "eval declare -A dirs=($(get_image_element_array))\n"


@pytest.mark.parametrize(
    ("hook", "patterns"),
    [
        (f'{ELEMENTS}for i in "${{!dirs[@]}}"; do cp ${{dirs[$i]}}/pkg-map /x; done', ("pkg-map",)),
        (f"{ELEMENTS}d=${{dirs[$i]}}\ncp $d/modprobe.d/*.conf /x", ("modprobe.d/*.conf",)),
        (f'{ELEMENTS}f="${{dirs[$i]}}/files/${{DIB_RELEASE}}"\ncat $f', ("files/*",)),
        (f'{ELEMENTS}[[ "${{dirs[@]}}" =~ "dracut" ]]', ()),
        (f"{ELEMENTS}tar c ${{dirs[$i]}}", ("*",)),
        ("cat ${ELEMENTS_PATH%%:*}/$x", ("*",)),
        ("echo $IMAGE_ELEMENT", ()),
    ],
)
def test_a_hook_names_files_in_the_folders_of_all_elements(
    hook: str, patterns: tuple[str, ...]
) -> None:
    assert inputs_of(hook).element_files == patterns


def test_a_python_hook_names_the_element_files_that_it_joins() -> None:
    found = inputs_of(
        'os.environ.get("IMAGE_ELEMENT_YAML")\nopen(os.path.join(path, "svc-map.%s" % kind))',
        shebang="#!/usr/bin/env python3",
    )

    assert found.element_files == ("svc-map.*",)


def test_the_words_of_element_files_count() -> None:
    found = inputs_of(f"{ELEMENTS}cat ${{dirs[x]}}/rules", {"far:/rules": "when: DIB_FEATURE = 1"})

    assert "DIB_FEATURE" in found.words


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*", "any/thing", True),
        ("pkg-map", "pkg-map", True),
        ("pkg-map", "sub/pkg-map", False),
        ("modprobe.d", "modprobe.d/x.conf", True),
        ("package-installs.*", "package-installs.yaml", True),
        ("a/*.conf", "a/b.conf", True),
        ("a/*.conf", "a/b/c.conf", False),
    ],
)
def test_a_pattern_means_a_file_or_all_beneath_a_folder(
    pattern: str, path: str, *, matches: bool
) -> None:
    assert element_file_matches(pattern, path) is matches


LIBRARY = """\
SETTING=${LIBRARY_SETTING:-x}
function called() {
    echo $CALLED_VARIABLE
    inner
}
inner() {
    echo $INNER_VARIABLE
}
unused() { echo $UNUSED_VARIABLE; }
"""


def test_of_the_library_only_functions_that_are_called_count() -> None:
    found = inputs_of("source $_LIB/functions\ncalled", {"far:_LIB/functions": LIBRARY})

    assert found.files == ("_LIB/functions",)
    assert {"LIBRARY_SETTING", "CALLED_VARIABLE", "INNER_VARIABLE"} <= found.words
    assert "UNUSED_VARIABLE" not in found.words


def test_the_library_is_no_input_of_a_hook_that_does_not_name_it() -> None:
    assert inputs_of("functions", {"far:_LIB/functions": LIBRARY}).files == ()


def test_declared_inputs_add_to_what_is_found_and_answer_for_computed_names() -> None:
    declared = {"own": Declared(frozenset({"ONLY_THIS"}), frozenset({"static"}))}

    found = inputs_of("echo $FOO ${!1}", TREE, declared=declared)

    assert not found.everything
    assert {"FOO", "ONLY_THIS"} <= found.words
    assert found.files == ("static/etc/motd", "static/usr/sbin/growfs")


def test_variables_are_picked_by_word_prefix_or_all() -> None:
    environment = ("A", "DIB_X_1", "DIB_Y", "_")

    assert inputs_of("echo $A ${!DIB_X_*}").variables(environment) == ["A", "DIB_X_1"]
    assert inputs_of("env").variables(environment) == sorted(environment)


def test_an_image_read_before_changes_nothing_for_the_next() -> None:
    reader = TextReader()
    tree = FakeTree({HOOK: "tool $A", "bin/tool": "echo $B"})

    first = InputFinder(tree, visible={}, reader=reader).find(HOOK)
    second = InputFinder(tree, visible={}, reader=reader).find(HOOK)

    assert first == second


UPSTREAM = find_spec("diskimage_builder")


class UpstreamTree(FakeTree):
    """Some elements of diskimage-builder as one tree; elements may overwrite each other."""

    def __init__(self, root: Path, names: Collection[str]) -> None:
        files = {}
        for name in sorted(names):
            for path in sorted((root / name).rglob("*")):
                inner = path.relative_to(root / name)
                if path.is_file() and not {"tests", "__pycache__"} & set(inner.parts):
                    files[f"{name}:{inner}"] = path.read_bytes()
                    files[f"{name}:/{inner}"] = path.read_bytes()
        super().__init__(files)


@pytest.fixture(scope="module")
def upstream() -> Path:
    if UPSTREAM is None or UPSTREAM.origin is None:
        pytest.skip("diskimage-builder is not installed")
    return Path(UPSTREAM.origin).parent / "elements"


@pytest.mark.slow
def test_of_all_upstream_hooks_one_takes_every_variable(upstream: Path) -> None:
    deps = {path.name: dependencies(path) for path in upstream.iterdir() if path.is_dir()}
    reader = TextReader()

    found = {}
    for name in sorted(deps):
        tree = UpstreamTree(upstream, closure(name, deps) | {"package-installs", "pkg-map", "dpkg"})
        visible = {other: closure(other, deps) for other in deps}
        finder = InputFinder(tree, visible=visible, reader=reader)
        for path in tree.paths():
            if tree.element(path) == name and is_hook(upstream / name / path, path):
                found[f"{name}/{path}"] = finder.find(path)

    assert len(found) > 270
    assert [path for path, inputs in found.items() if inputs.everything] == [
        "pypi/pre-install.d/04-configure-pypi-mirror"
    ]
    squash = found["package-installs/extra-data.d/99-squash-package-install"]
    assert squash.element_files == ("package-installs.*",)
    assert squash.prefixes == ("DIB_INSTALLTYPE_",)
    assert {"ARCH", "DIB_PYTHON_VERSION"} <= squash.words
    assert found["package-installs/install.d/01-package-installs"].files == (
        "bin/install-packages",
        "bin/package-installs",
        "bin/package-installs-v2",
        "bin/pkg-map",
    )
    assert found["source-repositories/extra-data.d/98-source-repositories"].prefixes == (
        "DIB_INSTALLTYPE_",
        "DIB_REPOLOCATION_",
        "DIB_REPOREF_",
        "DIB_REPOTYPE_",
        "REPOREF_DEFAULT_",
    )
    assert found["manifests/cleanup.d/01-copy-manifests-dir"].files == (
        "extra-data.d/20-manifest-dir",
    )
    few = [path for path, inputs in found.items() if len(inputs.files) <= 7]
    assert len(few) > len(found) - 20


def dependencies(element: Path) -> list[str]:
    file = element / "element-deps"
    return file.read_text().split() if file.exists() else []


def closure(name: str, deps: Mapping[str, list[str]]) -> set[str]:
    seen = {name}
    waiting = [name]
    while waiting:
        new = [other for other in deps[waiting.pop()] if other in deps and other not in seen]
        seen.update(new)
        waiting.extend(new)
    return seen


def is_hook(file: Path, path: str) -> bool:
    folder = path.split("/", maxsplit=1)[0]
    if folder == "environment.d":
        return True
    is_phase = folder.endswith(".d") and (folder.split("-")[0] in PHASE_STARTS)
    return is_phase and "." not in file.name and os.access(file, os.X_OK)


PHASE_STARTS = {"root.d", "extra", "pre", "install.d", "post", "finalise.d", "cleanup.d"}
