"""What a hook costs beside its own work: Luigi, the sandbox, the commit, the records."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from enum import Enum

from bench.figures import Figure, deltas
from bench.workshop import Workshop

LIMIT_MS = 40.0
HOOKS = 200


class Kind(Enum):
    """What a trivial hook does."""

    NOTHING = "changes nothing"
    FILE = "writes a file"


@dataclass(frozen=True, slots=True)
class Variant:
    """Where the hooks run and what they do; `phase` is the folder that holds them."""

    phase: str
    where: str
    kind: Kind

    @property
    def name(self) -> str:
        """The element's name."""
        return f"bench-{self.where}-{self.kind.name.lower()}"


VARIANTS = tuple(
    Variant(phase, where, kind)
    for kind in Kind
    for phase, where in (("extra-data.d", "outside"), ("install.d", "in-chroot"))
)

_NOTHING = "#!/bin/sh\nexit 0\n"
_FILES = {
    "outside": '#!/bin/sh\nprintf x >"${TMP_MOUNT_PATH}/var/lib/${0##*/}"\n',
    "in-chroot": '#!/bin/sh\nprintf x >"/var/lib/${0##*/}"\n',
}


def measure(workshop: Workshop, rounds: int) -> list[Figure]:
    """Measure each variant once a round, beside a build without its hooks."""
    journal: dict[Variant, list[float]] = {variant: [] for variant in VARIANTS}
    wall: dict[Variant, list[float]] = {variant: [] for variant in VARIANTS}
    plain: list[float] = []
    build_seconds(workshop, "first", {})
    for number in range(rounds):
        plain.append(plain_ms())
        without = build_seconds(workshop, f"none-{number}", {})
        for variant in VARIANTS:
            hooks = hooks_of(variant)
            seconds = build_seconds(workshop, f"{variant.name}-{number}", hooks)
            wall[variant].append((seconds - without) / HOOKS * 1000)
            times = [line.time for line in workshop.built("-bench")]
            journal[variant] += deltas(times, scale=1000)
    figures = []
    for variant in VARIANTS:
        name = f"hook, {variant.where}, {variant.kind.value}"
        figures += [
            Figure(
                name=name,
                unit="ms",
                samples=tuple(journal[variant]),
                plain=tuple(plain),
                limit=LIMIT_MS,
            ),
            Figure(
                name=f"{name}: whole build / {HOOKS}",
                unit="ms",
                samples=tuple(wall[variant]),
                plain=tuple(plain),
            ),
        ]
    return figures


def hooks_of(variant: Variant, count: int = HOOKS) -> dict[str, str]:
    """Give the texts of a variant's hooks by path."""
    text = _NOTHING if variant.kind is Kind.NOTHING else _FILES[variant.where]
    return {f"{variant.phase}/{number:03}-bench": text for number in range(100, 100 + count)}


def build_seconds(workshop: Workshop, salt: str, hooks: dict[str, str]) -> float:
    """Build the root with `hooks` and give the wall time; nothing after root.d is reused.

    What comes before is, so that the time of the root does not blur that of the hooks: `salt` is
    written into the tree by a hook in front of the others.
    """
    mark = f'#!/bin/sh\nprintf %s {salt} >"${{TMP_MOUNT_PATH}}/var/lib/mark"\n'
    workshop.element(f"bench-{salt}", {"extra-data.d/01-mark": mark, **hooks})
    return workshop.run(workshop.luigi(f"bench-{salt}")).seconds


def plain_ms() -> float:
    """Give what starting a trivial hook takes by itself, in ms: the middle of a few tries."""
    times = []
    for _ in range(20):
        started = time.monotonic()
        subprocess.run(["/bin/sh", "-c", "exit 0"], check=True)
        times.append((time.monotonic() - started) * 1000)
    return sorted(times)[len(times) // 2]
