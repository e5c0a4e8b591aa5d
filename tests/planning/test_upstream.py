"""Upstream's elements, discovered, expanded and ordered here and by upstream's own scripts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from dibflow.errors import (
    AlreadyProvided,
    DibflowError,
    DuplicateHook,
    ElementNotFound,
    MissingOperatingSystem,
)
from dibflow.planning.element import Element, ElementPath
from dibflow.planning.expansion import command_line_elements, expand
from dibflow.planning.hooks import HookTree, merge_elements
from dibflow.planning.phases import Phase

upstream_paths = pytest.importorskip("diskimage_builder.paths", reason="needs diskimage-builder")
UPSTREAM = Path(upstream_paths.get_path("elements"))
LIBRARY = Path(upstream_paths.get_path("lib"))

# A common image, a partitioned one, and collections that bring many kinds of files.
IMAGES = [
    ["debian-minimal"],
    ["vm", "debian-minimal"],
    ["debian", "simple-init", "dhcp-all-interfaces", "growvols", "baremetal", "iso"],
    ["fedora", "vm", "block-device-efi", "selinux-permissive"],
    ["ubuntu-minimal", "devuser"],
]


def elements_of(image: list[str]) -> tuple[Element, ...]:
    return expand(command_line_elements(image, arch="amd64"), ElementPath([UPSTREAM]))


def tree_of(image: list[str]) -> HookTree:
    return merge_elements(elements_of(image))


def generated_by_upstream(image: list[str], folder: Path) -> Path:
    """Let upstream's generate_hooks build the hooks tree of an image."""
    pairs = " ".join(f"[{element.name}]={element.path}" for element in elements_of(image))
    script = f"""
        get_image_element_array() {{ echo "{pairs} "; }}
        source "$_LIB/common-functions"
        generate_hooks
    """
    hooks = folder / "hooks"
    environment = {"PATH": os.environ["PATH"], "_LIB": str(LIBRARY), "TMP_HOOKS_PATH": str(hooks)}
    subprocess.run(["bash", "-ec", script], env=environment, stdout=subprocess.PIPE, check=True)
    return hooks


@pytest.mark.parametrize("image", IMAGES, ids=" ".join)
def test_the_hooks_tree_equals_upstreams(image: list[str], tmp_path: Path) -> None:
    hooks = generated_by_upstream(image, tmp_path)

    theirs = {str(path.relative_to(hooks)) for path in hooks.rglob("*") if not path.is_dir()}
    tree = tree_of(image)

    assert {file.path for file in tree.files} == theirs
    assert set(tree.directories) == {
        str(path.relative_to(hooks)) for path in hooks.rglob("*") if path.is_dir()
    }


@pytest.mark.parametrize("image", IMAGES, ids=" ".join)
def test_every_phase_runs_what_dib_run_parts_lists(image: list[str], tmp_path: Path) -> None:
    hooks = generated_by_upstream(image, tmp_path)
    tree = tree_of(image)

    for phase in Phase:
        if (hooks / phase.directory).is_dir():
            listing = subprocess.run(
                ["bash", LIBRARY / "dib-run-parts", "--list", hooks / phase.directory],
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            ).stdout
            theirs = [Path(line).name for line in listing.splitlines()]
        else:
            theirs = []
        assert [hook.name for hook in tree.hooks(phase)] == theirs


def test_a_partitioned_debian_runs_its_hooks_in_the_order_that_was_observed() -> None:
    tree = tree_of(["vm", "debian-minimal"])

    assert [file.name for file in tree.environment_files()] == [
        "10-base-defaults",
        "10-bootloader-default-cmdline",
        "10-debian-minimal.bash",
        "10-debootstrap-default-locale",
        "10-dpkg.bash",
        "14-manifests",
        "15-block-device.bash",
        "20-network-interface-names",
        "99-dib-init-system",
    ]
    assert [hook.name for hook in tree.hooks(Phase.ROOT)] == [
        "08-debootstrap",
        "09-apt-keyring",
        "50-block-apt-translations",
        "50-block-daemons",
        "50-build-with-http-cache",
        "50-shared-apt-cache",
        "50-trim-dpkg",
        "75-debian-minimal-baseinstall",
    ]
    assert [hook.name for hook in tree.hooks(Phase.FINALISE)] == [
        "50-bootloader",
        "50-remove-bogus-udev-links",
        "99-clean-up-cache",
        "99-clear-machine-id",
        "99-write-dpkg-manifest",
    ]


def test_every_upstream_element_can_be_read() -> None:
    elements = ElementPath([UPSTREAM])

    assert len(elements) > 100
    assert all(elements[name].name == name for name in elements)


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (
            ["modprobe-blacklist", "debian-minimal"],
            DuplicateHook,
            ('"modprobe"', '"modprobe-blacklist"', "install.d/80-modprobe-blacklist"),
        ),
        (
            ["vm", "block-device-mbr", "block-device-gpt", "debian-minimal"],
            AlreadyProvided,
            ('"block-device"', '"block-device-mbr"', '"block-device-gpt"'),
        ),
        (
            ["debian-minimal", "ubuntu-minimal"],
            AlreadyProvided,
            ('"operating-system"', '"debian-minimal"', '"ubuntu-minimal"'),
        ),
        (["sysctl"], MissingOperatingSystem, ("operating system",)),
        (
            ["deploy-kexec", "debian-minimal"],
            ElementNotFound,
            ('no element "deploy"', 'needed by "deploy-kexec"'),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_built_is_refused_with_its_reason(
    image: list[str], error: type[DibflowError], words: tuple[str, ...]
) -> None:
    with pytest.raises(error) as refused:
        tree_of(image)

    for word in words:
        assert word in refused.value.message
