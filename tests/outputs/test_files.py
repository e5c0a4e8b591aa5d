from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from dibflow.errors import StepError, UsageError
from dibflow.outputs.checksums import digests_of
from dibflow.outputs.files import (
    OutputFile,
    appearing,
    measure,
    set_aside,
    write_companions,
)


def test_an_output_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "out" / "demo.raw"

    with appearing(path, overwrite=False) as partial:
        partial.write_text("half")
        assert not path.exists()

    assert path.read_text() == "half"


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "demo.raw"
    path.write_text("old")

    def fail(partial: Path) -> None:
        partial.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError), appearing(path, overwrite=False) as partial:
        fail(partial)

    assert [entry.name for entry in tmp_path.iterdir()] == ["demo.raw"]
    assert path.read_text() == "old"


def test_an_older_output_is_kept_under_its_time(tmp_path: Path) -> None:
    path = tmp_path / "demo.raw"
    path.write_text("old")
    os.utime(path, (0, 0))

    aside = set_aside(path)

    assert aside is not None
    assert aside.name.startswith("demo-19")
    assert aside.name.endswith(".raw")
    assert aside.read_text() == "old"


def test_two_of_one_second_are_both_kept(tmp_path: Path) -> None:
    names = set()
    for text in ("one", "two"):
        path = tmp_path / "demo.raw"
        path.write_text(text)
        os.utime(path, (0, 0))
        aside = set_aside(path)
        assert aside is not None
        names.add(aside.name)

    assert len(names) == 2


def test_overwriting_keeps_no_older_one(tmp_path: Path) -> None:
    path = tmp_path / "demo.raw"
    path.write_text("old")

    with appearing(path, overwrite=True) as partial:
        partial.write_text("new")

    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["new"]


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".demo.raw.999999999.partial").write_text("half")

    with appearing(tmp_path / "demo.raw", overwrite=False) as partial:
        partial.write_text("new")

    assert [entry.name for entry in tmp_path.iterdir()] == ["demo.raw"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with (
        pytest.raises(UsageError, match="File exists"),
        appearing(tmp_path / "file" / "demo.raw", overwrite=False),
    ):
        pass


def test_an_output_is_there_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "demo.raw"
    path.write_text("image")
    file = OutputFile(path, *measure(path), sha256="")

    assert file.is_there()
    path.write_text("other")
    os.utime(path, (1, 1))
    assert not file.is_there()


def test_checksums_leave_with_the_output_they_are_of(tmp_path: Path) -> None:
    path = tmp_path / "demo.raw"
    path.write_text("old")
    write_companions(path, {"md5": "1" * 32, "sha256": "2" * 64})

    aside = set_aside(path)

    assert aside is not None
    assert {entry.name for entry in tmp_path.iterdir()} == {
        *(aside.name, f"{aside.name}.md5", f"{aside.name}.sha256"),
    }


def test_checksums_of_what_is_overwritten_do_not_stay(tmp_path: Path) -> None:
    path = tmp_path / "demo.raw"
    path.write_text("old")
    write_companions(path, {"md5": "1" * 32})

    with appearing(path, overwrite=True) as partial:
        partial.write_text("new")

    assert [entry.name for entry in tmp_path.iterdir()] == ["demo.raw"]


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_appears_whole_where_another_stood(tmp_path: Path, overwrite: bool) -> None:
    path = tmp_path / "demo.oci"
    path.mkdir()
    (path / "index.json").write_text("old")

    with appearing(path, overwrite=overwrite) as partial:
        partial.mkdir()
        (partial / "index.json").write_text("new")

    texts = {entry.name: (entry / "index.json").read_text() for entry in tmp_path.iterdir()}
    assert texts["demo.oci"] == "new"
    assert sorted(texts.values()) == (["new"] if overwrite else ["new", "old"])


def test_a_folder_that_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".demo.oci.999999999.partial"
    left.mkdir()
    (left / "blob").write_text("half")

    with appearing(tmp_path / "demo.oci", overwrite=False) as partial:
        partial.mkdir()

    assert [entry.name for entry in tmp_path.iterdir()] == ["demo.oci"]


def test_a_partial_of_another_name_is_not_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / ".demo.raw.999999999.partial").write_text("half")

    with appearing(tmp_path / "d*.raw", overwrite=False) as partial:
        partial.write_text("new")

    assert (tmp_path / ".demo.raw.999999999.partial").exists()


def test_a_folder_is_there_until_a_file_in_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "demo.oci"
    (path / "blobs").mkdir(parents=True)
    (path / "blobs" / "one").write_text("layer")
    file = OutputFile(path, *measure(path), sha256="")

    assert file.is_there()
    (path / "blobs" / "one").unlink()
    assert not file.is_there()


def fail_for_room(path: Path) -> None:
    with appearing(path, overwrite=False) as partial:
        partial.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_filesystem_is_one_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(StepError) as caught:
        fail_for_room(tmp_path / "demo.raw")

    assert f'no room left in "{tmp_path}"' in caught.value.message
    assert "make room" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_found_no_room_is_told_the_same_way(tmp_path: Path) -> None:
    def fail() -> None:
        with appearing(tmp_path / "demo.raw", overwrite=False):
            raise StepError('converting: "qemu-img" ended: No space left on device')

    with pytest.raises(StepError, match="no room left in"):
        fail()


def test_another_failure_is_not_taken_for_a_full_filesystem(tmp_path: Path) -> None:
    def fail() -> None:
        with appearing(tmp_path / "demo.raw", overwrite=False):
            raise StepError("converting: the image is damaged")

    with pytest.raises(StepError, match="the image is damaged"):
        fail()


@pytest.mark.parametrize("name", ["demo.raw", "name with blanks.raw", "odd\\name\n.raw"])
def test_md5sum_takes_the_checksums(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("image")

    write_companions(path, digests_of(path, ("md5", "sha256")))

    for program in ("md5sum", "sha256sum"):
        companion = f"{name}.{program.removesuffix('sum')}"
        done = subprocess.run(
            [program, "--check", "--strict", companion], cwd=tmp_path, check=False
        )
        assert done.returncode == 0
