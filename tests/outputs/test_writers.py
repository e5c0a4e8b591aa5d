"""Writers over small trees, and the rules that pick their programs."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dibflow.outputs.archives import aci_manifest, names_below, write_archive
from dibflow.outputs.checksums import algorithms, digests_of, write_digested
from dibflow.outputs.compressors import gzip_command
from dibflow.outputs.disk import convert_command
from dibflow.outputs.source import DiskFile
from dibflow.outputs.write import write
from dibflow.planning.formats import FORMATS


class PlainSource:
    """A folder as its own tree, its own only layer."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree

    def disk(self) -> DiskFile:
        raise NotImplementedError

    def with_tree(self, work: Callable[[Path], object]) -> object:
        return json.loads(json.dumps(work(self._tree)))

    def with_layers(self, work: Callable[[Sequence[Path]], object]) -> object:
        return json.loads(json.dumps(work([self._tree])))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "etc").mkdir(parents=True)
    (folder / "etc" / "motd").write_text("hello\n")
    (folder / "dangling").symlink_to("../elsewhere")
    (folder / "linked").write_text("two names")
    os.link(folder / "linked", folder / "linked-too")
    return folder


@pytest.mark.parametrize("kind", ["tar", "tgz", "aci"])
def test_a_tree_written_twice_is_the_same(tmp_path: Path, tree: Path, kind: str) -> None:
    digests = [
        write(FORMATS[kind], PlainSource(tree), tmp_path / name, {}, overwrite=False).sha256
        for name in ("one", "two")
    ]

    assert digests[0] == digests[1]


def test_a_digest_computed_on_the_way_is_that_of_the_file(tmp_path: Path, tree: Path) -> None:
    output = tmp_path / "demo.tar"

    file = write(FORMATS["tar"], PlainSource(tree), output, {"checksums": "md5"}, overwrite=False)

    assert file.sha256 == hashlib.sha256(output.read_bytes()).hexdigest()
    assert file.is_there()
    digest = hashlib.md5(output.read_bytes(), usedforsecurity=False).hexdigest()
    assert (tmp_path / "demo.tar.md5").read_text() == f"{digest}  demo.tar\n"
    assert not (tmp_path / "demo.tar.sha256").exists()


def test_a_tgz_has_neither_name_nor_time(tmp_path: Path, tree: Path) -> None:
    write(FORMATS["tgz"], PlainSource(tree), tmp_path / "demo.tgz", {}, overwrite=False)

    content = (tmp_path / "demo.tgz").read_bytes()
    assert content[3:8] == b"\0\0\0\0\0"


def test_an_aci_has_a_manifest_and_the_tree_under_rootfs(tmp_path: Path, tree: Path) -> None:
    write_archive("aci", tree, tmp_path / "demo.aci", {"architecture": "arm64"}, ("sha256",))

    with tarfile.open(tmp_path / "demo.aci") as archive:
        members = {member.name: member for member in archive}
        file = archive.extractfile("manifest")
        assert file is not None
        manifest = json.load(file)
    assert {"rootfs", "rootfs/etc/motd"} <= members.keys()
    assert all(name == "manifest" or name.split("/")[0] == "rootfs" for name in members)
    assert members["rootfs/dangling"].linkname == "../elsewhere"
    assert members["rootfs/linked-too"].linkname == "rootfs/linked"
    assert {"name": "arch", "value": "aarch64"} in manifest["labels"]


def test_a_manifest_that_is_given_is_taken_as_it_is(tmp_path: Path, tree: Path) -> None:
    given_manifest = tmp_path / "my-manifest.json"
    given_manifest.write_text('{"name": "mine"}')

    write_archive(
        "aci", tree, tmp_path / "demo.aci", {"aci-manifest": str(given_manifest)}, ("sha256",)
    )

    with tarfile.open(tmp_path / "demo.aci") as archive:
        file = archive.extractfile("manifest")
        assert file is not None
        assert file.read() == b'{"name": "mine"}'


@pytest.mark.parametrize(("name", "found"), [("My Image_1", "my-image-1"), ("...", "image")])
def test_a_made_manifest_has_a_name_that_the_specification_takes(name: str, found: str) -> None:
    assert json.loads(aci_manifest({"image-name": name}))["name"] == found


