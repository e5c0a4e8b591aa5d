"""Make a new element after the one that ships as an example."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from dibflow.errors import UsageError
from dibflow.planning.phases import Phase

EXAMPLE = "new-element"
"""The name of the example, wherever it stands: in texts, in names of files, in variables."""

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


def check_name(name: str) -> None:
    """Raise UsageError for a name that does not suit an element, its hook or its variables."""
    problem = ""
    if not _NAME.fullmatch(name):
        problem = "expected words of small letters and digits, joined by hyphens"
    elif name in {phase.directory.removesuffix(".d") for phase in Phase}:
        problem = "it is the name of a phase"
    if problem:
        raise UsageError(
            f'"{name}" is no name for an element: {problem}', hint="for example: web-server"
        )


def make_element(name: str, *, folder: Path, example: Path) -> Path:
    """Make the element `name` in `folder` after `example`; it appears whole or not at all.

    Raises UsageError if the name does not suit, `folder` is none, or something has the name there.
    """
    check_name(name)
    target = folder / name
    if not folder.is_dir():
        raise UsageError(
            f'making the element "{name}" in "{folder}": there is no such folder',
            hint=f"mkdir -p {folder}",
        )
    if target.exists() or target.is_symlink():
        raise UsageError(
            f'making the element "{name}": "{target}" is there already',
            hint="take another name, or another folder with --folder",
        )
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}.") as made:
        beside = Path(made) / name
        _copy(example, beside, name)
        beside.rename(target)
    return target


def _copy(example: Path, target: Path, name: str) -> None:
    shutil.copytree(example, target, copy_function=lambda source, _: source)
    for source in sorted(example.rglob("*")):
        if source.is_dir():
            continue
        inner = source.relative_to(example)
        file = target / inner.with_name(inner.name.replace(EXAMPLE, name))
        text = source.read_text(encoding="utf-8").replace(EXAMPLE, name)
        file.write_text(text.replace(_variable(EXAMPLE), _variable(name)), encoding="utf-8")
        # An installed example has the modes that its installer liked.
        file.chmod(0o755 if text.startswith("#!") else 0o644)


def _variable(name: str) -> str:
    return f"DIB_{name.replace('-', '_').upper()}"
