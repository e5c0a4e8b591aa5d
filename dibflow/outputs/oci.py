"""Container images: an OCI image layout as a folder, and the archive that ``docker load`` takes.

Each layer of the tree is a layer of the image, compressed with gzip: every reader of the last ten
years knows it, while zstd is refused by Docker before 23 and by older skopeo and podman.

The archive holds the same layout and beside it the ``manifest.json`` of ``docker save``, so that
readers of either kind find theirs.

Source: OCI image specification: image-layout.md, manifest.md, config.md, image-index.md; the
Docker image specification, version 1.2, "Combined Image JSON + Filesystem Changeset Format".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Protocol

from dibflow.commands import stream
from dibflow.outputs.changesets import changeset
from dibflow.outputs.compressors import gzip_command
from dibflow.outputs.tarstream import BLOCK, END, Entry, Kind, header, padding

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

_ARCHITECTURES: Mapping[str, Mapping[str, str]] = {
    "aarch64": {"architecture": "arm64", "variant": "v8"},
    "arm64": {"architecture": "arm64", "variant": "v8"},
    "armhf": {"architecture": "arm", "variant": "v7"},
    "powerpc": {"architecture": "ppc"},
    "ppc64el": {"architecture": "ppc64le"},
    "x86_64": {"architecture": "amd64"},
}
"""Names of Go, which the specification takes over, where they are not those of Debian."""

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Blob:
    """One content of an image, known by its SHA-256."""

    digest: str
    size: int

    @property
    def path(self) -> str:
        """Its path in a layout."""
        return f"blobs/sha256/{self.digest}"

    def descriptor(self, media_type: str) -> dict[str, Any]:
        """Describe it to what refers to it."""
        return {"mediaType": media_type, "digest": f"sha256:{self.digest}", "size": self.size}


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its compressed tar, and the digest of the tar as it is."""

    blob: Blob
    diff_id: str


class Place(Protocol):
    """Where the parts of an image go."""

    def add_blob(self, chunks: Iterable[bytes]) -> Blob:
        """Write a content, whose size is known at its end, under its digest."""

    def add(self, name: str, content: bytes) -> None:
        """Write a small file."""


def write_layout(layers: Sequence[Path], output: Path, options: Mapping[str, str]) -> str:
    """Write an OCI image layout into a new folder and give the SHA-256 of its index."""
    output.mkdir()
    _write_image(layers, Folder(output), options)
    return hashlib.sha256((output / "index.json").read_bytes()).hexdigest()


def write_docker(layers: Sequence[Path], output: Path, options: Mapping[str, str]) -> None:
    """Write an archive that is both an OCI layout and what ``docker load`` takes."""
    with output.open("xb") as file:
        place = Archive(file)
        config, blobs = _write_image(layers, place, options)
        place.add("manifest.json", _json([docker_manifest(config, blobs, _target(options))]))
        file.write(END)


