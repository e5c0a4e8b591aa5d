from __future__ import annotations

import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibflow.planning.variable_names import VariableNames, variable_names

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)
PLAIN_FORMS = (
    "$%s",
    "${%s}",
    "${%s:-d}",
    "${%s[0]}",
    "${#%s}",
    "$((%s))",
    "[[ -v %s ]]",
    'os.environ["%s"]',
    "os.environ.get('%s')",
    'getenv("%s")',
    "printenv %s",
    "$ENV{%s}",
    'ENVIRON["%s"]',
)


def shell(line: str) -> VariableNames:
    return variable_names(f"#!/bin/bash\n{line}\n")


def python(line: str) -> VariableNames:
    return variable_names(f"#!/usr/bin/env python3\nimport os\n{line}\n")


@given(names, st.sampled_from(PLAIN_FORMS))
def test_a_plainly_used_variable_is_among_the_words_and_nothing_is_computed(
    name: str, form: str
) -> None:
    found = variable_names(form % name)

    assert name in found.words
    assert found.computed is None


fragments = st.sampled_from(
    (
        *(form % "DIB_X" for form in PLAIN_FORMS),
        "env | grep ^DIB_",
        "x=DIB_$y; echo ${!x}",
        "x=$1",
        "read x",
        "echo ${!unset}",
        "# a comment on FOO",
        'eval "echo \\$$unset"',
        "cat <<EOF",
        "env",
        "for k in os.environ: pass",
        "",
    )
)


@given(st.lists(fragments), st.lists(fragments))
def test_lines_that_are_added_take_no_name_away(first: list[str], more: list[str]) -> None:
    environment = {"DIB_X", "DIB_OTHER", "FOO", "UNRELATED", "x"}

    before = variable_names("\n".join(first))
    after = variable_names("\n".join(first + more))

    assert named(before, environment) <= named(after, environment)


def named(found: VariableNames, environment: set[str]) -> set[str]:
    if found.computed:
        return environment
    return {n for n in environment if n in found.words or n.startswith(tuple(found.prefixes))}


@pytest.mark.parametrize(
    "line",
    [
        "env",
        "env | sort",
        "vars=$(env)",
        "/usr/bin/env >/tmp/x",
        "sudo -E env",
        "sudo chroot $TARGET_ROOT env | cat",
        "sh -c 'env'",
        "FOO=1 env",
        "env -0 | xargs -0 echo",
        "printenv",
        "printenv $x",
        "set | grep foo",
        "if true; then set; fi",
        "export -p",
        "export",
        "declare -x",
        "declare -p | cat",
        "declare -p $x",
        "compgen -e",
        "for v in $(compgen -v); do :; done",
        "compgen -A export",
        "env | grep DIB_",
        "env | grep -v ^DIB_",
        "env | grep '^DIB_\\|FOO'",
        "env | grep -E '^DIB_|FOO'",
        "env | grep ^DIB_ -e FOO",
        "env | grep -i ^DIB_",
        "env | grep '^DIB_*'",
        "echo ${!x}",
        "echo ${!1}",
        'read x; echo "${!x:-}"',
        "local -n ref=$1",
        "eval value=\\$$x",
        'eval "echo \\${$x}"',
        "cat /proc/self/environ",
        "cat /proc/$$/environ",
        "envsubst <in >out",
        "perl -e 'print %ENV'",
        "awk 'BEGIN { for (k in ENVIRON) print k }'",
        "jq -n '$ENV'",
    ],
)
def test_a_shell_text_that_computes_a_name_may_name_anything(line: str) -> None:
    assert shell(line).computed is not None


@pytest.mark.parametrize(
    "line",
    [
        "env FOO=x cmd",
        "env -u FOO cmd",
        "sudo -E cmd",
        "set -eu",
        "_xtrace=$(set +o | grep xtrace)",
        "export FOO=x",
        "declare -p FOO",
        "declare -A map",
        "compgen -A function",
        'for key in "${!map[@]}"; do :; done',
        'eval set -- "$TEMP"',
        "eval DEVICES=( $IMAGE_BLOCK_DEVICES )",
        "eval declare -A image_elements=($(get_image_element_array))",
        "echo the environment is set",
        "    # then look at the env",
        "#!/usr/bin/env bash",
        "${env}",
        "awk '{ print $1 }'",
        "envsubst '$FOO' <in >out",
    ],
)
def test_a_shell_text_that_only_looks_like_it_names_no_more_than_its_words(line: str) -> None:
    found = shell(line)

    assert found.computed is None
    assert found.prefixes == frozenset()


