"""Files of the host that a variable names, such as ``DIB_APT_SOURCES=/etc/apt/mine.list``.

A hook that reads such a file depends on its content, not on its name, so the content is part of the
key wherever the variable is.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

from dibflow.digest import digest_of, digest_of_file

_LARGEST_READ = 16 * 1024 * 1024
_LONGEST_PATH = 4096

HOST_FILES = "host:"
"""The start of what stands for a host's file in a step's files; its path follows."""


def host_files(values: Iterable[str], *, folder: Path) -> tuple[tuple[str, str], ...]:
    """Give (name, mark) for each of `values` that is the path of a regular file.

    Relative paths start in `folder`, where the build was started. A file of more than 16 MiB counts
    by its size and time of change, so that planning need not read images. Folders do not count: a
    variable that names one mostly says where to write.
    """
    found = {}
    for value in values:
        if "/" not in value or "\0" in value or "\n" in value or len(value) > _LONGEST_PATH:
            continue
        path = folder / value.removeprefix("file://")
        try:
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                found[f"{HOST_FILES}{value}"] = (
                    digest_of_file(path)
                    if status.st_size <= _LARGEST_READ
                    else digest_of([status.st_size, status.st_mtime_ns])
                )
        except OSError:
            continue  # not there, or not for us: then the hook cannot read it either
    return tuple(sorted(found.items()))
