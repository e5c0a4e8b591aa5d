"""When two images are said to hold the same."""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from bench import same

if TYPE_CHECKING:
    from pathlib import Path


def image(path: Path, files: dict[str, bytes], *, mtime: int = 0) -> str:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size, member.mtime = len(content), mtime
            archive.addfile(member, io.BytesIO(content))
    return str(path)


def initramfs(files: dict[str, bytes], *, level: int) -> bytes:
    packed = b""
    for name, content in {**files, "TRAILER!!!": b""}.items():
        numbers = (0, 0o100644, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        header = b"070701" + b"".join(b"%08x" % number for number in numbers)
        packed += header + name.encode() + b"\0"
        packed += bytes(-len(packed) % 4) + content
        packed += bytes(-len(packed) % 4)
    return gzip.compress(packed, level)


def test_times_and_compression_do_not_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "boot/initrd.img-6.1"
    old = image(tmp_path / "old", {"a": b"1", name: initramfs({"init": b"x"}, level=1)})
    new = image(tmp_path / "new", {"a": b"1", name: initramfs({"init": b"x"}, level=9)}, mtime=9)

    assert same.main([old, new]) == 0
    assert capsys.readouterr().out == "3 and 3 names compared: the same\n"


@pytest.mark.parametrize(
    "files",
    [{"a": b"2"}, {}, {"a": b"1", "b": b""}],
    ids=["other content", "one is gone", "one more"],
)
def test_what_is_not_explained_fails(tmp_path: Path, files: dict[str, bytes]) -> None:
    old, new = image(tmp_path / "old", {"a": b"1"}), image(tmp_path / "new", files)

    assert same.main([old, new]) == 1


def test_a_difference_within_the_initramfs_fails(tmp_path: Path) -> None:
    name = "boot/initrd.img-6.1"
    old = image(tmp_path / "old", {name: initramfs({"init": b"x"}, level=6)})
    new = image(tmp_path / "new", {name: initramfs({"init": b"y"}, level=6)})

    assert same.main([old, new]) == 1


def test_what_is_explained_is_told_and_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = image(tmp_path / "old", {"var/log/dpkg.log": b"1"})
    new = image(tmp_path / "new", {"var/log/dpkg.log": b"2"})

    assert same.main([old, new]) == 0
    assert "(logs)" in capsys.readouterr().out