@pytest.mark.parametrize(
    ("line", "prefixes"),
    [
        ("echo ${!DIB_FOO_*}", {"DIB_FOO_"}),
        ('for v in "${!DIB_FOO_@}"; do :; done', {"DIB_FOO_"}),
        ("env | grep ^DIB_FOO_", {"DIB_FOO_"}),
        ("env | grep -E '^DIB_FOO_' | cut -d= -f1", {"DIB_FOO_"}),
        ("compgen -v DIB_FOO_", {"DIB_FOO_"}),
        ("compgen -e | grep ^DIB_FOO_", {"DIB_FOO_"}),
        ('PREFIX="DIB_FOO_"; env | grep "^$PREFIX"', {"DIB_FOO_"}),
        ("declare -p $(compgen -v | grep '^DIB_')", {"DIB_"}),
        ("x=DIB_A_${name//-/_}; echo ${!x:-none}", {"DIB_A_"}),
        ('local x="DIB_A_$1"\nx=DIB_B_$2\necho "${!x}"', {"DIB_A_", "DIB_B_"}),
        ("eval X=\\$DIB_${name}", {"DIB_"}),
        ("printenv DIB_$name", {"DIB_"}),
        ("[[ -v DIB_$name ]]", {"DIB_"}),
        ("declare -n ref=DIB_$name", {"DIB_"}),
        ("V=$(env | grep ^DIB_T_ | cut -d= -f1)\nfor x in $V; do eval T=\\$$x; done", {"DIB_T_"}),
    ],
)
def test_the_certain_start_of_a_computed_name_is_kept_as_a_prefix(
    line: str, prefixes: set[str]
) -> None:
    found = shell(line)

    assert found.computed is None
    assert found.prefixes == prefixes


@pytest.mark.parametrize(
    "line",
    [
        "os.environ.items()",
        "dict(os.environ)",
        "for k in os.environ: pass",
        "subprocess.run(x, env=os.environ.copy())",
        "os.environ[name]",
        "os.environ.get(name)",
        "name in os.environ",
        "os.getenv(name)",
        "from os import environ; environ[name]",
        "os.environ[f'{x}_Y']",
        "os.system('env')",
    ],
)
def test_a_python_text_that_computes_a_name_may_name_anything(line: str) -> None:
    assert python(line).computed is not None


@pytest.mark.parametrize(
    ("line", "prefixes"),
    [
        ("os.environ['FOO']", set()),
        ("'FOO' not in os.environ", set()),
        ("from os import environ", set()),
        ("os.environ.update(FOO='x')", set()),
        ("f(env, set)", set()),
        ("os.environ.get(\n    'DIB_%s' % x)", {"DIB_"}),
        ("os.environ['DIB_' + x]", {"DIB_"}),
        ("os.getenv(f'DIB_{x}')", {"DIB_"}),
        ("[k for k in os.environ if k.startswith('DIB_')]", {"DIB_"}),
    ],
)
def test_a_python_text_may_name_its_words_and_prefixes(line: str, prefixes: set[str]) -> None:
    found = python(line)

    assert found.computed is None
    assert found.prefixes == prefixes


def test_opening_comments_do_not_count_but_those_in_a_here_document_do() -> None:
    found = variable_names("#!/bin/bash\n# LICENSE\n\ncat <<EOF\n# $(env) $DIB_RELEASE\nEOF\n")

    assert "LICENSE" not in found.words
    assert "DIB_RELEASE" in found.words
    assert found.computed is not None
    assert found.computed.line == 5


@pytest.mark.parametrize(
    "hook",
    [
        'printf "%s " "$A" "${B:-none}" "$((N + 1))"; [[ -v OTHER ]] && echo yes',
        'x=PRE_${A}; echo "${!x:-unset}"',
        "env | grep ^PRE_ | sort",
        'for v in "${!PRE_@}"; do echo "$v=${!v}"; done',
        "eval V=\\$PRE_${A}; echo $V",
        'compgen -e | grep -v "^_$" | sort',
        "sh -c 'echo $A'",
    ],
)
def test_a_hook_sees_no_difference_when_only_named_variables_are_set(hook: str) -> None:
    environment = {
        "A": "one",
        "B": "two",
        "N": "3",
        "OTHER": "",
        "PRE_one": "x",
        "PRE_two": "y",
        "UNUSED": "z",
    }
    few = {name: environment[name] for name in named(shell(hook), set(environment))}

    assert run(hook, few) == run(hook, environment)


def run(hook: str, environment: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        ["/bin/bash", "-c", hook],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    # Its own copy of the shell's depth differs with nothing but how it was started.
    return done.returncode, re.sub(r"SHLVL=\d+", "", done.stdout)
