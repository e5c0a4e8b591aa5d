from __future__ import annotations

import pytest

from dibflow.errors import StepError
from dibflow.linux import MountFlag
from dibflow.sandbox.mountinfo import HookMount
from dibflow.sandbox.spec import Mount, bind, hook_mount_again, overlay, read_only_bind


def test_an_overlay_names_its_layers_from_the_top() -> None:
    mount = overlay(lowers=["top", "base"], upper="u", work="w", target="/t")

    assert mount.options.startswith("lowerdir=top:base,upperdir=u,workdir=w,")


def test_a_stack_of_64_layers_fits() -> None:
    lowers = [f"layers/{number:032x}/diff" for number in range(64)]

    overlay(lowers=lowers, upper="staging/tmpabcdefgh/diff", work="w" * 30, target="/t")


def test_what_mount_cannot_take_is_refused() -> None:
    with pytest.raises(StepError, match="mounting a stack of 500 layers"):
        overlay(lowers=["x" * 40] * 500, upper="u", work="w", target="/t")


def test_a_read_only_bind_takes_two_calls() -> None:
    first, second = read_only_bind("/a", "/b")

    assert first == bind("/a", "/b")
    assert second.flags == MountFlag.REMOUNT | MountFlag.BIND | MountFlag.RDONLY


def test_a_hooks_bind_mount_is_made_again_at_its_place() -> None:
    again = hook_mount_again(HookMount("/cache", "mnt/cache"), build_folder="/build")

    assert again.mounts == (bind("/cache", "/build/mnt/cache"),)


def test_a_hooks_filesystem_is_made_again_with_its_type() -> None:
    again = hook_mount_again(HookMount("none", "mnt/run", "tmpfs"), build_folder="/build")

    assert again.mounts == (Mount("tmpfs", "none", "/build/mnt/run"),)
