"""Which files of the hooks tree a shell text can name by a path.

A hook reaches the tree from three starting points: its own path (``$0``), ``TMP_HOOKS_PATH`` and
``/tmp/in_target.d``; a program also from the folder it is given as an argument. This follows them
through variables, ``dirname`` and the like, as far as that goes line by line, and gives each place
where such a path is used. What cannot be followed widens: a computed part stands for anything, a
folder for all it holds.

The reading is by rewriting text, not by a shell's grammar. It may name too much; to name too little
a text would have to cut a path into pieces that each hide where they come from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum


class Start(Enum):
    """Where a path starts; the value stands for it in rewritten text."""

    TREE = "\x01"
    SELF = "\x02"  # the file that the text is in
    ARGUMENT = "\x03"
    ELEMENT = "\x05"  # the folder of any selected element, outside of the tree


ANYTHING = "\x06"
"""A computed part of a path: any text, slashes included."""

ANY_DEPTH = "\x04"
"""A part of a path that stands for any number of folders, none included."""


@dataclass(frozen=True, slots=True)
class PathName:
    """A path in a text, split at its slashes; it names the file and all beneath the folder.

    A part may hold shell wildcards and ANYTHING, or be ``..`` or ANY_DEPTH. `command` is the base
    name of the program that is given the path as an argument, "" if that is unclear. `variable` is
    set when the path is used only by programs that read this exported variable.
    """

    start: Start
    parts: tuple[str, ...]
    command: str = ""
    variable: str = ""


def path_names(text: str) -> frozenset[PathName]:
    """Find the paths in a shell text that lead to the hooks tree or to an element's folder."""
    if not any(word in text for word in ("$", "in_target.d", "get_image_element_array")):
        return frozenset()
    rewritten = _mark(text)
    if not _MARKED.search(rewritten):
        return frozenset()
    lines = _follow(rewritten.split("\n"))
    names = {name for line in lines if _MARKED.search(line) for name in _uses(line)}
    if _UPWARDS.search(rewritten):
        # Seen from a folder that a command was told to enter, this may lead anywhere.
        names.update([PathName(start, ("..",) * _MAX_PARTS) for start in {n.start for n in names}])
    return frozenset(names)


_MARKS = "".join(start.value for start in Start)
_MARKED = re.compile(f"[{_MARKS}]")
_PATH = rf"[^\s()<>;|&{_MARKS}]*[{_MARKS}][^\s()<>;|&]*"

# But for the text of a symlink, which the shell does not follow.
_UPWARDS = re.compile(r"^(?!.*\bln[ \t]+-[A-Za-z]*s)(?:.*[\s=])?\.\.(?:/|\s|$)", re.MULTILINE)

_MAX_LINES = 3000
_MAX_PARTS = 10

_CONTINUED = re.compile(r"\\\n[ \t]*")
_BACKTICKS = re.compile(r"`([^`\n]*)`")
_ARRAY = re.compile(r"([A-Za-z_]\w*)=\(\s*\$\(\s*get_image_element_array\s*\)\s*\)")
_STARTS = (
    (
        Start.TREE,
        re.compile(
            r"\$TMP_HOOKS_PATH\b|\$\{TMP_HOOKS_PATH\b[^}\n]*\}"
            r"|\$\{?TMP_BUILD_DIR\}?/+hooks\b"
            r"|(?:[\w$.{}/-]*/)?in_target\.d\b"
        ),
    ),
    (
        Start.SELF,
        re.compile(r"\$0(?!\d)|\$\{0\}|\$BASH_SOURCE\b|\$\{BASH_SOURCE(?:\[[^\]\n]*\])?\}"),
    ),
    (Start.ARGUMENT, re.compile(r"\$[1-9@*](?!\d)|\$\{(?:[1-9]\d*|[@*])(?:[-=?+:][^}\n]*)?\}")),
    (
        Start.ELEMENT,
        re.compile(
            r"\$\(\s*get_image_element_array\s*\)"
            r"|\$\{?(?:ELEMENTS_PATH|IMAGE_ELEMENT_YAML)\b(?:[^}\s/]*\})?"
        ),
    ),
)
_CHANGED_STARTS = re.compile(
    r"\$\{(?:(?P<tree>TMP_HOOKS_PATH)|0|BASH_SOURCE(?:\[[^\]\n]*\])?)(?P<change>[%#/][^}\n]*)\}"
)
_SUBSTITUTION = re.compile(r"\$\((?:[^()]|\([^()]*\))*\)")


