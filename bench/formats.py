"""How long conversions take, each against the command that diskimage-builder runs.

Over the tree and the disk of one build. The tiny system says little: give a real root with --root.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from bench.figures import Figure
from bench.workshop import Workshop
from dibflow.commands import run
from dibflow.outputs.compressors import gzip_command
from dibflow.outputs.disk import write_disk
from dibflow.outputs.source import DiskFile

QCOW2_RATIO = 0.15
TGZ_RATIO = 0.5
TGZ_GROWTH_PERCENT = 3.0


def measure(workshop: Workshop, rounds: int) -> list[Figure]:
    """Measure over the image of the workshop's root."""
    workshop.run(workshop.luigi(types="raw,tar"))
    return conversions(workshop.folder / "image.raw", workshop.folder / "image.tar", rounds=rounds)


def conversions(disk: Path, tree: Path, *, rounds: int) -> list[Figure]:
    """Measure qcow2 against ``qemu-img convert -c`` and tgz against ``gzip -9``, in pairs.

    `disk` is a raw image, `tree` a tar; the outputs appear beside them.
    """
    folder = disk.parent
    qcow2 = _pairs(
        rounds,
        ours=lambda: _qcow2(disk, folder / "ours.qcow2"),
        plain=lambda: _dib_qcow2(disk, folder / "plain.qcow2"),
    )
    tgz = _pairs(
        rounds,
        ours=lambda: _piped(" ".join(gzip_command().arguments), tree, "ours.tgz"),
        plain=lambda: _piped("gzip -9", tree, "plain.tgz"),
    )
    sizes = [(folder / name).stat().st_size for name in ("ours.tgz", "plain.tgz")]
    growth = 100 * (sizes[0] / sizes[1] - 1)
    return [
        _against("qcow2 of the disk", qcow2, QCOW2_RATIO),
        _against("tgz of the tree", tgz, TGZ_RATIO),
        Figure(
            name="tgz, larger than that of gzip -9",
            unit="%",
            samples=(growth,),
            limit=TGZ_GROWTH_PERCENT,
        ),
    ]


def _pairs(
    rounds: int, *, ours: Callable[[], None], plain: Callable[[], None]
) -> list[tuple[float, float]]:
    return [(_seconds(ours), _seconds(plain)) for _ in range(rounds)]


def _seconds(work: Callable[[], None]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def _against(name: str, pairs: list[tuple[float, float]], ratio: float) -> Figure:
    """Give a figure whose limit is a share of what the plain command takes."""
    plain = tuple(second for _, second in pairs)
    middle = sorted(plain)[len(plain) // 2]
    return Figure(
        name=name,
        unit="s",
        samples=tuple(first for first, _ in pairs),
        plain=plain,
        limit=ratio * middle,
    )


def _qcow2(disk: Path, output: Path) -> None:
    output.unlink(missing_ok=True)
    write_disk("qcow2", DiskFile(disk, "raw"), output, {"compressed": "yes"})


def _dib_qcow2(disk: Path, output: Path) -> None:
    output.unlink(missing_ok=True)
    run(
        ["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", str(disk), str(output)],
        doing="converting as DIB does",
        package="qemu-utils",
    )


def _piped(compressor: str, tree: Path, output: str) -> None:
    """Compress the tar of the tree: what both have to do is only to write it."""
    run(
        ["bash", "-c", f'{compressor} <"$0" >"$1"', tree.name, output],
        doing="compressing the tar",
        package="bash",
        folder=tree.parent,
    )
