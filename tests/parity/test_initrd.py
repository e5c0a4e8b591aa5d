"""Entries of an initial RAM filesystem."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.parity.initrd import read_initrd
from bench.parity.tree import Entry


def cpio(folder: Path) -> bytes:
    """Archive a folder as the kernel wants it."""
    if shutil.which("cpio") is None:
        pytest.skip('"cpio" is not installed')
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    return subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet", "-R", "0:0"],
        cwd=folder,
        input="\n".join(names).encode(),
        capture_output=True,
        check=True,
    ).stdout


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True, mode=0o755)
    (root / "etc" / "motd").write_text("hello\n")
    (root / "etc" / "motd").chmod(0o640)
    (root / "init").symlink_to("etc/motd")
    return cpio(root)


MOTD = Entry(
    kind="file", mode=0o640, owner=(0, 0), size=6, digest=hashlib.sha256(b"hello\n").hexdigest()
)


def test_entries_are_those_of_the_archive(archive: bytes) -> None:
    entries = read_initrd(archive)

    assert sorted(entries) == ["etc", "etc/motd", "init"]
    assert entries["etc/motd"] == MOTD
    assert (entries["init"].kind, entries["init"].target) == ("symlink", "etc/motd")


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress], ids=["gzip", "xz"])
def test_compression_makes_no_difference(archive: bytes, compress: object) -> None:
    assert callable(compress)

    assert read_initrd(compress(archive)) == read_initrd(archive)


def test_an_archive_may_follow_another(archive: bytes, tmp_path: Path) -> None:
    (tmp_path / "early").mkdir()
    (tmp_path / "early" / "microcode").write_text("x")

    entries = read_initrd(cpio(tmp_path / "early") + bytes(512) + gzip.compress(archive))

    assert sorted(entries) == ["etc", "etc/motd", "init", "microcode"]


@pytest.mark.parametrize("content", [b"no archive at all", b"070701 cut off"])
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"cpio|compression"):
        read_initrd(content)
