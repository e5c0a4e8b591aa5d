"""Rules that let a compiler or shellcheck judge the programs of an element."""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dibflow.errors import HostError
from dibflow.lint.model import Problem, Rule, Severity
from dibflow.lint.source import ElementSource
from dibflow.lint.surroundings import Surroundings

_SEVERITIES = {
    "error": Severity.ERROR,
    "warning": Severity.WARNING,
    "info": Severity.NOTE,
    "style": Severity.NOTE,
}
_NOT_ASKED = (
    "SC1090",  # a sourced file whose name is computed
    "SC1091",  # a sourced file that is only there in a build
    "SC2148",  # no "#!" line: files of environment.d have none
)


@dataclass(frozen=True, slots=True)
class Remark:
    """One remark of shellcheck."""

    file: str
    line: int
    level: str
    code: int
    message: str


Shellcheck = Callable[[Sequence[str], Path], Sequence[Remark]]
"""Check files, given relative to a folder, all at once."""


def python_syntax(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
    """A Python program that does not compile."""
    for file in element.files:
        if file.language != "python" or file.text is None:
            continue
        source = file.text.encode("utf-8", "surrogateescape")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a matter of style, and none of ours
                compile(source, file.path, "exec", dont_inherit=True)
        except SyntaxError as error:
            yield Problem(file.path, f"does not compile: {error.msg}", error.lineno or 1)
        except (ValueError, RecursionError, MemoryError) as error:
            yield Problem(file.path, f"does not compile: {error}")


def shellcheck_rule(shellcheck: Shellcheck) -> Rule:
    """Give the rule that asks shellcheck, once an element."""

    def check(element: ElementSource, _: Surroundings) -> Iterator[Problem]:
        files = [file.path for file in element.files if file.language in {"bash", "sh"}]
        for remark in shellcheck(files, element.path) if files else ():
            severity = _SEVERITIES[remark.level]
            message = f"SC{remark.code}: {remark.message}"
            yield Problem(remark.file, message, remark.line, severity)

    return Rule("shellcheck", Severity.WARNING, check)


def installed_shellcheck() -> Shellcheck | None:
    """Give the shellcheck of this machine; None if there is none."""
    program = shutil.which("shellcheck")
    if program is None:
        return None

    def run(files: Sequence[str], folder: Path) -> Sequence[Remark]:
        command = [program, "--format=json1", f"--exclude={','.join(_NOT_ASKED)}", "--", *files]
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        # 1: it has remarks; 2: it could not read some file, which may have remarks all the same.
        try:
            return [
                Remark(one["file"], one["line"], one["level"], one["code"], one["message"])
                for one in json.loads(done.stdout)["comments"]
            ]
        except (ValueError, KeyError) as error:
            said = done.stderr.decode(errors="replace").strip()
            raise HostError(
                f'checking the scripts of "{folder}": shellcheck ended with status '
                f"{done.returncode}: {said}",
                hint="leave it out: dibflow lint --ignore shellcheck",
            ) from error

    return run


RULES = (Rule("python", Severity.ERROR, python_syntax),)
