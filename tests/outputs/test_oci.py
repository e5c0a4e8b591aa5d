from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from dibflow.outputs.oci import (
    Archive,
    Blob,
    Reference,
    docker_manifest,
    image_config,
    image_index,
    write_docker,
    write_layout,
)

OPTIONS = {"architecture": "amd64", "docker-target": "registry:5000/team/demo:1"}


@pytest.fixture
def layers(tmp_path: Path) -> list[Path]:
    """Two layers of one file each."""
    found = []
    for name in ("base", "top"):
        layer = tmp_path / name
        layer.mkdir()
        (layer / name).write_text(name)
        found.append(layer)
    return found


def read(folder: Path, descriptor: dict[str, Any]) -> bytes:
    """Read what a descriptor points to, and hold it against digest and size."""
    algorithm, _, digest = descriptor["digest"].partition(":")
    content: bytes = (folder / "blobs" / algorithm / digest).read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest
    assert len(content) == descriptor["size"]
    return content


def test_everything_in_a_layout_is_where_its_digest_says(
    tmp_path: Path, layers: list[Path]
) -> None:
    layout = tmp_path / "demo.oci"

    index_digest = write_layout(layers, layout, OPTIONS)

    index = json.loads((layout / "index.json").read_bytes())
    assert hashlib.sha256((layout / "index.json").read_bytes()).hexdigest() == index_digest
    manifest = json.loads(read(layout, index["manifests"][0]))
    config = json.loads(read(layout, manifest["config"]))
    blobs = [read(layout, layer) for layer in manifest["layers"]]
    diffs = [f"sha256:{hashlib.sha256(gzip.decompress(blob)).hexdigest()}" for blob in blobs]
    assert config["rootfs"] == {"type": "layers", "diff_ids": diffs}
    assert len(list((layout / "blobs" / "sha256").iterdir())) == 4


def test_the_base_comes_first(tmp_path: Path, layers: list[Path]) -> None:
    write_layout(layers, tmp_path / "demo.oci", OPTIONS)

    layout = tmp_path / "demo.oci"
    index = json.loads((layout / "index.json").read_bytes())
    manifest = json.loads(read(layout, index["manifests"][0]))
    first = gzip.decompress(read(layout, manifest["layers"][0]))
    assert b"base" in first


def test_the_same_layers_give_the_same_image(tmp_path: Path, layers: list[Path]) -> None:
    digests = {write_layout(layers, tmp_path / f"{number}.oci", OPTIONS) for number in range(2)}

    assert len(digests) == 1


def test_an_archive_is_a_layout_and_what_docker_loads(tmp_path: Path, layers: list[Path]) -> None:
    write_docker(layers, tmp_path / "demo.docker", OPTIONS)
    with tarfile.open(tmp_path / "demo.docker") as archive:
        archive.extractall(tmp_path / "out", filter="data")

    out = tmp_path / "out"
    (loaded,) = json.loads((out / "manifest.json").read_bytes())
    index = json.loads((out / "index.json").read_bytes())
    manifest = json.loads(read(out, index["manifests"][0]))
    assert loaded["RepoTags"] == ["registry:5000/team/demo:1"]
    assert loaded["Config"] == f"blobs/sha256/{manifest['config']['digest'][7:]}"
    assert loaded["Layers"] == [f"blobs/sha256/{one['digest'][7:]}" for one in manifest["layers"]]
    assert json.loads((out / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}


def test_a_content_that_comes_twice_is_in_an_archive_once(tmp_path: Path) -> None:
    with (tmp_path / "archive").open("w+b") as file:
        place = Archive(file)
        first = place.add_blob([b"same"])
        again = place.add_blob([b"sa", b"me"])
        place.add("last", b"x")

    assert first == again
    with tarfile.open(tmp_path / "archive") as archive:
        assert archive.getnames() == [first.path, "last"]


@pytest.mark.parametrize(
    ("debian", "go"),
    [
        ("amd64", ("amd64", None)),
        ("arm64", ("arm64", "v8")),
        ("armhf", ("arm", "v7")),
        ("ppc64el", ("ppc64le", None)),
        ("s390x", ("s390x", None)),
    ],
)
def test_architectures_have_the_names_of_go(debian: str, go: tuple[str, str | None]) -> None:
    config = image_config(debian, [], epoch="")

    assert (config["architecture"], config.get("variant")) == go


def test_the_time_is_told_only_where_it_is_given() -> None:
    assert "created" not in image_config("amd64", [], epoch="")
    assert image_config("amd64", [], epoch="0")["created"] == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "repository", "tag", "full"),
    [
        ("demo", "demo", "latest", "docker.io/library/demo:latest"),
        ("team/demo:1", "team/demo", "1", "docker.io/team/demo:1"),
        ("registry:5000/demo", "registry:5000/demo", "latest", "registry:5000/demo:latest"),
        ("localhost/demo:2", "localhost/demo", "2", "localhost/demo:2"),
    ],
)
def test_a_name_is_read_as_docker_reads_it(text: str, repository: str, tag: str, full: str) -> None:
    reference = Reference.parse(text)

    assert (reference.repository, reference.tag, reference.full) == (repository, tag, full)


def test_an_image_without_a_name_has_none() -> None:
    blob = Blob("0" * 64, 1)

    assert docker_manifest(blob, [], None)["RepoTags"] == []
    assert "annotations" not in image_index(blob, {"architecture": "amd64"}, None)["manifests"][0]
