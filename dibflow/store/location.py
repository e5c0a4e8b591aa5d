"""Where the store is: an option, a variable, a setting, or the place that suits the user."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SYSTEM_STORE = Path("/var/lib/dibflow")


def store_location(
    option: str, environment: Mapping[str, str], *, setting: str = "", uid: int
) -> Path:
    """Give the store's folder: `option`, else ``DIBFLOW_STORE``, else `setting`, else a default.

    The default is ``/var/lib/dibflow`` for root and ``~/.local/share/dibflow`` for others.
    """
    named = option or environment.get("DIBFLOW_STORE", "") or setting
    if named:
        return Path(named).expanduser().absolute()
    if uid == 0:
        return SYSTEM_STORE
    data = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "dibflow"
