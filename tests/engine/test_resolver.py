from __future__ import annotations

from pathlib import Path

import pytest

from dibflow.engine import resolver
from dibflow.engine.resolver import PLACEHOLDER

HOST = b"nameserver 192.0.2.1\n"


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A build folder with an image's root."""
    (tmp_path / "mnt/etc").mkdir(parents=True)
    return tmp_path


def test_what_the_tree_had_is_back_in_the_end(build: Path) -> None:
    file = build / "mnt/etc/resolv.conf"
    file.symlink_to("../run/stub")
    resolver.put_aside(build)
    resolver.show(build, content=HOST)

    resolver.put_back(build)

    assert file.is_symlink()
    assert not (build / "mnt/etc/resolv.conf.ORIG").exists()


def test_a_link_that_a_hook_made_stays(build: Path) -> None:
    file = build / "mnt/etc/resolv.conf"
    file.write_text("mine\n")
    resolver.put_aside(build)
    file.unlink()
    file.symlink_to("../run/systemd/resolve/stub-resolv.conf")

    resolver.put_back(build)

    assert file.is_symlink()
    assert not (build / "mnt/etc/resolv.conf.ORIG").exists()


def test_a_program_sees_the_hosts_and_the_disk_keeps_the_placeholder(build: Path) -> None:
    file = build / "mnt/etc/resolv.conf"
    resolver.put_aside(build)

    resolver.show(build, content=HOST)
    seen = file.read_bytes()
    resolver.hide(build, content=HOST)

    assert seen == HOST
    assert file.read_bytes() == PLACEHOLDER


def test_what_a_hook_wrote_is_not_hidden(build: Path) -> None:
    file = build / "mnt/etc/resolv.conf"
    resolver.put_aside(build)
    resolver.show(build, content=HOST)
    file.write_text("from a hook\n")

    resolver.hide(build, content=HOST)

    assert file.read_text() == "from a hook\n"
