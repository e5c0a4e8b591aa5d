"""Put the merged hooks tree into the store, as the layer that every stack stands on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from dibflow.digest import digest_of
from dibflow.engine.surroundings import tree_record
from dibflow.planning.hooks import HookTree
from dibflow.planning.variables import ARTIFACTS, TARGET, TREE
from dibflow.store.store import LayerStore, RecordKind, store_errors

_LAYOUT = (TREE, TARGET, ARTIFACTS, "image", "block-device", "tmp")


def tree_digest(tree: HookTree, digest: Callable[[Path], str]) -> str:
    """Give the key of a merged hooks tree: each path with its content or link, and mode.

    `digest` gives the SHA-256 of a file's content.
    """
    return digest_of(
        {
            "layout": _LAYOUT,
            "folders": tree.directories,
            "files": [
                [file.path, file.executable, f"-> {file.link_target}"]
                if file.link_target is not None
                else [file.path, file.executable, digest(file.source)]
                for file in tree.files
            ],
        }
    )


def staged_tree(store: LayerStore, digest: str) -> str | None:
    """Give the layer that holds a hooks tree; None if the store has none."""
    record = store.read(RecordKind.CONTENT, tree_record(digest))
    layer = record["layer"] if record else ""
    return layer if layer and store.has_layer(layer) else None


def stage_tree(store: LayerStore, tree: HookTree, digest: str) -> str:
    """Copy the elements' files into a layer, unless it is there, and give the layer.

    Owner and mode do not depend on who checked the elements out: everything is root's, programs
    0755, data 0644.
    """
    known = staged_tree(store, digest)
    if known is not None:
        return known
    with store.stage() as staging, store_errors("copying the hooks tree", store.root):
        for name in _LAYOUT:
            (staging.diff / name).mkdir()
        (staging.diff / "tmp").chmod(0o1777)
        base = staging.diff / TREE
        for directory in tree.directories:
            (base / directory).mkdir(parents=True, exist_ok=True)
        for file in tree.files:
            _copy(file.source, base / file.path, file.link_target, executable=file.executable)
        for folder, _, _ in os.walk(staging.diff):
            if Path(folder) != staging.diff / "tmp":
                Path(folder).chmod(0o755)
        layer = store.commit(staging, over=())
    store.write(RecordKind.CONTENT, tree_record(digest), {"layer": layer.id})
    return layer.id


def _copy(source: Path, target: Path, link: str | None, *, executable: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if link is not None:
        target.symlink_to(link)
        return
    shutil.copyfile(source, target)
    target.chmod(0o755 if executable else 0o644)
