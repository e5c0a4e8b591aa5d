"""Defects of DIB that are not reproduced. ``docs/compatibility.md`` names each with its test."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.system.harness import Ended, Workshop

pytestmark = pytest.mark.needs(
    "root-namespaces", "overlay", "mknod", "qemu-img", "mkfs.ext4", "mksquashfs"
)

HOOKS = {
    "odd/root.d/50-odd": 'mkdir "$TARGET_ROOT/.folder"; echo in >"$TARGET_ROOT/.folder/file"; '
    'echo hidden >"$TARGET_ROOT/.hidden"; chmod 0711 "$TARGET_ROOT"; chown 5:6 "$TARGET_ROOT"',
    "odd/install.d/50-logs": "mkdir '/var/log/a b'; echo x >'/var/log/a b/c d.log'; "
    "echo x >'/root/e f.log'; echo x >/root/kept.txt; echo x >$'/root/new\\nline.log'",
    "odd/install.d/60-path": 'echo "$PATH" >/etc/path',
    "odd/install.d/70-talk": "echo 'I set +o xtrace here'",
    "odd/install.d/80-mount": "mkdir -p /srv/var /home/src; echo below >/srv/var/below",
    # It ends with a mount point of the image, "/" apart, and is none.
    "odd/post-root.d/50-mount": 'mount --bind "$TMP_MOUNT_PATH/home/src" "$TMP_MOUNT_PATH/srv/var"',
}
COMMAND = ("dibflow-disk-image-create", "tiny-os", "odd", "-n", "-o", "demo", "-t")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workshop, Ended]:
    """One build of the tiny system with all that trips DIB up."""
    workshop = Workshop(tmp_path_factory.mktemp("defects"))
    for path, text in HOOKS.items():
        workshop.hook(path, text)
    ended = workshop.run(*COMMAND, "tar,tgz,qcow2,squashfs,raw")
    assert ended.status == 0, ended.output
    return workshop, ended


def listed(workshop: Workshop, folder: str) -> str:
    """List a folder of the disk image."""
    return workshop.run("debugfs", "-R", f"ls -l {folder}", "demo.raw").output


def test_files_of_the_root_that_start_with_a_dot_are_kept(made: tuple[Workshop, Ended]) -> None:
    workshop, _ = made

    names = listed(workshop, "/")
    assert {".folder", ".hidden"} <= set(names.split())
    assert workshop.text(".folder/file") == "in\n"


def test_an_archive_has_owner_and_mode_of_the_root_itself(made: tuple[Workshop, Ended]) -> None:
    workshop, _ = made

    kind, mode, *owner = workshop.tree()["."][:4]
    assert (kind, mode, owner) == (tarfile.DIRTYPE, 0o711, [5, 6])


def test_tar_and_tgz_are_both_made(made: tuple[Workshop, Ended]) -> None:
    workshop, _ = made

    assert (workshop.folder / "demo.tar").exists()
    assert (workshop.folder / "demo.tgz").exists()


def test_squashfs_is_made_wherever_it_stands_and_once(made: tuple[Workshop, Ended]) -> None:
    workshop, ended = made

    assert (workshop.folder / "demo.squash").exists()
    assert ended.output.count("squashfs: running") == 1
    again = workshop.run(*COMMAND, "squashfs,qcow2")
    assert again.output.count("squashfs: running") == 1


@pytest.mark.needs("unsquashfs")
def test_no_device_of_the_host_is_in_an_archive(made: tuple[Workshop, Ended]) -> None:
    workshop, _ = made

    with tarfile.open(workshop.folder / "demo.tar") as archive:
        assert [one.name for one in archive if one.name.startswith("./dev/")] == []
    squashed = workshop.run("unsquashfs", "-l", "-d", "", "demo.squash").output
    assert "/dev\n" in squashed
    assert "/dev/" not in squashed


def test_logs_with_blanks_in_their_names_are_emptied(made: tuple[Workshop, Ended]) -> None:
    workshop, _ = made

    names = set(workshop.tree())
    assert workshop.text("var/log/a b/c d.log") == ""
    assert "./root/kept.txt" in names
    assert not any(name.startswith("./root/") and name.endswith(".log") for name in names)


def test_path_in_the_target_is_a_list_of_folders(made: tuple[Workshop, Ended]) -> None:
    workshop, _ = made

    assert all(folder.startswith("/") for folder in workshop.text("etc/path").strip().split(":"))


def test_no_line_of_a_hook_is_dropped_from_the_log(made: tuple[Workshop, Ended]) -> None:
    assert "| I set +o xtrace here\n" in made[1].output


def test_a_mount_of_a_hook_is_undone_whatever_its_name_ends_with(
    made: tuple[Workshop, Ended],
) -> None:
    workshop, _ = made

    assert "below" in listed(workshop, "/srv/var").split()


def test_die_in_an_if_fails_the_build(workshop: Workshop) -> None:
    workshop.hook("bad/root.d/50-bad", 'status=1; if [[ $status != 0 ]]; then die "no way"; fi')

    ended = workshop.run(*COMMAND[:2], "bad", *COMMAND[3:], "tar")

    assert ended.status == 1
    assert "no way" in ended.output


def test_a_program_that_an_output_needs_is_missed_before_the_build(workshop: Workshop) -> None:
    programs = workshop.folder / "bin"
    programs.mkdir()
    for name in ("bash", "env"):
        (programs / name).symlink_to(Path("/bin") / name)
    workshop.elements.mkdir()

    ended = workshop.run(
        str(Path(workshop.environment()["PATH"].split(":")[0]) / COMMAND[0]),
        *("tiny-os", "-n", "-t", "squashfs"),
        PATH=str(programs),
    )

    assert ended.status == 4
    assert '"mksquashfs", for squashfs' in ended.output
    assert "running" not in ended.output
