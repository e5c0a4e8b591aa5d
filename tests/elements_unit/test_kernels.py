"""What the elements do with the kernels of a root: show them, choose one, remove others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dibflow.resources import library_directory

from .running import Target

if TYPE_CHECKING:
    from pathlib import Path

    from .running import Run

OLD, NEW = "6.1.0-9-amd64", "6.1.0-18-amd64"


@pytest.fixture
def root(tmp_path: Path, run: Run) -> Path:  # noqa: ARG001 - `sudo` is a stub
    """A root of Debian with two kernels."""
    root = tmp_path / "root"
    (root / "boot").mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "etc" / "debian_version").touch()
    for version in (OLD, NEW):
        for name in ("vmlinuz", "initrd.img", "System.map", "config"):
            (root / "boot" / f"{name}-{version}").write_text(f"{name} {version}")
    return root


def variables(root: Path) -> dict[str, str]:
    return {
        "TARGET_ROOT": str(root),
        "TMP_MOUNT_PATH": str(root),
        "_LIB": str(library_directory()),
        "IMAGE_NAME": str(root.parent / "demo"),
    }


def test_kernel_and_initramfs_lie_beside_the_image(run: Run, root: Path) -> None:
    (root / "boot" / f"vmlinuz-{NEW}").chmod(0o600)
    (root / "dib-signed-kernel-version").touch()

    for _ in range(2):
        done = run("baremetal/cleanup.d/99-extract-kernel-and-ramdisk", **variables(root))
        assert done.returncode == 0, done.stderr

    kernel = root.parent / "demo.vmlinuz"
    assert kernel.read_text() == f"vmlinuz {NEW}"
    assert kernel.stat().st_mode & 0o777 == 0o644
    assert (root.parent / "demo.initrd").read_text() == f"initrd.img {NEW}"
    assert not (root / "dib-signed-kernel-version").exists()


def test_the_user_chooses_the_kernel_by_patterns(run: Run, root: Path) -> None:
    done = run(
        "baremetal/cleanup.d/99-extract-kernel-and-ramdisk",
        **variables(root),
        DIB_BAREMETAL_KERNEL_PATTERN=f"vmlinuz-{OLD}",
        DIB_BAREMETAL_INITRD_PATTERN="initrd.img-*-9-*",
    )

    assert done.returncode == 0, done.stderr
    assert (root.parent / "demo.vmlinuz").read_text() == f"vmlinuz {OLD}"
    assert (root.parent / "demo.initrd").read_text() == f"initrd.img {OLD}"


def test_a_root_without_a_kernel_is_an_error(run: Run, root: Path) -> None:
    for file in (root / "boot").iterdir():
        file.unlink()

    done = run("baremetal/cleanup.d/99-extract-kernel-and-ramdisk", **variables(root))

    assert done.returncode == 1
    assert 'no kernel with an initramfs in "' in done.stderr


def test_only_what_belongs_to_other_kernels_is_removed(run: Run, root: Path) -> None:
    boot = root / "boot"
    # Version 1 is the start of other versions, and no part of theirs.
    extra = ("vmlinuz-6.1.0-1-amd64", "initramfs-6.1.0-1-amd64.img", ".vmlinuz-6.1.0-1-amd64.hmac")
    for name in (*extra, "initramfs-6.1.0-1-amd64kdump.img", "vmlinuz-5.0-debug", "grub.cfg"):
        (boot / name).touch()

    for _ in range(2):
        done = run("cleanup-kernel-initrd/cleanup.d/99-cleanup-kernel-initrd", **variables(root))
        assert done.returncode == 0, done.stderr

    assert {file.name for file in boot.iterdir()} == {
        *(f"{name}-{NEW}" for name in ("vmlinuz", "initrd.img", "System.map", "config")),
        "vmlinuz-5.0-debug",
        "grub.cfg",
    }


def test_the_unsigned_kernel_goes_when_the_signed_one_boots(run: Run, root: Path) -> None:
    boot = root / "boot"
    for name in ("vmlinuz-6.2-generic", "vmlinuz-6.2-generic.efi.signed", "initrd.img-6.2-generic"):
        (boot / name).touch()
    (root / "dib-signed-kernel-version").write_text("DIB_SIGNED_KERNEL_VERSION=6.2\n")

    done = run("cleanup-kernel-initrd/cleanup.d/99-cleanup-kernel-initrd", **variables(root))

    assert done.returncode == 0, done.stderr
    assert {file.name for file in boot.iterdir()} == {
        "vmlinuz-6.2-generic.efi.signed",
        "initrd.img-6.2-generic",
    }


def test_other_distributions_keep_their_kernels(run: Run, root: Path) -> None:
    (root / "etc" / "debian_version").unlink()
    before = list((root / "boot").iterdir())

    done = run("cleanup-kernel-initrd/cleanup.d/99-cleanup-kernel-initrd", **variables(root))

    assert done.returncode == 0, done.stderr
    assert list((root / "boot").iterdir()) == before


def test_the_functions_are_in_the_image_while_it_is_built(run: Run, root: Path) -> None:
    library = root / "lib" / "diskimage-builder"
    bring = "select-boot-kernel-initrd/extra-data.d/99-copy-dib-img-functions"
    take = "select-boot-kernel-initrd/cleanup.d/99-remove-dib-img-functions"

    for _ in range(2):
        assert run(bring, **variables(root)).returncode == 0
    assert "select_boot_kernel_initrd()" in (library / "img-functions").read_text()

    for _ in range(2):
        assert run(take, **variables(root)).returncode == 0
    assert not library.exists()


def test_what_others_keep_beside_the_functions_stays(run: Run, root: Path) -> None:
    library = root / "lib" / "diskimage-builder"
    library.mkdir(parents=True)
    (library / "other").touch()
    (library / "img-functions").touch()

    done = run("select-boot-kernel-initrd/cleanup.d/99-remove-dib-img-functions", **variables(root))

    assert done.returncode == 0, done.stderr
    assert [file.name for file in library.iterdir()] == ["other"]


@pytest.mark.needs("user-mounts")
def test_hooks_inside_learn_what_boots(target: Target) -> None:
    target.add("select-boot-kernel-initrd")
    target.write("etc/debian_version", "12\n")
    for name in ("vmlinuz", "initrd.img"):
        target.write(f"boot/{name}-{NEW}", "")
        target.write(f"boot/{name}-{OLD}", "")
    # /usr/lib of the test is the host's, and not to be written to.
    functions = (library_directory() / "img-functions").read_text()
    target.write("functions", functions)
    program = target.own("tmp/in_target.d/bin/select-boot-kernel-initrd")
    installed = "/lib/diskimage-builder/img-functions"
    program.write_text(program.read_text().replace(f"source {installed}", "source /functions"))

    done = target.run("bin/select-boot-kernel-initrd")

    assert (done.returncode, done.stdout) == (0, f"vmlinuz-{NEW}:initrd.img-{NEW}\n"), done.stderr
