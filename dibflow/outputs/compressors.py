"""Compressors of streams, on all cores, giving the same bytes for the same input."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import PurePath

from dibflow.commands import Command

_KNOWS_NO_NAME = frozenset({"gzip", "pigz"})


def gzip_command(
    wanted: str = "", *, find: Callable[[str], str | None] = shutil.which, cores: int = 0
) -> Command:
    """Give the command that compresses to gzip: ``DIB_GZIP_BIN`` if `wanted`, pigz, else gzip.

    The user's own is called with ``-9``, as DIB does. Ours takes the default level: it is within a
    few percent of the best one, in a fraction of the time.
    """
    if wanted:
        words = shlex.split(wanted)
        known = PurePath(words[0]).name in _KNOWS_NO_NAME
        return Command((*words, "-9", *(["-n"] if known else ())), package=words[0])
    if find("pigz"):
        # With a single process pigz writes other bytes than with any number of them.
        processes = max(2, cores or len(os.sched_getaffinity(0)))
        return Command(("pigz", "-n", "-p", str(processes)), package="pigz")
    return Command(("gzip", "-n"), package="gzip")


def zstd_command() -> Command:
    """Give the command that compresses to zstd; its bytes do not depend on the cores."""
    return Command(("zstd", "--quiet", "-T0"), package="zstd")
