"""What planning many images takes: a process of its own, for its memory."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bench.figures import Figure
from bench.workshop import Workshop
from dibflow.engine.build import BuildRequest, Shelf, prepare
from dibflow.engine.freshness import SystemClock
from dibflow.planning.imagefile import read_image_file
from dibflow.planning.plan import StepKind
from dibflow.sandbox.run import NamespaceSandbox
from dibflow.store.empty import EmptyStore

IMAGES = 50
HOOKS = 60
LIMIT_S = 3.0
LIMIT_MIB = 200.0

_SHARED = 3
_PHASES = ("extra-data.d", "pre-install.d", "install.d", "post-install.d", "finalise.d")


def measure(workshop: Workshop, rounds: int) -> list[Figure]:
    """Measure planning, the interpreter's start included."""
    definition = write_images(workshop)
    seconds, memory = [], []
    for _ in range(rounds):
        ran = workshop.run([sys.executable, "-m", "bench.planning", str(definition)])
        seconds.append(ran.seconds)
        memory.append(ran.peak_kib / 1024)
    name = f"planning {IMAGES} images of {HOOKS} hooks"
    return [
        Figure(name=name, unit="s", samples=tuple(seconds), limit=LIMIT_S),
        Figure(name=f"{name}: memory", unit="MiB", samples=tuple(memory), limit=LIMIT_MIB),
    ]


def write_images(workshop: Workshop) -> Path:
    """Write elements and a definition file: shared elements, and one of its own for each image."""
    own = HOOKS // (_SHARED + 1)
    for element in (
        *(f"shared-{number}" for number in range(_SHARED)),
        *(f"image-{number}" for number in range(IMAGES)),
    ):
        workshop.element(
            element,
            {
                f"{_PHASES[number % len(_PHASES)]}/{number:02}-{element}": _text(element, number)
                for number in range(own)
            },
        )
    shared = ", ".join(f"shared-{number}" for number in range(_SHARED))
    file = workshop.folder / "images.yaml"
    file.write_text(
        "".join(
            f"- {{imagename: image-{number}, types: [tar], skip-base: true, "
            f"elements: [{', '.join(workshop.root)}, {shared}, image-{number}]}}\n"
            for number in range(IMAGES)
        )
    )
    return file


def _text(element: str, number: int) -> str:
    """Give a hook about as long as those of real elements are."""
    lines = "\n".join(
        f'[[ ${{DIB_SETTING_{line}:-0}} != 1 ]] || echo "{element} {line}" >>/etc/{element}'
        for line in range(number, number + 30)
    )
    return f"#!/bin/bash\n# Do the work of {element}.\nset -euo pipefail\n{lines}\n"


def main(definition: Path) -> None:
    """Plan every image of a definition file, as `dibflow plan` does where no store is."""
    shelf = Shelf.of(os.environ)
    for one in read_image_file(definition):
        request = BuildRequest(
            definition=one,
            store=Path("/nonexistent"),
            folder=Path.cwd(),
            environment=dict(os.environ),
        )
        build = prepare(
            request,
            store=EmptyStore(request.store),
            sandbox=NamespaceSandbox(),
            clock=SystemClock(),
            shelf=shelf,
            look_only=True,
        )
        hooks = sum(step.kind is StepKind.HOOK for step in build.plan.steps)
        if hooks < HOOKS:
            raise SystemExit(f"planned {hooks} hooks, fewer than the {HOOKS} to measure")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
