"""Build operating-system disk images from diskimage-builder elements as a Luigi graph."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dibflow.tasks import BuildImage

__all__ = ["BuildImage"]

if "luigi" in sys.modules:
    # `luigi --module dibflow` looks for tasks among what this import registers. Whoever has not
    # loaded Luigi (the commands that only look) need not wait for it.
    import dibflow.tasks  # noqa: F401 - imported for what it registers


def __getattr__(name: str) -> object:
    if name == "BuildImage":
        from dibflow.tasks import BuildImage  # noqa: PLC0415 - see above

        return BuildImage
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
