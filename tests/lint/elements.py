"""Elements made for one test of the linter, and what its rules say about them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dibflow.lint.linter import lint, rules
from dibflow.lint.model import Finding
from dibflow.lint.programs import Shellcheck
from dibflow.lint.source import ElementSource, read_source
from dibflow.lint.surroundings import Surroundings, look_around
from dibflow.planning.element import ElementPath

HOOK = "#!/bin/bash\nset -euo pipefail\n"


def make(folder: Path, files: Mapping[str, str], *, executable: tuple[str, ...] = ()) -> Path:
    """Make an element with a README and `files`; those that start with ``#!`` are executable."""
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in {"README.md": f"# {folder.name}\n", **files}.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if text.startswith("#!") or path in executable:
            file.chmod(0o755)
    return folder


def findings(
    source: ElementSource | Path,
    rule: str = "",
    *,
    around: Surroundings | None = None,
    shellcheck: Shellcheck | None = None,
) -> list[Finding]:
    """Give what one rule, or all of them, find in an element."""
    element = read_source(source) if isinstance(source, Path) else source
    chosen = [one for one in rules(shellcheck=shellcheck) if rule in {"", one.name}]
    assert chosen
    return list(lint([element], around=around or Surroundings(), rules=chosen))


def said(
    source: ElementSource | Path, rule: str, *, around: Surroundings | None = None
) -> list[str]:
    """Give findings as ``path:line`` with the path inside the element."""
    element = read_source(source) if isinstance(source, Path) else source
    found = findings(element, rule, around=around)
    return [f"{one.path.relative_to(element.path)}:{one.line}" for one in found]


def on_path(*folders: Path) -> Surroundings:
    """Look around among elements that lie in `folders`."""
    return look_around(ElementPath(folders))
