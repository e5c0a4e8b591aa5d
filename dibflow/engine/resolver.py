"""Keep the host's resolver out of every layer, and show it to every program that runs.

Between preparing and cleaning up the tree holds a placeholder as ``/etc/resolv.conf``. The host's
own file is put in its place for the run of each hook and taken out again, so that no layer depends
on the network that it was made in.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from dibflow.files import is_regular
from dibflow.linux import is_immutable
from dibflow.planning.variables import TARGET

PLACEHOLDER = b"# the host's resolver stands here while a hook runs\n"

_NAME = f"{TARGET}/etc/resolv.conf"


def host_content() -> bytes:
    """Give the host's resolv.conf, which stands in the target while a hook runs; may be empty."""
    try:
        return Path("/etc/resolv.conf").read_bytes()
    except OSError:
        return b""


def put_aside(build: Path) -> None:
    """Put the placeholder in the place of what the tree has, which becomes ``resolv.conf.ORIG``."""
    resolver = build / _NAME
    original = resolver.with_name("resolv.conf.ORIG")
    if os.path.lexists(resolver) and not _is_placeholder(resolver):
        resolver.rename(original)
    resolver.write_bytes(PLACEHOLDER)
    resolver.chmod(0o777)


def show(build: Path, *, content: bytes) -> None:
    """Put the host's resolver where the placeholder stands; anything else is left as it is."""
    resolver = build / _NAME
    if _is_placeholder(resolver):
        resolver.write_bytes(content)


def hide(build: Path, *, content: bytes) -> None:
    """Undo `show` where the file is still as it was shown."""
    resolver = build / _NAME
    if is_regular(resolver) and resolver.read_bytes() == content:
        resolver.write_bytes(PLACEHOLDER)


def take_out(diff: Path, lowers: Sequence[Path]) -> None:
    """Remove the resolver that was shown to a hook from its layer, if the hook left it alone."""
    left = diff / _NAME
    if not is_regular(left) or left.read_bytes() != host_content():
        return
    places = (f"{lower}/{_NAME}" for lower in lowers)
    below = next((place for place in places if os.path.lexists(place)), None)
    if below is not None and _is_placeholder(Path(below)):
        left.unlink()


def put_back(build: Path) -> None:
    """Undo `put_aside`, unless a hook said what is to stay.

    It says so by making resolv.conf a link, or immutable.
    """
    resolver = build / _NAME
    original = resolver.with_name("resolv.conf.ORIG")
    if resolver.is_symlink() or (is_regular(resolver) and is_immutable(resolver)):
        original.unlink(missing_ok=True)
        return
    resolver.unlink(missing_ok=True)
    if original.is_symlink() or original.exists():
        original.rename(resolver)


def _is_placeholder(path: Path) -> bool:
    """Tell whether `path` is the file that stands for the host's resolver in layers."""
    return is_regular(path) and path.read_bytes() == PLACEHOLDER
