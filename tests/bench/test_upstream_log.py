"""What is read from the log of disk-image-create."""

from __future__ import annotations

import pytest

from bench.upstream import DISK, QCOW2, read_log
from bench.workshop import BenchmarkError

LOG = """\
2026-01-01 10:00:00.000 | dib-run-parts Running /tmp/hooks/root.d/08-debootstrap
2026-01-01 10:00:05.000 | I: success
2026-01-01 10:00:07.500 | dib-run-parts 08-debootstrap completed
2026-01-01 10:01:00.000 | dib-run-parts Running /tmp/hooks/post-root.d/99-done
2026-01-01 10:01:00.500 | dib-run-parts 99-done completed
2026-01-01 10:01:10.000 | dib-run-parts Running /tmp/in_target.d/finalise.d/50-bootloader
2026-01-01 10:01:14.000 | dib-run-parts 50-bootloader completed
2026-01-01 10:01:20.000 | Converting image using qemu-img convert
2026-01-01 10:01:50.000 | Image file out.qcow2 created...
"""


def test_each_hook_and_what_lies_between_gets_its_time() -> None:
    times = read_log(LOG, last_of_tree="post-root.d/99-done")

    assert times.parts == {
        "root.d/08-debootstrap": 7.5,
        "post-root.d/99-done": 0.5,
        "finalise.d/50-bootloader": 4.0,
        DISK: 9.5,
        QCOW2: 30.0,
    }
    assert times.disk_stage == 49.5


def test_a_log_that_ends_early_is_refused() -> None:
    early = LOG[: LOG.index("2026-01-01 10:01:20")]

    with pytest.raises(BenchmarkError, match="converting"):
        read_log(early, last_of_tree="post-root.d/99-done")