def _mark(text: str) -> str:
    """Put a mark for each starting point, and take quotes out of the way."""
    text = _CONTINUED.sub(" ", text)
    text = _BACKTICKS.sub(r"$(\1)", text)
    text = text.replace('"', "").replace("'", "")
    for array in set(_ARRAY.findall(text)):
        text = re.sub(rf"\$\{{{array}\[[^\]\n]*\]\}}", Start.ELEMENT.value, text)
    text = _ARRAY.sub("", text)
    text = _SUBSTITUTION.sub(_on_one_line, text)
    text = _CHANGED_STARTS.sub(
        lambda match: _changed(
            (Start.TREE if match["tree"] else Start.SELF).value, match["change"]
        ),
        text,
    )
    for start, pattern in _STARTS:
        text = pattern.sub(start.value, text)
    return text


def _on_one_line(match: re.Match[str]) -> str:
    return re.sub(r"(?<=\$\();|;(?=\)$)", "", re.sub(r"[ \t]*\n\s*", ";", match[0]))


def _changed(value: str, change: str) -> str:
    """Give the path that ``${variable<change>}`` makes of `value`."""
    if change == "%/":
        return value
    if change == "%/*":
        return f"{value}/.."
    if change == "##*/":
        return ANYTHING
    if change.startswith(("%", "/", ",", "^", "#")):
        return f"{value}/../{ANYTHING}"
    return value


_BASENAME = re.compile(r"\$\(\s*basename\b[^()\n]*\)")
_DIRNAME = re.compile(rf"\$\(\s*dirname\s+(?:--\s+)?({_PATH})\s*\)")
_SAME = re.compile(
    rf"\$\(\s*(?:readlink|realpath)(?:\s+-\S+)*\s+({_PATH})\s*\)"
    rf"|\$\(\s*(?:builtin\s+|command\s+)?(?:cd|pushd)\s+(?:-\S+\s+)*({_PATH})"
    r"(?:\s*&?\d?>+\s*\S+|\s*\d>&\d)*\s*(?:&&|;)\s*pwd(?:\s+-\w)?\s*\)"
)
_INNER = re.compile(rf"([{_MARKS}][^\s()<>;|&]*)\$\([^(){_MARKS}\n]*\)")
_FIND = re.compile(rf"\bfind\s+(?:-[HLP]\s+)*(?P<where>(?:{_PATH}\s+)+)(?P<tests>[^;|&()<>\n]*)")
_FIND_NAME = re.compile(r"\s?-i?name\s+(\S+)")


def _simplify(line: str) -> str:
    for _ in range(8):
        before = line
        line = _BASENAME.sub(ANYTHING, line)
        line = _DIRNAME.sub(r"\1/..", line)
        line = _SAME.sub(lambda match: match[1] or match[2], line)
        line = _FIND.sub(_find, line)
        line = _INNER.sub(rf"\1{ANYTHING}", line)
        if line == before:
            break
    return line


def _find(match: re.Match[str]) -> str:
    """Write ``find FOLDER -name X`` as ``find FOLDER/**/X``; leave a harder search as it is."""
    tests = match["tests"]
    name = _FIND_NAME.search(tests)
    if name is None or re.search(r"\s-or?\s", tests):
        return match[0]
    if re.search(r"(?:!|-not)\s*$", tests[: name.start()]):
        return match[0]
    where = " ".join(f"{path}/{ANY_DEPTH}/{name[1]}" for path in match["where"].split())
    return f"find {where} {tests[: name.start()]}{tests[name.end() :]}"


