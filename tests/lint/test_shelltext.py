"""What the shell runs of a text."""

from __future__ import annotations

import pytest

from dibflow.lint.shelltext import Command, commands, options_set, physical_lines


def texts(script: str) -> list[str]:
    return [command.text.strip() for command in commands(script.split("\n"))]


def test_here_documents_are_left_out() -> None:
    script = "cat <<EOF >x\n\tdata\nEOF\ncat <<-'A' <<\"B\"\none\n\tA\ntwo\nB\nend"

    assert [one.text for one in physical_lines(script.split("\n"))] == [
        "cat <<EOF >x",
        "cat <<-'A' <<\"B\"",
        "end",
    ]


@pytest.mark.parametrize("line", ["x=$((1 << SHIFT))", "read x <<<word", "# see <<EOF", "a <<'"])
def test_what_only_looks_like_a_here_document_hides_nothing(line: str) -> None:
    assert [one.text for one in physical_lines([line, "next"])] == [line, "next"]


def test_continued_lines_are_one_command_at_its_first_line() -> None:
    assert list(commands(["true", "sudo \\", "  env \\", "  ls", "end"])) == [
        Command(1, "true"),
        Command(2, "sudo   env   ls"),
        Command(5, "end"),
    ]


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("ls # which", "ls"),
        ("echo a#b", "echo a#b"),
        ('echo "it\'s # here"', 'echo "it\'s # here"'),
        ("x=${#list}", "x=${#list}"),
        ("awk '{ exit }' file", "awk '' file"),
        ("echo \\' # gone", "echo \\'"),
        ('x="$(awk \'exit # it\' "$y")"', 'x="$(awk \'\' "$y")"'),
    ],
)
def test_comments_and_single_quotes_are_left_out(line: str, kept: str) -> None:
    assert texts(line) == [kept]


def test_single_quotes_reach_over_lines() -> None:
    assert texts("awk '\nset -x\nexit\n' file\nls") == ["awk '", "' file", "ls"]


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("set -euo pipefail", {"errexit", "nounset", "pipefail"}),
        ("set -eu\nset -o pipefail", {"errexit", "nounset", "pipefail"}),
        ("set -eu -o pipefail", {"errexit", "nounset", "pipefail"}),
        ("set -o errexit -o nounset # both", {"errexit", "nounset"}),
        ("set -e; set -u", {"errexit"}),
        ("    set -e", set()),
        ("# set -e", set()),
        ("set -- -e", set()),
        ("set +e", set()),
        ("cat <<EOF\nset -e\nEOF", set()),
    ],
)
def test_options_count_in_each_spelling(script: str, options: set[str]) -> None:
    assert options_set(script.split("\n")) == options