def test_names_come_sorted_with_folders_before_what_is_in_them(tree: Path) -> None:
    names = list(names_below(os.fsencode(tree)))

    assert names == [b".", b"dangling", b"etc", b"etc/motd", b"linked", b"linked-too"]


def installed(*programs: str) -> Callable[[str], str | None]:
    return lambda name: f"/usr/bin/{name}" if name in programs else None


def test_pigz_takes_two_processes_at_least_so_that_its_bytes_stay_the_same() -> None:
    assert gzip_command(find=installed("pigz"), cores=1).arguments == ("pigz", "-n", "-p", "2")
    assert gzip_command(find=installed("pigz"), cores=8).arguments == ("pigz", "-n", "-p", "8")


def test_gzip_serves_where_pigz_is_missing() -> None:
    assert gzip_command(find=installed()).arguments == ("gzip", "-n")


@pytest.mark.parametrize(
    ("wanted", "arguments"),
    [
        ("/opt/bin/pigz -p 3", ("/opt/bin/pigz", "-p", "3", "-9", "-n")),
        ("zopfli-stream", ("zopfli-stream", "-9")),
    ],
)
def test_the_users_compressor_is_called_as_dib_calls_it(
    wanted: str, arguments: tuple[str, ...]
) -> None:
    assert gzip_command(wanted, find=installed("pigz")).arguments == arguments


CHAIN = DiskFile(Path("top.qcow2"), "qcow2")


@pytest.mark.parametrize(
    ("options", "present", "absent"),
    [
        ({"compressed": "yes"}, ["-c", "compression_type=zstd"], []),
        (
            {"compressed": "yes", "qemu-img-options": "compression_type=zlib"},
            ["-c", "compression_type=zlib"],
            [],
        ),
        (
            {"compressed": "yes", "qemu-img-options": "cluster_size=2M"},
            ["cluster_size=2M,compression_type=zstd"],
            [],
        ),
        ({"qemu-img-options": "cluster_size=2M"}, ["cluster_size=2M"], ["-c"]),
        *(
            (
                {"compressed": "yes", "qemu-img-options": f"cluster_size=2M,{version}"},
                ["-c", f"cluster_size=2M,{version}"],
                [],
            )
            for version in ("compat=0.10", "compat=v2")
        ),
    ],
)
def test_qcow2_is_compressed_with_zstd_unless_told_otherwise(
    options: dict[str, str], present: list[str], absent: list[str]
) -> None:
    command = convert_command("qcow2", CHAIN, Path("out"), options)

    assert set(present) <= set(command)
    assert not set(absent) & set(command)


@pytest.mark.parametrize("kind", ["raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi"])
def test_disks_are_converted_straight_from_the_chain(kind: str) -> None:
    command = convert_command(kind, CHAIN, Path("out"), {})

    assert command[:4] == ("qemu-img", "convert", "-f", "qcow2")
    assert command[-2:] == ("top.qcow2", "out")


def test_a_streamed_vmdk_is_written_in_order() -> None:
    assert "-W" not in convert_command("vmdk", CHAIN, Path("out"), {})


@settings(deadline=None)  # it writes files
@given(content=st.binary(max_size=5000), size=st.integers(1, 700))
def test_both_ways_to_digest_agree(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, size: int
) -> None:
    path = tmp_path_factory.mktemp("digest") / "file"
    chunks = [content[at : at + size] for at in range(0, len(content), size)]

    on_the_way = write_digested(chunks, path, ("sha256", "md5"))

    assert on_the_way == digests_of(path, ("sha256", "md5"))
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("wanted", "names"),
    [("", ("sha256",)), ("md5", ("sha256", "md5")), ("md5,sha256", ("sha256", "md5"))],
)
def test_the_sha256_is_always_computed(wanted: str, names: tuple[str, ...]) -> None:
    assert algorithms(wanted) == names


def test_what_pigz_writes_is_read_by_gzip(tmp_path: Path, tree: Path) -> None:
    write(FORMATS["tgz"], PlainSource(tree), tmp_path / "demo.tgz", {}, overwrite=False)
    write(FORMATS["tar"], PlainSource(tree), tmp_path / "demo.tar", {}, overwrite=False)

    assert (
        gzip.decompress((tmp_path / "demo.tgz").read_bytes())
        == (tmp_path / "demo.tar").read_bytes()
    )