_ASSIGNED = re.compile(
    r"(?<![\w$./-])(?P<name>[A-Za-z_]\w*)(?:\[[^\]\s]*\])?\+?="
    r"(?P<value>(?:\$?\((?:[^()]|\([^()]*\))*\)|[^\s;|&<>()])+)"
)
_LISTED = re.compile(r"\b(?:for|select)\s+(?P<name>[A-Za-z_]\w*)\s+in\s+(?P<value>[^;\n]*)")
_EXPANDED = re.compile(
    r"\$(?:\{(?P<braced>[A-Za-z_]\w*)(?:\[[^\]\n]*\])?(?P<change>[^}\n]*)\}|(?P<plain>[A-Za-z_]\w*))"
)


def _follow(lines: list[str]) -> list[str]:
    """Add every line that comes of putting marked values in place of variables."""
    known = dict.fromkeys(_simplify(line) for line in lines)
    by_variable: dict[str, list[str]] = {}
    values: dict[str, set[str]] = {}
    waiting = list(known)
    while waiting:
        line = waiting.pop()
        used = {match["braced"] or match["plain"] for match in _EXPANDED.finditer(line)}
        for name in used:
            by_variable.setdefault(name, []).append(line)
        new = [_put(line, name, value) for name in used for value in values.get(name, ())]
        for name, value in _assignments(line):
            if value not in values.setdefault(name, set()):
                values[name].add(value)
                new.extend(_put(other, name, value) for other in by_variable.get(name, ()))
        for other in map(_simplify, new):
            if other not in known:
                known[other] = None
                waiting.append(other)
        if len(known) > _MAX_LINES:  # too tangled: the text may go anywhere
            return [f"cat {start.value}" for start in Start]
    return list(known)


def _assignments(line: str) -> list[tuple[str, str]]:
    if not _MARKED.search(line):
        return []
    # An array or a substitution holds several words; each is a value.
    return [
        (match["name"], _shortened(_result(word, match["value"]), match["name"]))
        for pattern in (_ASSIGNED, _LISTED)
        for match in pattern.finditer(line)
        for word in re.split(r"[\s()]+", match["value"])
        if _MARKED.search(word)
    ]


_REWRITING = re.compile(rf"\b(?:dirname|sed|awk|cut|tr|perl|python3?)\b|{Start.SELF.value}(?!/)")


def _result(word: str, value: str) -> str:
    """Give what a variable may hold that is set to `value`, of which `word` is a part."""
    if "$(" not in value or not _REWRITING.search(value):
        return word
    start = _MARKED.search(word)
    return f"{start[0]}{'/..' * _MAX_PARTS}" if start else word  # any path, higher ones too


def _shortened(value: str, name: str) -> str:
    """Keep what follows the last mark, so that ``x=$x/y`` cannot grow without end."""
    at = max(match.start() for match in _MARKED.finditer(value))
    tail = re.sub(rf"\$(?:{name}\b|\{{{name}\b[^}}]*\}})", ANYTHING, value[at:])
    parts = re.sub("/+", "/", tail).split("/")
    if len(parts) > _MAX_PARTS:
        parts = [*parts[:_MAX_PARTS], ANYTHING]
    return "/".join(parts)


def _put(line: str, name: str, value: str) -> str:
    def replacement(match: re.Match[str]) -> str:
        if (match["braced"] or match["plain"]) != name:
            return match[0]
        return _changed(value, match["change"] or "")

    return _EXPANDED.sub(replacement, line)


