from __future__ import annotations

import os
from pathlib import Path

from dibflow.blockdevice.capacity import Usage
from dibflow.engine.measure import measure

KIB = 1024


def test_each_filesystem_counts_what_lies_below_its_mount_point(tmp_path: Path) -> None:
    (tmp_path / "var/log").mkdir(parents=True)
    (tmp_path / "root").write_bytes(b"x" * 5 * KIB)
    (tmp_path / "var/log/messages").write_bytes(b"x" * KIB)

    found = measure(tmp_path, ["/", "/var/log"])

    assert found["/"].content_bytes_4k == 8 * KIB
    assert found["/var/log"].content_bytes_4k == 4 * KIB
    # On "/" the root, var, and the folder to mount on; in the other its own root.
    assert (found["/"].directories, found["/var/log"].directories) == (3, 1)


def test_a_hard_link_counts_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 8 * KIB)
    (tmp_path / "other").hardlink_to(tmp_path / "one")

    found = measure(tmp_path, ["/"])["/"]

    assert found.content_bytes_4k == 8 * KIB
    assert found.inodes == 2  # the file, the root


def test_holes_do_not_count_but_the_runs_between_them_do(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        for start in (0, 8 * KIB * KIB):
            file.seek(start)
            file.write(b"x" * 4 * KIB)
        file.truncate(64 * KIB * KIB)

    found = measure(tmp_path, ["/"])["/"]

    assert found.pieces == 2
    assert found.content_bytes_4k < 1024 * KIB


def test_links_and_pipes_take_an_inode(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("somewhere")
    os.mkfifo(tmp_path / "pipe")

    found = measure(tmp_path, ["/"])["/"]

    assert (found.inodes, found.content_bytes_4k) == (3, 0)


def test_usage_survives_json(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x")

    found = measure(tmp_path, ["/"])["/"]

    assert Usage.from_json(found.to_json()) == found
