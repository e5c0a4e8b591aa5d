"""Where the data that dibflow ships lies: the only way to reach it."""

from __future__ import annotations

from pathlib import Path

_DATA = Path(__file__).parent / "data"


def elements_directory() -> Path:
    """Give the folder of shipped elements, resolved: element names come from resolved paths."""
    return (_DATA / "elements").resolve()


def config_directory() -> Path:
    """Give the folder of shipped configuration."""
    return (_DATA / "config").resolve()


def host_tools_file() -> Path:
    """Give the list of the programs that dibflow uses; `dibflow.host.tools` reads it."""
    return config_directory() / "host-tools"


def library_directory() -> Path:
    """Give the folder of shell functions that hooks find as ``$_LIB``."""
    return _DATA / "lib"


def initramfs_functions() -> Path:
    """Give the shell functions that mkinitramfs gets while an image is built."""
    return _DATA / "initramfs" / "modules-at-once"


def new_element_directory() -> Path:
    """Give the element that new ones are made after; it is a whole one, named ``new-element``."""
    return _DATA / "new-element"


def tools_directory() -> Path:
    """Give the folder of programs that stand in for those a host lacks, last on hooks' PATH."""
    return _DATA / "tools"
