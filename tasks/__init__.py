"""Luigi tasks: thin adapters from Luigi's scheduling to the library.

Imported as `dibflow.tasks` and under no other name: Luigi would register each task twice.
"""

from __future__ import annotations

if __name__ != "dibflow.tasks":
    raise ImportError(
        f'the tasks of dibflow were imported as "{__name__}"; import "dibflow.tasks" instead '
        "(luigi --module dibflow)"
    )

from dibflow.tasks import settings
from dibflow.tasks.image import BuildImage

settings.apply()

__all__ = ["BuildImage"]
