"""Which environment variables a text can name: shell, Python, or anything with `NAME`-like words.

Every identifier in the text may be a variable's name, so all of them count. What is left is to find
the places that compute a name. Where the start of the computed name is certain it is kept as a
prefix; elsewhere the text may name any variable. A false alarm costs a needless run of a hook, a
miss a stale image: in doubt, these rules raise the alarm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Computed:
    """A construct that may name any variable, and its line, counted from 1."""

    construct: str
    line: int


@dataclass(frozen=True, slots=True)
class VariableNames:
    """The names in a text: its words, and all names that start with one of `prefixes`.

    `computed` is the first place that can name any variable, None if there is none.
    """

    words: frozenset[str]
    prefixes: frozenset[str] = frozenset()
    computed: Computed | None = None


def variable_names(text: str) -> VariableNames:
    """Find the names of variables that `text` may use.

    Comments at the start of the text do not count. Later ones do: a line that starts with ``#`` may
    belong to a here-document, whose variables the shell expands.
    """
    body = without_opening_comments(text)
    return _Reading(body).names()


def without_opening_comments(text: str) -> str:
    """Empty the comment lines before the first other line, but for a ``#!`` line."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if line.strip() and not line.lstrip().startswith("#"):
            break
        if not (number == 0 and line.startswith("#!")):
            lines[number] = ""
    return "\n".join(lines)


def is_python(text: str) -> bool:
    """Tell whether the ``#!`` line asks for Python."""
    first = text.split("\n", 1)[0]
    return first.startswith("#!") and "python" in first


WORD = re.compile(r"[A-Za-z_][0-9A-Za-z_]*")

# Where a command may start, up to its name: after a separator, a keyword or a quote, past
# assignments. Commands that run others may have anything in between.
_START = (
    r"""(?:^|[;|&(`!"']|\{[ \t]"""
    r"|\b(?:then|do|else|elif|if|while|until|time|exec|command|builtin)\b"
    r"|\b(?:sudo|chroot|nsenter|unshare|timeout|nice|xargs|bash|sh|run_in_target)\b[^|;&\n]*[ \t])"
    r"[ \t]*(?:[A-Za-z_]\w*=\S*[ \t]+)*"
)
_END = r"""[ \t]*(?=$|[|;)&<>`}#"'\\]|\d>)"""

_LISTING = re.compile(
    _START
    + r"(?P<what>(?:\S*/)?env(?:[ \t]+(?:-0|--null))?"
    + r"|(?:\S*/)?printenv(?:[ \t]+(?:-0|--null))?"
    + r"|set"
    + r"|export(?:[ \t]+-p)?"
    + r"|(?:declare|typeset|local|readonly)(?:[ \t]+-[A-Za-z]+)*"
    + r"|compgen[ \t]+(?:-[A-Za-z]*[ev]|-A[ \t]+(?:variable|export))"
    + r"(?:[ \t]+(?P<start>[\w$\"{}]+))?"
    + r")"
    + _END,
    re.MULTILINE,
)
_GREP = re.compile(
    r"""[ \t]*\|[ \t]*grep(?:[ \t]+-[EqoP]+)*[ \t]+"""
    r"""(?P<pattern>'[^'\n]*'|"[^"\n]*"|[^\s|;)&]+)(?P<rest>[^|;)\n]*)"""
)
_AT_START = re.compile(
    r"\^(?:\$\{?(?P<variable>[A-Za-z_]\w*)\}?|(?P<name>[A-Za-z_]\w*))(?P<more>.*)"
)
_INDIRECT = re.compile(r"\$\{!(?P<name>[A-Za-z_]\w*|[0-9@*#]+)(?P<rest>[^}\n]{0,2})")
_COMPUTED_ARGUMENT = re.compile(
    r"""(?:\bprintenv|\[\[?(?:[^\]\n]*[ \t])?-v|\btest[ \t]+-v|\b(?:declare|typeset)[ \t]+-p)"""
    r"""[ \t]+["']?(?P<value>\$\([^\n]*|\w*\$[^\s"';|&)]*)"""
)
_LISTED = re.compile(r"\$\([ \t]*(?:env|printenv|compgen[ \t]+-[ev])(?=[ \t]*\|)")
_NAMEREF = re.compile(
    r"""\b(?:declare|typeset|local)(?:[ \t]+-\w+)*[ \t]+-\w*n\w*[ \t]+\w+=(?P<value>[^\s;|&)]+)"""
)
_RUNS_TEXT = re.compile(r"\beval\b|\b(?:bash|sh)[ \t]+-\w*c\b")
_ESCAPED_DOLLAR = re.compile(
    r"""(?:\\+\$|'\$\{?')\{?["']?(?P<value>\w*\$(?:\(|\{?[A-Za-z_0-9@*#!]+))"""
)
_ENVIRON = re.compile(
    r"""(?P<before>["']\w+["'][ \t]+(?:not[ \t]+)?in[ \t]+(?:os\.)?|\bimport[ \t][\w, \t]*)?"""
    r"""\benvironb?\b(?P<after>\s*\[\s*|\.(?:get|pop|setdefault)\(\s*|\.update\()?"""
)
_FILTERED = re.compile(
    r"""\bfor[ \t]+(?P<key>\w+)(?:,[ \t]*\w+)?[ \t]+in[ \t]+"""
    r"""(?:os\.)?environ(?:\.(?:items|keys)\(\))?"""
    r"""\s+if\s+(?P=key)\.startswith\(["'](?P<name>\w+)["']\)"""
)
_GETENV = re.compile(r"\bgetenvb?\(\s*")
_STRING = re.compile(
    r"""[rbufRBUF]{0,2}(?P<quote>["'])(?P<name>[A-Za-z_]\w*)(?P<whole>(?P=quote)\s*[\]),])?"""
)
# In the languages and tools that hooks call: the construct, for a pattern that computes names.
_OTHERS = (
    ("/proc/…/environ", re.compile(r"/proc/[^\s/]+/environ\b")),
    ("%ENV", re.compile(r"%(?:main::)?ENV\b")),
    ("$ENV{…}", re.compile(r"""\$ENV\{(?!\s*["']?\w+["']?\s*\})""")),
    ("$ENV", re.compile(r"\$ENV\b(?![{.])")),
    ("ENVIRON", re.compile(r"""\bENVIRON\b(?!\s*\[\s*\\?["']\w+\\?["']\s*\])""")),
    ("envsubst", re.compile(r"""\benvsubst\b(?!\s+["']\$)""")),
    ("ENV", re.compile(r"""\bENV\.(?!fetch\(["']|key\?\(["'])|\bENV\[(?!["'])""")),
    ("process.env", re.compile(r"""\bprocess\.env\b(?!\.\w|\[["'])""")),
)


