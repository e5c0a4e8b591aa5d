"""Watch what a guest prints for a pattern, chunk by chunk."""

from __future__ import annotations

import re

_KEPT = 16 * 1024


class Console:
    """What a serial console has printed lately."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        self._text = ""

    def feed(self, chunk: bytes) -> bool:
        """Add what was printed; tell whether the pattern is in it, or in it and what was before."""
        self._text += chunk.decode("utf-8", errors="replace").replace("\r", "")
        found = self._pattern.search(self._text) is not None
        self._text = self._text[-_KEPT:]
        return found

    def tail(self, lines: int) -> str:
        """Give the last lines that are not empty, without what steers a terminal."""
        plain = re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>c78])", "", self._text)
        told = [line.rstrip() for line in plain.splitlines() if line.strip()]
        return "\n".join(told[-lines:])