def _write_image(
    layers: Sequence[Path], place: Place, options: Mapping[str, str]
) -> tuple[Blob, tuple[Blob, ...]]:
    """Write an image, contents first, and give the blobs of its configuration and its layers."""
    written = [_write_layer(layer, place) for layer in layers]
    blobs = tuple(layer.blob for layer in written)
    configuration = image_config(
        options.get("architecture", ""),
        [layer.diff_id for layer in written],
        epoch=options.get("epoch", ""),
    )
    config = place.add_blob([_json(configuration)])
    manifest = place.add_blob([_json(image_manifest(config, blobs))])
    platform: dict[str, str] = {
        key: configuration[key] for key in ("architecture", "os", "variant") if key in configuration
    }
    place.add("oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
    place.add("index.json", _json(image_index(manifest, platform, _target(options))))
    return config, blobs


def _write_layer(layer: Path, place: Place) -> Layer:
    plain = hashlib.sha256()

    def digested() -> Iterator[bytes]:
        for chunk in changeset(layer):
            plain.update(chunk)
            yield chunk

    blob = place.add_blob(stream(gzip_command(), doing="compressing a layer", feed=digested()))
    return Layer(blob, f"sha256:{plain.hexdigest()}")


def image_config(architecture: str, diff_ids: Sequence[str], *, epoch: str) -> dict[str, Any]:
    """Give the configuration: what the image is for, and the digests of its layers' tars.

    The time of its making is only told if `epoch` gives it: another one each time would make
    another image each time.
    """
    made = datetime.fromtimestamp(int(epoch), UTC) if epoch else None
    return {
        **({"created": made.strftime("%Y-%m-%dT%H:%M:%SZ")} if made else {}),
        **_ARCHITECTURES.get(architecture, {"architecture": architecture}),
        "os": "linux",
        "config": {"Env": [_PATH], "Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
    }


def image_manifest(config: Blob, layers: Sequence[Blob]) -> dict[str, Any]:
    """Give the manifest: the configuration, and the layers with the base first."""
    return {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": config.descriptor(_CONFIG),
        "layers": [layer.descriptor(_LAYER) for layer in layers],
    }


def image_index(
    manifest: Blob, platform: Mapping[str, str], target: Reference | None
) -> dict[str, Any]:
    """Give the index of a layout that holds one image."""
    described = {**manifest.descriptor(_MANIFEST), "platform": dict(platform)}
    if target is not None:
        described["annotations"] = {
            "io.containerd.image.name": target.full,
            "org.opencontainers.image.ref.name": target.tag,
        }
    return {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [described]}


def docker_manifest(
    config: Blob, layers: Sequence[Blob], target: Reference | None
) -> dict[str, Any]:
    """Give the entry of ``manifest.json`` in an archive of ``docker save``."""
    return {
        "Config": config.path,
        "RepoTags": [str(target)] if target else [],
        "Layers": [layer.path for layer in layers],
    }


@dataclass(frozen=True, slots=True)
class Reference:
    """The name of an image, as ``--docker-target`` gives it: a repository and a tag."""

    repository: str
    tag: str

    @staticmethod
    def parse(text: str) -> Reference:
        """Read a name; the tag is ``latest`` unless it says another one."""
        repository, colon, tag = text.rpartition(":")
        # A colon before a slash is that of a port.
        if not colon or "/" in tag:
            return Reference(text, "latest")
        return Reference(repository, tag)

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"

    @property
    def full(self) -> str:
        """The name with the registry that it is of when it names none."""
        first, slash, _ = self.repository.partition("/")
        if slash and (first == "localhost" or "." in first or ":" in first):
            return str(self)
        return f"docker.io/{'' if slash else 'library/'}{self}"


def _target(options: Mapping[str, str]) -> Reference | None:
    text = options.get("docker-target", "")
    return Reference.parse(text) if text else None


def _json(value: object) -> bytes:
    """Give a JSON text that depends on the value alone."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


class Folder:
    """A layout as a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "blobs" / "sha256").mkdir(parents=True)

    def add_blob(self, chunks: Iterable[bytes]) -> Blob:
        """Write a content and then give it its name."""
        growing = self._folder / "blobs" / "sha256" / "growing"
        with growing.open("wb") as file:
            blob = _write_blob(chunks, file)
        growing.rename(self._folder / blob.path)
        return blob

    def add(self, name: str, content: bytes) -> None:
        """Write a small file."""
        (self._folder / name).write_bytes(content)


class Archive:
    """A layout as a tar file, each part written once: headers are filled in behind the writer."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._known: set[str] = set()

    def add_blob(self, chunks: Iterable[bytes]) -> Blob:
        """Write a content with room for its header before it, and then the header."""
        start = self._file.tell()
        self._file.seek(BLOCK, 1)
        blob = _write_blob(chunks, self._file)
        if blob.digest in self._known:
            self._file.seek(start)
            self._file.truncate()
            return blob
        self._known.add(blob.digest)
        self._file.write(padding(blob.size))
        end = self._file.tell()
        self._file.seek(start)
        self._file.write(_file_header(blob.path, blob.size))
        self._file.seek(end)
        return blob

    def add(self, name: str, content: bytes) -> None:
        """Write a small file."""
        self._file.write(_file_header(name, len(content)) + content + padding(len(content)))


def _file_header(name: str, size: int) -> bytes:
    return header(Entry(name=name.encode(), kind=Kind.FILE, size=size))


def _write_blob(chunks: Iterable[bytes], file: IO[bytes]) -> Blob:
    digest = hashlib.sha256()
    size = 0
    for chunk in chunks:
        file.write(chunk)
        digest.update(chunk)
        size += len(chunk)
    return Blob(digest.hexdigest(), size)