class _Reading:
    """One pass over a text, line numbers included."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.is_python = is_python(text)
        self.prefixes: set[str] = set()
        self.computed: list[tuple[int, str]] = []

    def names(self) -> VariableNames:
        self._listings()
        if "$" in self.text:
            self._shell()
        if "env" in self.text:
            self._python()
        for construct, pattern in _OTHERS:
            for match in pattern.finditer(self.text):
                self.computed.append((match.start(), construct))
        first = min(self.computed, default=None)
        return VariableNames(
            words=frozenset(WORD.findall(self.text)),
            prefixes=frozenset(self.prefixes),
            computed=first and Computed(first[1], self.text.count("\n", 0, first[0]) + 1),
        )

    def _listings(self) -> None:
        """Commands that list the environment, such as ``env`` without a command to run."""
        for match in _LISTING.finditer(self.text):
            if self._is_no_command(match.start("what")):
                continue
            start = (match["start"] or "").strip('"{}')
            kept = [start] if WORD.fullmatch(start) else self._kept(match.end())
            self._add(match.start("what"), " ".join(match["what"].split()[:2]), kept)

    def _kept(self, position: int) -> list[str] | None:
        """Give the prefixes that a ``| grep ^prefix`` at `position` keeps, None if not certain."""
        grep = _GREP.match(self.text, position)
        if grep is None or " -" in grep["rest"]:  # a later option may let more through
            return None
        start = _AT_START.fullmatch(grep["pattern"].strip("\"'"))
        if start is None or "|" in start["more"] or start["more"].startswith(("*", "?", "{", "\\")):
            return None
        return [start["name"]] if start["name"] else self._values(start["variable"])

    def _shell(self) -> None:
        for match in _INDIRECT.finditer(self.text):
            name, rest = match["name"], match["rest"]
            if rest.startswith(("[@", "[*")) or not WORD.fullmatch(name):
                if not rest.startswith("["):  # ${!1}: an argument names the variable
                    self._add(match.start(), f"${{!{name}}}", None)
            elif rest in {"*", "@"}:
                self.prefixes.add(name)
            else:
                self._add(match.start(), f"${{!{name}}}", self._values(name))
        for match in _COMPUTED_ARGUMENT.finditer(self.text):
            what = " ".join(match[0].split()[:2])
            self._add(match.start("value"), what, self._starts_of(match["value"]))
        for match in _NAMEREF.finditer(self.text):
            self._add(match.start(), "declare -n", self._starts_of(match["value"]))
        if _RUNS_TEXT.search(self.text):
            for match in _ESCAPED_DOLLAR.finditer(self.text):
                self._add(match.start(), "eval", self._starts_of(match["value"]))

    def _values(self, variable: str, depth: int = 0) -> list[str] | None:
        """Give the starts of all names that a shell variable is set to; None if not certain."""
        name = re.escape(variable)
        unclear = (
            rf"\b(?:read|mapfile|readarray|getopts)\b[^\n;|]*\b{name}\b"
            rf"|\bprintf[ \t]+-v[ \t]+{name}\b|\$\{{{name}:?="
        )
        assigned = rf"(?<![\w$]){name}=(?P<value>\$\([^\n]*|[^\s;|&)]*)"
        listed = rf"\bfor[ \t]+{name}[ \t]+in[ \t]+(?P<value>[^;\n]*)"
        if depth > 4 or re.search(unclear, self.text):
            return None
        values = [match["value"] for match in re.finditer(assigned, self.text)]
        for match in re.finditer(listed, self.text):
            words = match["value"]
            values.extend([words] if words.lstrip("\"' ").startswith("$(") else words.split())
        found: list[str] = []
        for value in values:
            starts = self._starts_of(value, depth)
            if starts is None:
                return None
            found.extend(starts)
        return found or None

    def _starts_of(self, value: str, depth: int = 0) -> list[str] | None:
        """Give the certain starts of a shell word used as the name of a variable."""
        value = value.strip("\"'")
        if match := WORD.match(value):
            return [match[0]]
        if match := re.match(
            r"""\$\([ \t]*(?:env|printenv|compgen[ \t]+-[ev])(?=[ \t]*\|)""", value
        ):
            return self._kept(self.text.index(value) + match.end())
        if match := re.fullmatch(r"\$\{?([A-Za-z_]\w*)\}?", value):
            return self._values(match[1], depth + 1)
        return None

    def _python(self) -> None:
        filtered = {}
        for match in _FILTERED.finditer(self.text):
            filtered[self.text.index("environ", match.start("key"))] = match["name"]
        for match in _ENVIRON.finditer(self.text):
            at = match.start() + match[0].index("environ")
            if match["before"] or match["after"] == ".update(":
                continue
            if self.text[at - 1] == "/":
                continue  # a file below /proc, reported as such
            if at in filtered:
                self.prefixes.add(filtered[at])
            else:
                self._string(match.end() if match["after"] else None, at, "environ")
        for match in _GETENV.finditer(self.text):
            self._string(match.end(), match.start(), "getenv")

    def _string(self, position: int | None, at: int, construct: str) -> None:
        """Take the string at `position` as a name, whole or as a prefix."""
        match = None if position is None else _STRING.match(self.text, position)
        if match is None:
            self._add(at, construct, None)
        elif not match["whole"]:
            self.prefixes.add(match["name"])

    def _add(self, at: int, construct: str, starts: list[str] | None) -> None:
        if starts is None:
            self.computed.append((at, construct))
        else:
            self.prefixes.update(starts)

    def _is_no_command(self, at: int) -> bool:
        """Tell whether no shell runs the line: a comment, or Python without a string.

        A here-document expands what its lines hold, those with a ``#`` too.
        """
        line = self.text[self.text.rfind("\n", 0, at) + 1 :].split("\n", 1)[0]
        if line.lstrip().startswith("#"):
            return "$(" not in line and "`" not in line
        return self.is_python and '"' not in line and "'" not in line


def python_strings(text: str) -> Iterator[str]:
    """List the paths that a Python text joins from strings, such as ``join(x, "a", "b.%s" % y)``.

    What is not a string becomes ``*``; parts before the first string are left out.
    """
    for match in re.finditer(r"\bjoin\(((?:[^()\n]|\n|\([^()]*\))*)\)", text):
        parts = [_python_part(part.strip()) for part in match[1].split(",")]
        while parts and parts[0] == "*":
            parts.pop(0)
        if parts:
            yield "/".join(parts)
    for match in re.finditer(r"""/[ \t]*f?["']([^"'\n]+)["']""", text):
        yield re.sub(r"\{[^}]*\}", "*", match[1])


def _python_part(part: str) -> str:
    match = re.match(r"""[rbuf]{0,2}(["'])(.*?)\1(?P<more>.*)""", part, re.DOTALL)
    if match is None:
        return "*"
    text = re.sub(r"%[a-z]|\{[^}]*\}", "*", match[2])
    return f"{text}*" if match["more"].lstrip().startswith("+") else text
