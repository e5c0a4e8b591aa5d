from __future__ import annotations

import io
import os
import socket
import stat
import tarfile
from pathlib import Path

import pytest

from dibflow.errors import StepError
from dibflow.outputs.changesets import changeset


def members(layer: Path) -> dict[str, tarfile.TarInfo]:
    """Give what the changeset of a layer holds, by name, in its order."""
    archive = b"".join(changeset(layer))
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {member.name: member for member in opened}


def whiteout(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


@pytest.mark.needs("mknod")
def test_a_whiteout_becomes_an_empty_file_beside_where_the_name_was(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    whiteout(tmp_path / "etc" / "motd")

    found = members(tmp_path)

    assert list(found) == [".", "etc", "etc/.wh.motd"]
    assert (found["etc/.wh.motd"].isreg(), found["etc/.wh.motd"].size) == (True, 0)


@pytest.mark.needs("mknod")
def test_whiteouts_that_share_an_inode_are_each_for_themselves(tmp_path: Path) -> None:
    whiteout(tmp_path / "one")
    os.link(tmp_path / "one", tmp_path / "two")

    assert list(members(tmp_path)) == [".", ".wh.one", ".wh.two"]


@pytest.mark.needs("trusted-xattrs")
def test_an_opaque_folder_says_so_before_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / ".first").write_text("new")
    os.setxattr(tmp_path / "etc", "trusted.overlay.opaque", b"y")

    found = members(tmp_path)

    assert list(found) == [".", "etc", "etc/.wh..wh..opq", "etc/.first"]
    assert found["etc"].pax_headers.keys() <= {"mtime"}


@pytest.mark.needs("trusted-xattrs")
def test_an_opaque_root_hides_all_below(tmp_path: Path) -> None:
    os.setxattr(tmp_path, "trusted.overlay.opaque", b"y")

    assert list(members(tmp_path)) == [".", ".wh..wh..opq"]


@pytest.mark.needs("mknod")
def test_devices_of_the_image_stay_devices(tmp_path: Path) -> None:
    os.mknod(tmp_path / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))

    member = members(tmp_path)["null"]

    assert (member.ischr(), member.devmajor, member.devminor) == (True, 1, 3)


def test_names_that_mean_removed_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / ".wh.odd").write_text("a file of the image")

    with pytest.raises(StepError, match=r'"/etc/\.wh\.odd"'):
        list(changeset(tmp_path))


def test_hard_links_stay_links_within_a_layer(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("content")
    os.link(tmp_path / "one", tmp_path / "two")

    found = members(tmp_path)

    assert (found["one"].isreg(), found["one"].size) == (True, 7)
    assert (found["two"].islnk(), found["two"].linkname) == (True, "one")


def test_a_file_that_is_linked_outside_the_layer_is_written(tmp_path: Path) -> None:
    (tmp_path / "layer").mkdir()
    (tmp_path / "layer" / "one").write_text("content")
    os.link(tmp_path / "layer" / "one", tmp_path / "elsewhere")

    assert members(tmp_path / "layer")["one"].isreg()


def test_symlinks_pipes_and_folders_keep_their_kind(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o750)
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe", 0o640)

    found = members(tmp_path)

    assert (found["folder"].isdir(), found["folder"].mode) == (True, 0o750)
    assert (found["dangling"].issym(), found["dangling"].linkname) == (True, "nowhere")
    assert (found["pipe"].isfifo(), found["pipe"].mode) == (True, 0o640)


def test_a_socket_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        assert list(members(tmp_path)) == ["."]


def test_the_same_layer_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / name).write_text(name)

    assert list(members(tmp_path)) == [".", "a", "b", "c"]
    assert b"".join(changeset(tmp_path)) == b"".join(changeset(tmp_path))


def test_a_large_file_comes_in_chunks(tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    (tmp_path / "large").write_bytes(content)

    chunks = list(changeset(tmp_path))

    assert len(chunks) > 1
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as opened:
        file = opened.extractfile("large")
        assert file is not None
        assert file.read() == content
