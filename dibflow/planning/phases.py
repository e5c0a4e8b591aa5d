"""The ten phases of a build, in the order they run."""

from __future__ import annotations

from enum import Enum, unique
from functools import total_ordering


@total_ordering
@unique
class Phase(Enum):
    """One phase; its value is the folder that holds its hooks. Earlier phases compare as less."""

    ROOT = "root.d"
    EXTRA_DATA = "extra-data.d"
    PRE_INSTALL = "pre-install.d"
    INSTALL = "install.d"
    POST_INSTALL = "post-install.d"
    POST_ROOT = "post-root.d"
    BLOCK_DEVICE = "block-device.d"
    PRE_FINALISE = "pre-finalise.d"
    FINALISE = "finalise.d"
    CLEANUP = "cleanup.d"

    @property
    def directory(self) -> str:
        """Name the folder of its hooks, in an element and in the hooks tree alike."""
        return self.value

    @property
    def inside(self) -> bool:
        """Tell whether its hooks run with the image's root as their root."""
        return self in _INSIDE

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Phase):
            return NotImplemented
        return _POSITION[self] < _POSITION[other]


_INSIDE = frozenset((Phase.PRE_INSTALL, Phase.INSTALL, Phase.POST_INSTALL, Phase.FINALISE))
_POSITION = {phase: position for position, phase in enumerate(Phase)}
