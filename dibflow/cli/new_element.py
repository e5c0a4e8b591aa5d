"""``dibflow new-element``: an element to start from."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from dibflow import resources
from dibflow.errors import UsageError
from dibflow.planning.element import ElementPath, search_path
from dibflow.skeleton import check_name, make_element

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to those of ``dibflow``."""
    parser = subparsers.add_parser(
        "new-element",
        help="make an element to start from",
        description="Make a folder with an element that works: README, element.yaml, a hook, a "
        "list of packages, and a test that builds an image with it.",
        epilog="example: dibflow new-element web-server --folder my-elements",
    )
    parser.add_argument("name", metavar="NAME", help="words in small letters, joined by hyphens")
    parser.add_argument(
        "--folder", type=Path, default=Path(), metavar="DIR", help="where (default: here)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the element and say what to do with it."""
    check_name(arguments.name)
    shipped = resources.elements_directory()
    offered = ElementPath(search_path(os.environ.get("ELEMENTS_PATH", ""), shipped=shipped))
    if arguments.name in offered:
        raise UsageError(
            f'there is an element "{arguments.name}" already: {offered.folder(arguments.name)}',
            hint="take another name: the new element would hide it, or be hidden",
        )
    made = make_element(
        arguments.name, folder=arguments.folder, example=resources.new_element_directory()
    )
    print(f"{made}: made; next:")
    print(f"    dibflow lint {made}")
    print(f"    {made / 'tests' / 'run'}")
    return 0
