"""``python -m bench.parity ELEMENT...``: build with both and compare, as root."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from bench.parity.builds import build_with_dib, build_with_dibflow, common_environment
from bench.parity.explained import FILE, read_explanations
from bench.parity.report import Comparison, as_text, compare
from dibflow.errors import DibflowError


def main() -> int:
    """Build, compare, print; 1 if a difference has no reason."""
    arguments = _parser().parse_args()
    try:
        folder = Path(tempfile.mkdtemp(prefix="dibflow-parity.", dir=arguments.folder))
        comparison = parity(
            arguments.elements, folder, skip_base=arguments.skip_base, store=arguments.store
        )
    except DibflowError as error:
        print(f"parity: {error}", file=sys.stderr)
        return error.exit_status
    print(as_text(comparison, every=arguments.all))
    if comparison.verdict.unexplained or arguments.keep:
        print(f"what was built is in {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    return 1 if comparison.verdict.unexplained else 0


def parity(
    elements: list[str], folder: Path, *, skip_base: bool = False, store: Path | None = None
) -> Comparison:
    """Build `elements` with both in `folder`, from this process's environment, and compare.

    Without a `store` dibflow's is new and empty, so that every hook runs. Raises DibflowError if
    one of the two cannot build them.
    """
    environment = common_environment(os.environ)
    dibflow = build_with_dibflow(
        elements,
        folder / "dibflow",
        environment,
        skip_base=skip_base,
        store=store or folder / "store",
    )
    dib = build_with_dib(elements, folder / "dib", environment, skip_base=skip_base)
    return compare(dib, dibflow, read_explanations())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.parity", description=__doc__)
    parser.add_argument("elements", nargs="+", metavar="ELEMENT")
    parser.add_argument("-n", "--skip-base", action="store_true", help="leave out element base")
    parser.add_argument(
        "--store", type=Path, help="a store of dibflow's that may know some steps (default: a new)"
    )
    scratch = Path("/var/tmp")  # noqa: S108 - a folder of its own is made in it
    parser.add_argument(
        "--folder", type=Path, default=scratch, help=f"where to work (default: {scratch})"
    )
    parser.add_argument("--keep", action="store_true", help="keep what was built in any case")
    parser.add_argument(
        "--all", action="store_true", help=f"list each explained difference too ({FILE.name})"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
