"""The document for users says what is so."""

from __future__ import annotations

import re
from pathlib import Path

from tests.blockdevice.layouts import EFI, VAR_AND_SWAP, graph_of

TEXT = (Path(__file__).parents[2] / "docs" / "block-devices.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def test_every_example_can_be_read() -> None:
    by_names = [[node.name for node in graph_of(example).nodes] for example in EXAMPLES]

    assert by_names[0] == ["image0", "mkfs_root", "mount_root"]
    assert by_names[1] == ["image0", "mkfs_root", "mount_mkfs_root"]
    assert EXAMPLES[2:] == [EFI, VAR_AND_SWAP]
