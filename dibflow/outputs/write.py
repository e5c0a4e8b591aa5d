"""Write one output: the single entry to the writers of all types."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias, cast

from dibflow.outputs import checksums
from dibflow.outputs.archives import write_archive
from dibflow.outputs.disk import write_disk
from dibflow.outputs.files import OutputFile, appearing, measure, write_companions
from dibflow.outputs.filesystems import write_erofs, write_squashfs
from dibflow.outputs.oci import write_docker, write_layout
from dibflow.outputs.source import Source
from dibflow.planning.formats import Format, MadeFrom

_FILESYSTEMS: Mapping[str, Callable[[Path, Path, Mapping[str, str]], None]] = {
    "squashfs": write_squashfs,
    "erofs": write_erofs,
}
_Digests: TypeAlias = dict[str, str]


def write(
    made: Format, source: Source, output: Path, options: Mapping[str, str], *, overwrite: bool
) -> OutputFile:
    """Write `source` as `made`; the output appears whole, its checksums after it.

    `options` are the parameters of the output's step (`Format.options`), and ``identity``, from
    which the UUID of a filesystem is derived. An older output is set aside unless `overwrite`.
    Raises HostError, StepError, UsageError.
    """
    wanted = options.get("checksums", "")
    names = checksums.algorithms(wanted)
    with appearing(output, overwrite=overwrite) as partial:
        digests = _written(made, source, partial, options, names)
    size, changed = measure(output)
    write_companions(output, checksums.chosen(digests, wanted))
    return OutputFile(output, size, changed, digests["sha256"])


def _written(
    made: Format,
    source: Source,
    partial: Path,
    options: Mapping[str, str],
    names: tuple[str, ...],
) -> _Digests:
    """Write to `partial` and give its digests: computed on the way, or else in one read."""
    if made.made_from is MadeFrom.DISK:
        write_disk(made.name, source.disk(), partial, options)
    elif made.name == "oci":
        index = source.with_layers(functools.partial(write_layout, output=partial, options=options))
        return {"sha256": cast(str, index)}
    elif made.name == "docker":
        source.with_layers(functools.partial(write_docker, output=partial, options=options))
    elif made.name in _FILESYSTEMS:
        source.with_tree(
            functools.partial(_filesystem, kind=made.name, output=partial, options=options)
        )
    else:
        work = functools.partial(
            _archive, kind=made.name, output=partial, options=options, names=names
        )
        return cast(_Digests, source.with_tree(work))
    return checksums.digests_of(partial, names)


def _filesystem(tree: Path, *, kind: str, output: Path, options: Mapping[str, str]) -> None:
    _FILESYSTEMS[kind](tree, output, options)


def _archive(
    tree: Path, *, kind: str, output: Path, options: Mapping[str, str], names: tuple[str, ...]
) -> _Digests:
    return write_archive(kind, tree, output, options, names)
