"""Questions about files that `pathlib` answers only for what a link leads to."""

from __future__ import annotations

import stat
from pathlib import Path


def is_regular(path: Path) -> bool:
    """Tell whether `path` is a regular file, and no link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
