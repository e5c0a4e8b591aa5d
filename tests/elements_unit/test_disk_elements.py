"""Layouts of disks, and what the hooks that make a disk start do."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from .running import ELEMENTS, Run, Stub

if TYPE_CHECKING:
    from pathlib import Path

    from _pytest.mark import ParameterSet

DEFAULTS = {
    "ARCH": "amd64",
    "DIB_ROOT_LABEL": "cloudimg-rootfs",
    "DIB_BOOT_LABEL": "",
    "DIB_BOOTLOADER_DEFAULT_CMDLINE": "nofb",
    "DIB_BOOTLOADER_SERIAL_CONSOLE": "",
    "DIB_BOOTLOADER_USE_SERIAL_CONSOLE": "True",
    "DIB_BOOTLOADER_VIRTUAL_TERMINAL": "tty0",
    "DIB_NO_TIMER_CHECK": "True",
}


def partitions(element: str, file: str = "block-device-default.yaml") -> list[tuple[Any, ...]]:
    nodes = yaml.safe_load((ELEMENTS / element / file).read_text())
    [table] = [node["partitioning"] for node in nodes if "partitioning" in node]
    return [
        (part["name"], part.get("type"), part["size"], mounted(part))
        for part in table["partitions"]
    ]


def mounted(partition: dict[str, Any]) -> str | None:
    mkfs = partition.get("mkfs")
    return mkfs["mount"]["mount_point"] if mkfs else None


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        ("block-device-mbr", [("root", None, "100%", "/")]),
        ("block-device-gpt", [("BSP", "EF02", "8MiB", None), ("root", None, "100%", "/")]),
        (
            "block-device-efi",
            [
                ("ESP", "EF00", "550MiB", "/boot/efi"),
                ("BSP", "EF02", "8MiB", None),
                ("root", "8300", "100%", "/"),
            ],
        ),
        (
            "block-device-efi-4k",
            [
                ("ESP", "EF00", "500MiB", "/boot/efi"),
                ("BSP", "EF02", "8MiB", None),
                ("root", "8300", "100%", "/"),
            ],
        ),
        (
            "block-device-efi-lvm",
            [
                ("ESP", "EF00", "550MiB", "/boot/efi"),
                ("BSP", "EF02", "8MiB", None),
                ("root", None, "40G", None),
            ],
        ),
    ],
)
def test_layouts_have_the_names_and_sizes_that_are_interface(
    element: str, expected: list[tuple[Any, ...]]
) -> None:
    assert partitions(element) == expected


def layouts() -> list[ParameterSet]:
    return [
        pytest.param(path.name, id=path.name) for path in sorted(ELEMENTS.glob("block-device-*"))
    ]


@pytest.mark.parametrize("element", layouts())
def test_a_layout_provides_block_device(element: str) -> None:
    assert (ELEMENTS / element / "element-provides").read_text() == "block-device\n"


def sourced(element: str, architecture: str) -> subprocess.CompletedProcess[str]:
    file = ELEMENTS / element / "environment.d" / "15-block-device.bash"
    return subprocess.run(
        ["/bin/bash", "-c", f'set -ue; . {file}; printf %s "${{DIB_BLOCK_DEVICE}}"'],
        env={"ARCH": architecture},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("element", layouts())
def test_a_layout_says_how_it_starts(element: str) -> None:
    expected = element.split("-")[2]

    assert sourced(element, "amd64").stdout == expected


@pytest.mark.parametrize(
    ("element", "architecture"),
    [
        ("block-device-mbr", "arm64"),
        ("block-device-gpt", "aarch64"),
        ("block-device-efi", "ppc64el"),
        ("block-device-efi-4k", "ppc64le"),
        ("block-device-efi-lvm", "ppc64"),
    ],
)
def test_a_layout_refuses_machines_that_cannot_start_from_it(
    element: str, architecture: str
) -> None:
    done = sourced(element, architecture)

    assert done.returncode == 1
    assert done.stderr.startswith(f'{element}: architecture "{architecture}"')


def grub_defaults(run: Run, tmp_path: Path, before: str = "", **variables: str) -> dict[str, str]:
    """Let the hook write the file, twice, and give its settings."""
    file = tmp_path / "grub"
    file.write_text(before)
    texts = []
    for _ in range(2):
        done = run("bootloader/grub/write-defaults", file, **(DEFAULTS | variables))
        assert (done.returncode, done.stderr) == (0, "")
        texts.append(file.read_text())
    assert texts[0] == texts[1]
    lines = [line for line in texts[0].splitlines() if line and not line.startswith("#")]
    settings = dict(line.split("=", 1) for line in lines)
    assert len(settings) == len(lines)
    return settings


def test_grub_shows_its_menu_on_both_consoles_and_finds_the_root_by_label(
    run: Run, tmp_path: Path
) -> None:
    settings = grub_defaults(run, tmp_path)

    assert settings == {
        "GRUB_DEVICE": "LABEL=cloudimg-rootfs",
        "GRUB_DISABLE_LINUX_UUID": "true",
        "GRUB_TIMEOUT": "5",
        "GRUB_TIMEOUT_STYLE": "menu",
        "GRUB_GFXPAYLOAD_LINUX": "auto",
        "GRUB_TERMINAL": '"serial console"',
        "GRUB_SERIAL_COMMAND": '"serial --speed=115200 --unit=0 --word=8 --parity=no --stop=1"',
        "GRUB_CMDLINE_LINUX_DEFAULT": '"console=tty0 console=ttyS0,115200 no_timer_check nofb"',
    }


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ARCH": "arm64"}, "console=tty0 console=ttyAMA0,115200 no_timer_check nofb"),
        (
            {"DIB_BOOTLOADER_SERIAL_CONSOLE": "ttyS1,9600"},
            "console=tty0 console=ttyS1,9600 no_timer_check nofb",
        ),
        ({"DIB_BOOTLOADER_VIRTUAL_TERMINAL": ""}, "console=ttyS0,115200 no_timer_check nofb"),
        ({"DIB_NO_TIMER_CHECK": "False"}, "console=tty0 console=ttyS0,115200 nofb"),
        ({"DIB_BOOTLOADER_USE_SERIAL_CONSOLE": "False"}, "console=tty0 no_timer_check nofb"),
        (
            {"DIB_BOOT_LABEL": "boot"},
            "console=tty0 console=ttyS0,115200 no_timer_check nofb boot=LABEL=boot",
        ),
    ],
)
def test_the_kernel_is_told_what_the_variables_say(
    run: Run, tmp_path: Path, variables: dict[str, str], expected: str
) -> None:
    settings = grub_defaults(run, tmp_path, **variables)

    assert settings["GRUB_CMDLINE_LINUX_DEFAULT"] == f'"{expected}"'


def test_other_settings_stay_and_consoles_and_disks_of_another_image_go(
    run: Run, tmp_path: Path
) -> None:
    before = (
        "# a comment\n"
        "GRUB_DEFAULT=saved\n"
        "GRUB_TIMEOUT=30\n"
        'GRUB_CMDLINE_LINUX="console=ttyS0,115200n8 console=tty1 quiet boot=/dev/sda1"'
    )

    settings = grub_defaults(run, tmp_path, before, DIB_GRUB_TIMEOUT="0")

    assert settings["GRUB_DEFAULT"] == "saved"
    assert settings["GRUB_TIMEOUT"] == "0"
    assert settings["GRUB_CMDLINE_LINUX"] == '"quiet"'
    assert (tmp_path / "grub").read_text().startswith("# a comment\n")


@pytest.mark.parametrize("layout", ["mbr", "efi"])
def test_another_distribution_is_refused(run: Run, layout: str) -> None:
    done = run(
        "bootloader/finalise.d/50-bootloader",
        **DEFAULTS,
        DISTRO_NAME="fedora",
        DIB_BLOCK_DEVICE=layout,
    )

    assert done.returncode == 1
    assert 'no support for distribution "fedora"' in done.stderr


@pytest.mark.parametrize(
    ("layout", "architecture"), [("mbr", "arm64"), ("gpt", "ppc64el"), ("zipl", "s390x")]
)
def test_boot_code_that_nobody_knows_is_refused(run: Run, layout: str, architecture: str) -> None:
    done = run("bootloader/grub/install-boot-code", ARCH=architecture, DIB_BLOCK_DEVICE=layout)

    assert done.returncode == 1
    assert f'DIB_BLOCK_DEVICE "{layout}" and architecture "{architecture}"' in done.stderr


@pytest.mark.parametrize(
    "findmnt", ["echo /dev/loop3", "echo /dev/mapper/loop0p1", "echo overlay", "exit 1"]
)
def test_lvm_leaves_a_root_on_no_volume_alone(run: Run, stub: Stub, findmnt: str) -> None:
    stub("findmnt", findmnt)
    stub("sed", "echo called >&2; exit 1")

    done = run("lvm/finalise.d/60-bootloader")

    assert (done.returncode, done.stderr) == (0, "")


def test_lvm_says_what_the_image_lacks(run: Run, stub: Stub) -> None:
    stub("findmnt", "[[ $* == *FSTYPE* ]] && echo nofs || echo /dev/mapper/vg-lv_root")
    stub("pvs", "")
    stub("update-initramfs", "")

    done = run("lvm/finalise.d/60-bootloader")

    assert done.returncode == 1
    assert done.stderr == (
        '60-bootloader: the root is on /dev/mapper/vg-lv_root, but the image has no "fsck.nofs"\n'
    )


@pytest.mark.parametrize("distribution", ["debian", "ubuntu"])
def test_lvm_accepts_debian_and_ubuntu(run: Run, distribution: str) -> None:
    assert run("lvm/root.d/10-lvm-check-distro", DISTRO_NAME=distribution).returncode == 0


def test_lvm_refuses_another_distribution(run: Run) -> None:
    done = run("lvm/root.d/10-lvm-check-distro", DISTRO_NAME="fedora")

    assert done.returncode == 1
    assert '"fedora"' in done.stderr


def grow(run: Run, stub: Stub, *, type_: str, block: str) -> list[str]:
    """Run growroot with programs that only say how they are called."""
    stub("findmnt", f"[[ $* == *FSTYPE* ]] && echo {type_} || echo {block}")
    stub("readlink", 'echo "$2"')
    for program in ("growpart", "resize2fs", "xfs_growfs", "btrfs"):
        stub(program, 'echo "${0##*/} $*"')
    done = run("growroot/static/usr/local/sbin/growroot")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        ("ext4", "resize2fs /dev/no-such-device"),
        ("xfs", "xfs_growfs /"),
        ("btrfs", "btrfs filesystem resize max /"),
        ("erofs", "growroot: filesystem erofs stays as it is"),
    ],
)
def test_growroot_grows_the_filesystem_by_its_own_program(
    run: Run, stub: Stub, type_: str, expected: str
) -> None:
    said = grow(run, stub, type_=type_, block="/dev/no-such-device")

    assert said == [
        "growroot: /dev/no-such-device is no partition, only its filesystem can grow",
        expected,
    ]


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        ("growroot/post-install.d/80-growroot", "no service is known"),
        ("enable-serial-console/install.d/20-stty", "no login on serial ports is known"),
    ],
)
def test_init_systems_that_are_not_served_are_refused(run: Run, hook: str, message: str) -> None:
    done = run(hook, DIB_INIT_SYSTEM="openrc")

    assert done.returncode == 1
    assert f'{message} for init system "openrc"' in done.stderr