_SEPARATOR = re.compile(
    r"(\$\(|;|\|\|?|&&?(?!>)|[()]|(?<!\S)(?:then|do|else|if|elif|while|until)(?!\S))"
)
_PASSED_OVER = frozenset(
    ("sudo", "exec", "command", "builtin", "eval", "time", "nice", "env", "{", "!")
)
_PASSED_OVER |= {"bash", "sh", "python", "python3", "dib-python"}
_PASSED_OVER |= {"$DIB_PYTHON_EXEC", "${DIB_PYTHON_EXEC}", "$DIB_PYTHON", "${DIB_PYTHON}"}
_DECLARING = frozenset(("local", "declare", "typeset", "readonly"))
_TESTS = frozenset(("[", "[[", "test"))
_FOLDER_TESTS = frozenset(("-n", "-z", "-d", "-e", "-r", "-w", "-x"))
_COMPARING = frozenset(("=", "==", "!=", "=~", "-eq", "-ne", "-gt", "-lt", "-ge", "-le"))
_PRINTING = frozenset(("echo", "printf", "die"))
_POSITIONAL = frozenset(("set", "shift", "getopt", "getopts"))
_FOLDERS = frozenset(("..",))


def _uses(line: str) -> list[PathName]:
    """Give the paths that the commands of a line use, rather than only pass on or print."""
    found = []
    pieces = _SEPARATOR.split(line)
    for index in range(0, len(pieces), 2):
        before = pieces[index - 1] if index else ""
        after = pieces[index + 1] if index + 1 < len(pieces) else ""
        if _MARKED.search(pieces[index]):
            captured = before == "$(" or after.startswith("|")
            found.extend(_uses_in(pieces[index].split(), captured=captured))
    return found


def _uses_in(words: list[str], *, captured: bool) -> list[PathName]:
    words, found = _take_assignments(words)
    while words and (words[0] in _PASSED_OVER or words[0].startswith("-")):
        words.pop(0)
    command = words[0].rsplit("/", 1)[-1] if words else ""
    if command == "case":
        return found
    for index, word in enumerate(words):
        around = {words[index - 1] if index else "", *words[index + 1 : index + 2]}
        for name in _names_in(word):
            if not _FOLDERS.issuperset(name.parts) or not _is_only_mentioned(
                name, command=command, around=around, captured=captured
            ):
                found.append(replace(name, command=command if index else ""))
    return found


def _take_assignments(words: list[str]) -> tuple[list[str], list[PathName]]:
    """Split off the assignments that open a command; give those that programs may read as uses."""
    exported = bool(words) and (words[0] == "export" or words[:2] == ["declare", "-x"])
    declaring = bool(words) and (words[0] in _DECLARING or exported)
    rest = words[1:] if declaring else list(words)
    while declaring and rest and rest[0].startswith("-"):
        rest.pop(0)
    assigned = []
    while rest and (match := _ASSIGNED.match(rest[0])):
        assigned.append((match["name"], rest.pop(0)))
    if not exported and (declaring or not rest):
        return rest, []
    return rest, [
        replace(name, variable=variable) for variable, word in assigned for name in _names_in(word)
    ]


def _is_only_mentioned(name: PathName, *, command: str, around: set[str], captured: bool) -> bool:
    """Tell whether a command does no more with a folder than print, compare or test its name."""
    if around & _COMPARING or (command in _TESTS and around & _FOLDER_TESTS):
        return True
    if command in _PRINTING:
        return not captured
    return name.start is Start.ARGUMENT and command in _POSITIONAL


def _names_in(word: str) -> list[PathName]:
    """Give the marked paths in one word, which may join several with ``:`` or ``,``."""
    found = []
    for match in re.finditer(rf"([{_MARKS}])([^{_MARKS}:,]*)", word):
        parts = [_part(part) for part in match[2].split("/")]
        if parts[0]:  # glued to the start, as in ${TMP_HOOKS_PATH}.old: beside it, or no path
            parts.insert(0, "..")
        names = tuple(part for part in parts if part not in {"", "."})
        found.append(PathName(Start(match[1]), names))
    return found


def _part(part: str) -> str:
    """Put ANYTHING for what the shell would compute, from there to the end of the part."""
    cut = re.split(rf"[$\\{{{ANYTHING}]", part, maxsplit=1)
    return cut[0] if len(cut) == 1 else cut[0] + ANYTHING
