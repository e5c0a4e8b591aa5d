"""Measure the engine: ``python -m bench [NAME...]``, as root, on a machine that is idle.

``python -m bench dib`` measures against diskimage-builder, which takes many minutes;
``python -m bench same`` tells whether two images hold the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from bench import again, dib, formats, hooks, memory, planning, same
from bench.figures import Figure, machine, table
from bench.workshop import Workshop, workshop
from dibflow.errors import DibflowError

BENCHMARKS: dict[str, Callable[[Workshop, int], list[Figure]]] = {
    "planning": planning.measure,
    "finished": again.measure_finished,
    "resume": again.measure_resume,
    "memory": memory.measure,
    "hooks": hooks.measure,
    "formats": formats.measure,
}


def main() -> int:
    """Run the benchmarks asked for and print their figures; 1 if one passes its limit."""
    if sys.argv[1:2] == ["dib"]:
        return dib.main(sys.argv[2:])
    if sys.argv[1:2] == ["same"]:
        return same.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[*BENCHMARKS, []], help="default: all of them")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each (default: 3)")
    parser.add_argument("--json", action="store_true", help="print every sample as JSON")
    scratch = Path("/var/tmp")  # noqa: S108 - a folder of its own is made in it
    parser.add_argument(
        "--folder", type=Path, default=scratch, help=f"where to work (default: {scratch})"
    )
    parser.add_argument("--root", type=Path, metavar="TAR", help="measure over this root instead")
    arguments = parser.parse_args()
    figures: list[Figure] = []
    try:
        with workshop(arguments.folder, archive=arguments.root) as place:
            where = machine(place.folder)
            for name in arguments.name or BENCHMARKS:
                print(f"measuring {name} ...", file=sys.stderr)
                figures += BENCHMARKS[name](place, arguments.rounds)
    except DibflowError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_status
    if arguments.json:
        print(json.dumps({"machine": where, "figures": [one.to_json() for one in figures]}))
    else:
        print(f"{where}\n{table(figures)}")
    return 0 if all(figure.passes for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
