"""Each rule finds its mistake, at its line, and nothing in what is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from dibflow.lint.linter import RULE_NAMES
from tests.lint.elements import HOOK, findings, make, on_path, said

# rule, files, what is found
FOUND: list[tuple[str, dict[str, str], list[str]]] = [
    ("readme", {"README.md": " \n"}, ["README.md:1"]),
    (
        "undocumented-variable",
        {"install.d/50-a": f"{HOOK}a=1\necho ${{DIB_PORT:-80}} $DIB_HOST\n"},
        ["install.d/50-a:4", "install.d/50-a:4"],
    ),
    (
        "undocumented-variable",
        {"bin/a": "#!/usr/bin/env python3\nimport os\nos.environ.get('DIB_PORT')\n"},
        ["bin/a:3"],
    ),
    (
        "undocumented-variable",
        {"environment.d/10-a": "export DIB_A=${DIB_A:-1}\n"},
        ["environment.d/10-a:1"],
    ),
    ("name-list", {"element-deps": "# base\nbase pkg-map\n"}, ["element-deps:1", "element-deps:2"]),
    ("name-list", {"element-provides": "a\n\na\n"}, ["element-provides:3"]),
    ("deps-order", {"element-deps": "a\nc\nb\n"}, ["element-deps:3"]),
    ("unknown-dependency", {"element-deps": "a\n\nweb\n"}, ["element-deps:1", "element-deps:3"]),
    ("element-yaml", {"element.yaml": "summary: x\nsumary: y\n"}, ["element.yaml:2"]),
    ("element-yaml", {"element.yaml": "a: [\n"}, ["element.yaml:2"]),
    ("executable", {"install.d/50-data": "x\n"}, ["install.d/50-data:1"]),
    ("hook-name", {"install.d/50-a.sh": HOOK}, ["install.d/50-a.sh:1"]),
    ("hook-number", {"install.d/5-a": HOOK, "root.d/a": HOOK}, ["install.d/5-a:1", "root.d/a:1"]),
    ("unknown-phase", {"instal.d/50-a": HOOK}, ["instal.d:1"]),
    ("unknown-phase", {"finalize.d/50-a": HOOK}, ["finalize.d:1"]),
    ("unknown-phase", {"post_install.d/data": ""}, ["post_install.d:1"]),
    ("unknown-phase", {"else.d/50-a": HOOK}, ["else.d/50-a:1"]),
    ("buried-hook", {"install.d/more/50-a": HOOK}, ["install.d/more/50-a:1"]),
    ("environment-name", {"environment.d/10 a": "export A=1\n"}, ["environment.d/10 a:1"]),
    ("environment-mode", {"environment.d/10-a": "#!/bin/bash\n"}, ["environment.d/10-a:1"]),
    (
        "environment-body",
        {"environment.d/10-a": "if true; then set -x; fi\nif true; then exit 0; fi\n"},
        ["environment.d/10-a:1", "environment.d/10-a:2"],
    ),
    ("interpreter", {"bin/a": "#!/usr/bin/env bash\n"}, ["bin/a:1"]),
    ("tabs", {"bin/a": f"{HOOK}if true; then\n\ttrue\nfi\n"}, ["bin/a:4"]),
    (
        "trailing-blanks",
        {"bin/a": f"{HOOK}true \n", "element-deps": "a\t\n"},
        ["bin/a:3", "element-deps:1"],
    ),
    ("trailing-blanks", {"install.d/50-a": "#!/bin/bash\r\n"}, ["install.d/50-a:1"]),
    ("final-newline", {"bin/a": f"{HOOK}true"}, ["bin/a:3"]),
    ("final-newline", {"source-repository-a": "a git /a b"}, ["source-repository-a:1"]),
    ("set-errexit", {"bin/a": "#!/bin/bash\nset -uo pipefail\n"}, ["bin/a:1"]),
    ("set-nounset", {"bin/a": "#!/bin/bash\nset -eo pipefail\n"}, ["bin/a:1"]),
    ("set-pipefail", {"bin/a": "#!/bin/bash\nset -eu\n"}, ["bin/a:1"]),
    ("masked-status", {"bin/a": f"{HOOK}export A=$(b)\n"}, ["bin/a:3"]),
    ("masked-status", {"environment.d/10-a": "export A=`b`\n"}, ["environment.d/10-a:1"]),
    ("indent", {"bin/a": f"{HOOK}if true; then\n  true\nfi\n"}, ["bin/a:4"]),
    ("which", {"bin/a": f"{HOOK}if which b; then :; fi\na=$(which b)\n"}, ["bin/a:3", "bin/a:4"]),
    (
        "unsafe-sudo",
        {"cleanup.d/50-a": f"{HOOK}true\nsudo rm -rf \\\n    /etc\n"},
        ["cleanup.d/50-a:4"],
    ),
    ("yaml", {"any.yaml": "a: 1\nb: [\n"}, ["any.yaml:3"]),
    ("json", {"any.json": "{\n  'a': 1\n}\n", "pkg-map": "{\n"}, ["any.json:2", "pkg-map:2"]),
    (
        "package-installs",
        {"package-installs.yaml": "a:\n  phse: install.d\n"},
        ["package-installs.yaml:2"],
    ),
    (
        "package-installs",
        {"package-installs.yaml": "a:\n- phase: root.d\n"},
        ["package-installs.yaml:2"],
    ),
    (
        "package-installs",
        {"package-installs.yaml": "a:\nb:\n  arch: x, y\n"},
        ["package-installs.yaml:3"],
    ),
    (
        "package-installs",
        {"package-installs.yaml": "a:\n  when: A == b\nb:\n  when: A\n"},
        ["package-installs.yaml:4"],
    ),
    (
        "package-installs",
        {"package-installs.yaml": "a:\n  uninstall: false\n"},
        ["package-installs.yaml:2"],
    ),
    (
        "package-installs",
        {"package-installs.json": '{"a": {"arch": "x",\n\t"not-arch": "y"}}'},
        ["package-installs.json:2"],
    ),
    ("package-installs", {"package-installs.yaml": "- a\n"}, ["package-installs.yaml:1"]),
    ("pkg-map", {"pkg-map": '{"default": {"a": "b"},\n "distros": {}}'}, ["pkg-map:2"]),
    ("pkg-map", {"pkg-map": '{"family": {"debain": {}}}'}, ["pkg-map:1"]),
    ("pkg-map", {"pkg-map": '{"release": {"debian":\n {"sid": "a"}}}'}, ["pkg-map:2"]),
    ("pkg-map", {"pkg-map": '{"distro": {"debian": {"a": ["b"]}}}'}, ["pkg-map:1"]),
    ("svc-map", {"svc-map": "a:\n  default: [b]\n"}, ["svc-map:2"]),
    (
        "block-device",
        {"block-device-default.yaml": "- local_loop: {name: a}\n- mkfz: {}\n"},
        ["block-device-default.yaml:2"],
    ),
    ("block-device", {"block-device-amd64.yaml": "a: {}\n"}, ["block-device-amd64.yaml:1"]),
    (
        "source-repository",
        {"source-repository-a": "# x\na git /a\nb svn /b c\nc git c d\nd git /d e\nd git /d e\n"},
        [f"source-repository-a:{line}" for line in (2, 3, 4, 6)],
    ),
    ("python", {"bin/a": "#!/usr/bin/env python3\nx = 1\nif x\n"}, ["bin/a:3"]),
    ("unknown-rule", {"bin/a": f"{HOOK}# dib-lint: disable=witch\n"}, ["bin/a:3"]),
    ("unknown-rule", {"element.yaml": "lint:\n  ignore: [tabs, witch]\n"}, ["element.yaml:2"]),
]


@pytest.mark.parametrize(("rule", "files", "places"), FOUND)
def test_a_rule_finds_its_mistake(
    tmp_path: Path, rule: str, files: dict[str, str], places: list[str]
) -> None:
    assert said(make(tmp_path / "web", files), rule) == places


# rule, files in which it finds nothing
PASSED: list[tuple[str, dict[str, str]]] = [
    ("readme", {"README.rst": "web\n"}),
    (
        "undocumented-variable",
        {"README.md": "`DIB_PORT`", "bin/a": f"{HOOK}echo ${{DIB_PORT:-80}}\n"},
    ),
    ("undocumented-variable", {"bin/a": f"{HOOK}DIB_OWN=$(x)\necho $DIB_OWN\n"}),
    ("undocumented-variable", {"bin/a": f"{HOOK}echo $DIB_RELEASE \\$DIB_LATER ${{!DIB_APP_@}}\n"}),
    ("deps-order", {"element-deps": "a\nb\n\nc\n"}),
    ("executable", {"install.d/data.txt": "x\n", "environment.d/10-a": "export A=1\n"}),
    ("executable", {"install.d/package-installs-web": "x\n"}),
    ("hook-number", {"install.d/100-a": HOOK, "bin/a": HOOK}),
    ("unknown-phase", {"init.d/50-a": HOOK, "modprobe.d/a.conf": "", "static/instal.d/50-a": HOOK}),
    ("buried-hook", {"install.d/web-source-install/50-a": HOOK, "install.d/lib/helper": HOOK}),
    (
        "environment-body",
        {"environment.d/10-a": "f() { return 0; }\n[ $A ] || exit 1\nawk '{ exit }'\n"},
    ),
    ("interpreter", {"bin/a": "#!/bin/sh\n", "bin/b": "#!/usr/bin/env python3\n"}),
    ("tabs", {"bin/a": f"{HOOK}cat <<-EOF\n\tdata\n\tEOF\n", "static/a": "\tdata\n"}),
    ("trailing-blanks", {"README.md": "a  \nb\n", "bin/a": f"{HOOK}cat <<EOF\na \nEOF\n"}),
    (
        "masked-status",
        {"bin/a": f"{HOOK}A=$(b)\nexport A\nlocal x=$((1 + 2))\nexport C=1; D=$(e)\n"},
    ),
    ("indent", {"bin/a": f"{HOOK}a \\\n  b\ncat <<EOF\n  c\nEOF\n"}),
    ("which", {"bin/a": f"{HOOK}# which one\necho which one is it\ntype -P b\n"}),
    ("unsafe-sudo", {"cleanup.d/50-a": f'{HOOK}list=$TARGET_ROOT/etc/x\nsudo rm "$list"\n'}),
    (
        "unsafe-sudo",
        {"cleanup.d/50-a": f"{HOOK}for x in $TARGET_ROOT/*; do\n    sudo rm $x\ndone\n"},
    ),
    (
        "unsafe-sudo",
        {"root.d/50-a": f"{HOOK}sudo rm $TARGET_ROOT/x\n", "install.d/50-a": f"{HOOK}sudo x\n"},
    ),
    ("yaml", {"any.yaml": "a: 1\n", "package-installs.yaml": "a: [\n"}),
    ("package-installs", {"package-installs.yaml": "# none yet\n"}),
    (
        "package-installs",
        {"package-installs.yaml": "a:\nb:\n- when: [A = b]\n  arch: x,y\n- build-only: true\n"},
    ),
    (
        "pkg-map",
        {"pkg-map": '{"default": {"a": ""}, "release": {"debian": {"sid": {"a": "b c"}}}}'},
    ),
    ("svc-map", {"svc-map": "a:\n  default: b\n  debian: c\n"}),
    ("block-device", {"block-device-default.yaml": "- local_loop:\n    name: image0\n"}),
    ("source-repository", {"source-repository-a": "# x\n\na git /a b\nb $KIND /b c ref\n"}),
    ("python", {"bin/a": "#!/usr/bin/env python3\nprint('\\d')\n"}),
    ("unknown-rule", {"bin/a": f"{HOOK}# dib-lint: disable=sete which dibdebugtrace\n"}),
]


@pytest.mark.parametrize(("rule", "files"), PASSED)
def test_a_rule_finds_nothing_in_what_is_right(
    tmp_path: Path, rule: str, files: dict[str, str]
) -> None:
    assert said(make(tmp_path / "web", files), rule) == []


def test_every_rule_is_shown_here_or_below() -> None:
    shown = {rule for rule, *_ in FOUND}

    assert set(RULE_NAMES) - shown == {"duplicate-hook", "links", "shebang", "shellcheck"}


def test_an_element_without_a_readme_is_named_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()

    assert said(tmp_path / "web", "readme") == [".:1"]


def test_a_program_without_its_bit_is_found_wherever_it_is(tmp_path: Path) -> None:
    web = make(tmp_path / "web", {"static/usr/bin/a": HOOK, "bin/b": HOOK, "lib/c.py": HOOK})
    for file in ("static/usr/bin/a", "bin/b", "lib/c.py"):
        (web / file).chmod(0o644)

    assert said(web, "executable") == ["bin/b:1", "static/usr/bin/a:1"]


def test_an_executable_names_its_interpreter_or_is_a_binary(tmp_path: Path) -> None:
    files = {"bin/a": "ls\n", "data": "x\n", "bin/elf": "\x7fELF\0"}
    web = make(tmp_path / "web", files, executable=tuple(files))

    assert [(one.path.name, one.severity.value) for one in findings(web, "shebang")] == [
        ("a", "error"),
        ("data", "warning"),
    ]


@pytest.mark.parametrize(
    ("path", "target", "severity"),
    [
        ("install.d/a", "../../other/x", "error"),
        ("a", "/etc/passwd", "error"),
        ("install.d/a", "../bin/none", "warning"),
        ("install.d/a", "../bin/there", ""),
        ("a", "bin", ""),
        ("static/etc/a", "/dev/null", ""),
    ],
)
def test_links_lead_to_the_element_itself(
    tmp_path: Path, path: str, target: str, severity: str
) -> None:
    web = make(tmp_path / "web", {"bin/there": HOOK})
    (web / path).parent.mkdir(parents=True, exist_ok=True)
    (web / path).symlink_to(target)

    assert "".join(one.severity.value for one in findings(web, "links")) == severity


def test_a_dependency_may_be_an_element_or_what_one_provides(tmp_path: Path) -> None:
    make(tmp_path / "system", {"element-provides": "operating-system\n"})
    web = make(tmp_path / "web", {"element-deps": "operating-system\nsystem\nsystme\nweb\n"})

    found = findings(web, "unknown-dependency", around=on_path(tmp_path))

    assert [(one.line, one.message) for one in found] == [
        (
            3,
            'needs "systme", which no element of the path is or provides (did you mean "system"?)',
        ),
        (4, "names the element itself"),
    ]


def test_a_variable_may_be_described_where_it_comes_from(tmp_path: Path) -> None:
    make(tmp_path / "far", {"README.md": "DIB_FAR\n"})
    make(tmp_path / "near", {"element-deps": "far\n"})
    make(tmp_path / "stranger", {"README.md": "DIB_STRANGE\n"})
    web = make(
        tmp_path / "web",
        {"element-deps": "near\n", "bin/a": f"{HOOK}echo $DIB_FAR\necho $DIB_STRANGE\n"},
    )

    assert said(web, "undocumented-variable", around=on_path(tmp_path)) == ["bin/a:4"]


def test_two_addons_with_one_hook_are_found(tmp_path: Path) -> None:
    make(tmp_path / "mail", {"install.d/50-a": HOOK, "lib/deep/x": "", "pkg-map": "{}"})
    web = make(tmp_path / "web", {"install.d/50-a": HOOK, "lib/deep/x": "", "pkg-map": "{}"})

    assert said(web, "duplicate-hook", around=on_path(tmp_path)) == ["install.d/50-a:1"]


@pytest.mark.parametrize(
    "others",
    [
        # both provide the same
        {"mail": {"element-provides": "server\n"}, "web": {"element-provides": "server\n"}},
        # one stands for the other
        {"mail": {"element-provides": "web\n"}},
        # two distributions
        {
            "mail": {"environment.d/1-m": "export DISTRO_NAME=a\n"},
            "web": {"environment.d/1-w": "export DISTRO_NAME=b\n"},
        },
        # parts of two operating systems
        {
            "one": {"element-deps": "mail\n", "element-provides": "operating-system\n"},
            "two": {"element-deps": "web\n", "element-provides": "operating-system\n"},
        },
    ],
)
def test_elements_that_no_image_has_together_may_share_a_hook(
    tmp_path: Path, others: dict[str, dict[str, str]]
) -> None:
    for name in {"mail", "web", *others}:
        hooks = {"install.d/50-a": HOOK} if name in {"mail", "web"} else {}
        make(tmp_path / name, {**hooks, **others.get(name, {})})

    assert said(tmp_path / "web", "duplicate-hook", around=on_path(tmp_path)) == []


def test_parts_of_one_operating_system_may_not_share_a_hook(tmp_path: Path) -> None:
    make(
        tmp_path / "system",
        {"element-deps": "mail\nweb\n", "element-provides": "operating-system\n"},
    )
    for name in ("mail", "web"):
        make(tmp_path / name, {"install.d/50-a": HOOK})

    assert said(tmp_path / "web", "duplicate-hook", around=on_path(tmp_path)) == [
        "install.d/50-a:1"
    ]
