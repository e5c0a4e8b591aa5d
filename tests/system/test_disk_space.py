"""Making a disk takes little more room than the tree itself, beside the outputs."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.harness import PATIENCE_SECONDS, Workshop
from tests.system.test_disk_stage import LAYOUTS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs(
        *("root-namespaces", "overlay", "loop", "fuse", "mknod"),
        *("qemu-storage-daemon", "qemu-img", "mkfs.ext4", "mkfs.vfat", "mcopy"),
    ),
]

ALLOWED = 1.3
TREE_MIB = 160


def taken(*places: Path) -> int:
    """Give the bytes that are allocated for all files below some folders."""
    total = 0
    for place in places:
        for parent, _, names in os.walk(place):
            for name in names:
                with contextlib.suppress(FileNotFoundError):  # gone meanwhile
                    total += Path(parent, name).lstat().st_blocks * 512
    return total


@pytest.mark.parametrize("layout", ["plain", "efi"])
def test_converting_takes_at_most_a_third_more_than_the_tree(
    workshop: Workshop, layout: str, record_property: Callable[[str, object], None]
) -> None:
    (workshop.folder / "disk.yaml").write_text(LAYOUTS[layout])
    workshop.variables["DIB_BLOCK_DEVICE_CONFIG"] = f"file://{workshop.folder}/disk.yaml"
    workshop.hook(
        "large/post-root.d/40-large",
        f"head -c {TREE_MIB}M /dev/urandom >$TMP_MOUNT_PATH/usr/large",
    )
    assert workshop.build("large").status == 0
    tree = sum(
        path.lstat().st_blocks * 512 for path in (workshop.store / "layers").rglob("*")
    )  # every file of it, and a little of what hooks have replaced
    (workshop.folder / "demo.tar").unlink()
    disks, staging = workshop.store / "disks", workshop.store / "staging"
    for path in disks.iterdir():
        path.unlink()

    process = workshop.start(*workshop.command("large", types="qcow2"))
    deadline = time.monotonic() + PATIENCE_SECONDS
    peak = 0
    while process.poll() is None and time.monotonic() < deadline:
        peak = max(peak, taken(disks, staging))
        time.sleep(0.01)

    assert process.returncode == 0
    record_property("factor", round(peak / tree, 2))
    assert TREE_MIB * 1024 * 1024 < peak <= ALLOWED * tree
