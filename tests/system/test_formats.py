"""Every type of output of the tiny operating system, opened by the tools of its own field."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dibflow import linux
from dibflow.engine.journal import Happening
from dibflow.planning.formats import FORMATS
from tests.system.harness import Workshop

pytestmark = pytest.mark.needs("root-namespaces", "overlay", "mknod", "qemu-img", "mkfs.ext4")

TREE_TYPES = ("tar", "tgz", "tar.zst", "aci", "oci", "docker", "squashfs", "erofs", "cpio")
DISK_TYPES = ("raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi")

_REMOVER = """
echo old >/etc/replaced
mkdir -p /etc/emptied /etc/rebuilt
echo gone >/etc/emptied/gone
echo below >/etc/rebuilt/below
mkdir -p /etc/was-folder
echo inner >/etc/was-folder/inner
echo file >/etc/was-file
"""
_REMOVED = """
rm /etc/emptied/gone
rm -r /etc/rebuilt /etc/was-folder
mkdir /etc/rebuilt
echo above >/etc/rebuilt/above
echo file >/etc/was-folder
rm /etc/was-file
mkdir /etc/was-file
echo inner >/etc/was-file/inner
"""


@dataclass(frozen=True)
class Made:
    """One build with every type, and the folder that it is in."""

    workshop: Workshop

    def path(self, kind: str) -> Path:
        return self.workshop.folder / f"demo.{FORMATS[kind].extension}"

    def run(self, *command: str) -> str:
        """Run a program on the outputs and give what it printed."""
        ended = self.workshop.run(*command)
        assert ended.status == 0, (command, ended.output)
        return ended.output


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Build once what all tests look at; types whose program is missing here are left out."""
    workshop = Workshop(tmp_path_factory.mktemp("formats"))
    workshop.hook("changer/install.d/50-make", _REMOVER)
    workshop.hook("changer/install.d/60-remove", _REMOVED)
    types = [
        name
        for name in (*DISK_TYPES, *TREE_TYPES)
        if all(shutil.which(program.name) for program in FORMATS[name].programs)
    ]
    ended = workshop.build(
        "changer", types=",".join(types), options=("--workers", "2", "--checksum")
    )
    assert ended.status == 0, ended.output
    return Made(workshop)


@dataclass(frozen=True)
class Seen:
    """What an archive says of one entry."""

    kind: bytes
    mode: int
    owner: tuple[int, int]
    mtime: str
    target: str
    device: tuple[int, int]
    digest: str
    xattrs: tuple[tuple[str, str], ...]


def entries(archive: tarfile.TarFile, prefix: str = ".") -> dict[str, Seen]:
    """Describe every entry of a tar below `prefix`, holes and long names resolved."""
    found: dict[str, Seen] = {}
    for member in archive:
        if member.name != prefix and not member.name.startswith(f"{prefix}/"):
            continue
        file = archive.extractfile(member) if member.isreg() else None
        link = member.linkname
        xattrs = {
            key.removeprefix("SCHILY.xattr."): value
            for key, value in member.pax_headers.items()
            if key.startswith("SCHILY.xattr.")
        }
        found[member.name.removeprefix(prefix).lstrip("/")] = Seen(
            kind=b"0" if member.isreg() else member.type,
            mode=member.mode,
            owner=(member.uid, member.gid),
            mtime=member.pax_headers.get("mtime", str(member.mtime)),
            target=link.removeprefix(f"{prefix}/") if member.islnk() else link,
            device=(member.devmajor, member.devminor) if member.isdev() else (0, 0),
            digest=hashlib.sha256(file.read()).hexdigest() if file else "",
            xattrs=tuple(sorted(xattrs.items())),
        )
    return found


@pytest.fixture(scope="module")
def tree(made: Made) -> Mapping[str, Seen]:
    """What demo.tar says of the tree: the others are held against it."""
    with tarfile.open(made.path("tar")) as archive:
        return entries(archive)


def test_the_tar_has_what_tars_lose(made: Made, tree: Mapping[str, Seen]) -> None:
    share = "usr/share/tiny-os"

    listed = made.run("tar", "tf", "demo.tar").splitlines()

    assert "./etc/hostname" in listed
    assert ".tiny" in tree
    assert tree["usr/bin/tiny-setuid"].mode == 0o4755
    assert tree[f"{share}/owned"].owner == (1234, 4321)
    assert tree[f"{share}/linked-too"].target == f"{share}/linked"
    content = b"\0" * 1020 * 1024 + b"t" * 4096
    assert tree[f"{share}/sparse"].digest == hashlib.sha256(content).hexdigest()
    expected = {"user.tiny": "attributed"}
    assert dict(tree[f"{share}/attributed"].xattrs).items() >= expected.items()


@pytest.mark.parametrize("kind", ["tar", "tgz", "tar.zst", "aci"])
def test_no_device_of_the_host_leaks_into_an_archive(made: Made, kind: str) -> None:
    listed = (
        made.run("tar", "-I", "zstd", "-tf", "demo.tar.zst")
        if kind == "tar.zst"
        else (made.run("tar", "tf", made.path(kind).name))
    )

    names = [line.removeprefix("./").removeprefix("rootfs/") for line in listed.splitlines()]
    assert "dev/" in names
    assert [name for name in names if name.startswith("dev/") and name != "dev/"] == []


def test_a_tgz_holds_the_tar_byte_for_byte(made: Made) -> None:
    assert gzip.decompress(made.path("tgz").read_bytes()) == made.path("tar").read_bytes()


@pytest.mark.needs("zstd")
def test_a_tar_zst_holds_the_tar_byte_for_byte(made: Made) -> None:
    done = subprocess.run(["zstd", "-dc", made.path("tar.zst")], stdout=subprocess.PIPE, check=True)

    assert done.stdout == made.path("tar").read_bytes()


def test_an_aci_holds_the_tree_under_rootfs(made: Made, tree: Mapping[str, Seen]) -> None:
    with tarfile.open(made.path("aci")) as archive:
        found = entries(archive, "rootfs")
    with tarfile.open(made.path("aci")) as archive:
        file = archive.extractfile("manifest")
        assert file is not None
        manifest = json.load(file)

    assert found == tree
    assert (manifest["acKind"], manifest["name"]) == ("ImageManifest", "demo")


@pytest.mark.parametrize("kind", ["qcow2", "vhd", "vhdx", "vmdk", "vdi"])
def test_qemu_finds_every_disk_sound_and_the_same_as_the_raw_one(made: Made, kind: str) -> None:
    driver = "vpc" if kind == "vhd" else kind
    name = made.path(kind).name

    if kind != "vhd":  # qemu-img has no check for it
        made.run("qemu-img", "check", "-f", driver, name)
    made.run("qemu-img", "compare", "-f", "raw", "-F", driver, "demo.raw", name)

    info = json.loads(made.run("qemu-img", "info", "--output=json", "-f", driver, name))
    assert info["virtual-size"] == made.path("raw").stat().st_size


def test_the_raw_disk_is_a_sound_filesystem_with_holes(made: Made) -> None:
    made.run("e2fsck", "-f", "-n", "demo.raw")

    status = made.path("raw").stat()
    assert status.st_blocks * 512 < status.st_size


def test_a_qcow2_is_compressed_with_zstd_and_a_vmdk_is_a_stream(made: Made) -> None:
    qcow2 = json.loads(made.run("qemu-img", "info", "--output=json", "demo.qcow2"))
    vmdk = json.loads(made.run("qemu-img", "info", "--output=json", "demo.vmdk"))

    assert qcow2["format-specific"]["data"]["compression-type"] == "zstd"
    assert vmdk["format-specific"]["data"]["create-type"] == "streamOptimized"


@pytest.mark.needs("mksquashfs", "unsquashfs")
def test_a_squashfs_holds_the_tree(made: Made, tree: Mapping[str, Seen]) -> None:
    summary = made.run("unsquashfs", "-s", "demo.squash")
    listed = made.run("unsquashfs", "-ll", "-n", "demo.squash")
    out = made.workshop.folder / "unsquashed"
    made.run("unsquashfs", "-n", "-d", str(out), "demo.squash")

    assert "Compression zstd" in summary
    assert "squashfs-root/usr/share/tiny-os/linked-too" in listed
    assert _seen_in(out) == _on_disk(tree)


@pytest.mark.needs("mkfs.erofs", "fsck.erofs", "dump.erofs")
def test_an_erofs_holds_the_tree(made: Made, tree: Mapping[str, Seen]) -> None:
    out = made.workshop.folder / "unpacked-erofs"

    made.run("fsck.erofs", f"--extract={out}", "--preserve", "demo.erofs")
    summary = made.run("dump.erofs", "-s", "demo.erofs")

    modes = made.workshop.folder / "modes-of-erofs"
    options = (f"--extract={modes}", "--preserve-perms", "--no-preserve-owner")
    made.run("fsck.erofs", *options, "demo.erofs")
    attributed = made.run("dump.erofs", "--path=/usr/share/tiny-os/attributed", "demo.erofs")

    assert "Filesystem magic number" in summary
    # fsck.erofs unpacks no attributes, and loses setuid bits where it sets owners.
    assert stat.S_IMODE((modes / "usr/bin/tiny-setuid").stat().st_mode) == 0o4755
    assert "Xattr size: 0" not in attributed
    found, expected = _seen_in(out, xattrs=False), _on_disk(tree, xattrs=False)
    del found["usr/bin/tiny-setuid"], expected["usr/bin/tiny-setuid"]
    assert found == expected


@pytest.mark.needs("cpio")
def test_a_cpio_holds_every_name_of_the_tree(made: Made, tree: Mapping[str, Seen]) -> None:
    out = made.workshop.folder / "uncpioed"
    out.mkdir()
    with made.path("cpio").open("rb") as file:
        done = subprocess.run(
            ["cpio", "-it", "--quiet"], stdin=file, stdout=subprocess.PIPE, check=True
        )
    with made.path("cpio").open("rb") as file:
        subprocess.run(
            ["cpio", "-id", "--quiet", "--preserve-modification-time"],
            stdin=file,
            cwd=out,
            check=True,
        )

    names = done.stdout.decode().splitlines()
    assert names == sorted(names, key=lambda name: [*name.encode().split(b"/")])
    assert {"" if name == "." else name for name in names} == tree.keys()
    # cpio sets the times of files, but not of folders and symlinks.
    assert _files(_seen_in(out, xattrs=False)) == _files(_on_disk(tree, xattrs=False))


def _files(found: Mapping[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    """Leave the time out of what is no regular file."""
    return {
        name: seen if seen[0] == b"0" else (*seen[:3], 0, *seen[4:]) for name, seen in found.items()
    }


def _on_disk(tree: Mapping[str, Seen], *, xattrs: bool = True) -> dict[str, tuple[object, ...]]:
    """Give what `_seen_in` gives of the tree of a tar."""
    links = {name: seen.target for name, seen in tree.items() if seen.kind == tarfile.LNKTYPE}
    found: dict[str, tuple[object, ...]] = {}
    for name, seen in tree.items():
        of = tree[links[name]] if name in links else seen
        found[name] = (
            of.kind,
            of.mode if of.kind != tarfile.SYMTYPE else 0,
            of.owner,
            int(float(of.mtime)),
            of.target,
            of.digest,
            tuple(key for key, _ in of.xattrs) if xattrs else (),
        )
    return found


_TYPES = {
    stat.S_IFREG: b"0",
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


def _seen_in(folder: Path, *, xattrs: bool = True) -> dict[str, tuple[object, ...]]:
    """Describe a tree on disk by type, mode, owner, time in seconds, target, content, xattrs."""
    found: dict[str, tuple[object, ...]] = {}
    for path in (folder, *folder.rglob("*")):
        status = path.lstat()
        kind = _TYPES[stat.S_IFMT(status.st_mode)]
        found["" if path == folder else str(path.relative_to(folder))] = (
            kind,
            stat.S_IMODE(status.st_mode) if kind != tarfile.SYMTYPE else 0,
            (status.st_uid, status.st_gid),
            int(status.st_mtime),
            str(path.readlink()) if kind == tarfile.SYMTYPE else "",
            hashlib.sha256(path.read_bytes()).hexdigest() if kind == b"0" else "",
            tuple(sorted(os.listxattr(path, follow_symlinks=False))) if xattrs else (),
        )
    return found


MEDIA = "application/vnd.oci.image"


def blob(layout: Path, descriptor: Mapping[str, Any]) -> bytes:
    """Read what a descriptor points to, held against its digest and size."""
    algorithm, _, digest = descriptor["digest"].partition(":")
    content: bytes = (layout / "blobs" / algorithm / digest).read_bytes()
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (digest, descriptor["size"])
    return content


def test_an_oci_layout_has_the_shape_of_the_specification(made: Made) -> None:
    layout = made.path("oci")

    index = json.loads((layout / "index.json").read_bytes())
    (described,) = index["manifests"]
    manifest = json.loads(blob(layout, described))
    config = json.loads(blob(layout, manifest["config"]))

    assert json.loads((layout / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert (index["schemaVersion"], index["mediaType"]) == (2, f"{MEDIA}.index.v1+json")
    assert described["mediaType"] == manifest["mediaType"] == f"{MEDIA}.manifest.v1+json"
    assert described["platform"]["os"] == config["os"] == "linux"
    assert manifest["config"]["mediaType"] == f"{MEDIA}.config.v1+json"
    assert {layer["mediaType"] for layer in manifest["layers"]} == {f"{MEDIA}.layer.v1.tar+gzip"}
    assert config["rootfs"]["type"] == "layers"
    plain = [gzip.decompress(blob(layout, layer)) for layer in manifest["layers"]]
    diffs = [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in plain]
    assert config["rootfs"]["diff_ids"] == diffs


def applied(layout: Path) -> dict[str, Seen]:
    """Lay the layers of an image over one another as the specification says."""
    index = json.loads((layout / "index.json").read_bytes())
    manifest = json.loads(blob(layout, index["manifests"][0]))
    tree: dict[str, Seen] = {}

    def remove(name: str) -> None:
        for known in [one for one in tree if one == name or one.startswith(f"{name}/")]:
            del tree[known]

    for layer in manifest["layers"]:
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob(layout, layer)))) as archive:
            found = _relative(archive)
        for name in found:
            folder, _, last = name.rpartition("/")
            if last == ".wh..wh..opq":
                for known in [one for one in tree if one.startswith(f"{folder}/")]:
                    del tree[known]
            elif last.startswith(".wh."):
                remove("/".join(filter(None, (folder, last.removeprefix(".wh.")))))
        for name, seen in found.items():
            if not name.rpartition("/")[2].startswith(".wh."):
                if seen.kind != tarfile.DIRTYPE or (name in tree and tree[name].kind != seen.kind):
                    remove(name)
                tree[name] = seen
    return tree


def _relative(archive: tarfile.TarFile) -> dict[str, Seen]:
    """Describe a layer, whose names have no folder before them."""
    for member in archive:
        member.name = "." if member.name == "." else f"./{member.name}"
        if member.islnk():
            member.linkname = f"./{member.linkname}"
    return entries(archive)


def test_the_layers_of_an_oci_image_make_the_tree(made: Made, tree: Mapping[str, Seen]) -> None:
    found = applied(made.path("oci"))

    assert found == tree
    assert "etc/rebuilt/below" not in found
    assert found["etc/was-file"].kind == tarfile.DIRTYPE


def test_whiteouts_are_names_in_the_layer_of_the_hook_that_removed(made: Made) -> None:
    layout = made.path("oci")
    index = json.loads((layout / "index.json").read_bytes())
    manifest = json.loads(blob(layout, index["manifests"][0]))
    names: set[str] = set()
    for layer in manifest["layers"]:
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob(layout, layer)))) as archive:
            names |= set(archive.getnames())
            assert not [member for member in archive if member.ischr()]

    assert {"etc/emptied/.wh.gone", "etc/rebuilt/.wh..wh..opq"} <= names


@pytest.mark.needs("skopeo")
@pytest.mark.parametrize(
    ("transport", "kind"), [("oci", "oci"), ("oci-archive", "docker"), ("docker-archive", "docker")]
)
def test_skopeo_reads_the_images_and_every_layer(made: Made, transport: str, kind: str) -> None:
    image = f"{transport}:{made.path(kind)}"
    copy = made.workshop.folder / f"copy-{transport}"

    inspected = json.loads(made.run("skopeo", "inspect", image))
    made.run("skopeo", "--insecure-policy", "copy", "--quiet", image, f"dir:{copy}")

    assert inspected["Os"] == "linux"
    assert len(inspected["Layers"]) > 5


def test_the_checksums_are_those_of_the_files(made: Made) -> None:
    kinds = [kind for kind in FORMATS if made.path(kind).is_file()]

    assert len(kinds) > 8
    for kind in kinds:
        name = made.path(kind).name
        made.run("md5sum", "--check", "--strict", f"{name}.md5")
        made.run("sha256sum", "--check", "--strict", f"{name}.sha256")
    recorded = made.workshop.report()["outputs"]
    for kind in kinds:
        text = made.path(kind).with_name(f"{made.path(kind).name}.sha256").read_text()
        assert text.split()[0] == recorded[kind]["sha256"]


def test_a_finished_build_with_every_type_runs_nothing(made: Made) -> None:
    before = len(made.workshop.lines())
    types = [name for name in (*DISK_TYPES, *TREE_TYPES) if made.path(name).exists()]

    ended = made.workshop.build(
        "changer", types=",".join(types), options=("--workers", "2", "--checksum")
    )

    assert ended.status == 0, ended.output
    assert made.workshop.lines()[before:] == []


def test_an_output_made_again_sets_the_old_one_aside_with_its_checksums(
    workshop: Workshop,
) -> None:
    workshop.build(types="tar", options=("--checksum",))

    workshop.hook("app/install.d/50-app", "echo one >/etc/app")
    workshop.build("app", types="tar", options=("--checksum",))

    names = {path.name for path in workshop.folder.glob("demo*.tar*")}
    (aside,) = [name for name in names if name.startswith("demo-") and name.endswith(".tar")]
    assert names == {
        *("demo.tar", "demo.tar.md5", "demo.tar.sha256"),
        *(aside, f"{aside}.md5", f"{aside}.sha256"),
    }


def test_a_program_that_is_missing_is_told_before_anything_runs(workshop: Workshop) -> None:
    programs = workshop.folder / "bin"
    programs.mkdir()
    for folder in ("/usr/local/sbin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        for program in Path(folder).glob("*"):
            link = programs / program.name
            if program.name != "mksquashfs" and not link.exists():
                link.symlink_to(program)
    command = workshop.command(types="squashfs")
    luigi = shutil.which("luigi", path=workshop.environment()["PATH"])
    assert luigi is not None

    ended = workshop.run(luigi, *command[1:], PATH=str(programs))

    assert ended.status == 4
    assert '"mksquashfs", for squashfs' in ended.output
    assert "apt-get install squashfs-tools" in ended.output
    assert workshop.lines() == []


@pytest.fixture
def small_folder(workshop: Workshop) -> Iterator[Path]:
    """A folder of outputs on a filesystem of 3 MiB."""
    folder = workshop.folder / "small"
    folder.mkdir()
    linux.mount("tmpfs", str(folder), "tmpfs", linux.MountFlag.NONE, "size=3m")
    try:
        yield folder
    finally:
        linux.unmount(str(folder), detach=True)


@pytest.mark.parametrize(
    "kind", ["tar", "tgz", "qcow2", "vmdk", "squashfs", "erofs", "cpio", "oci", "docker"]
)
def test_a_full_filesystem_is_told_once_and_leaves_no_half_output(
    workshop: Workshop, small_folder: Path, kind: str
) -> None:
    command = workshop.command(types=kind)
    command[command.index("demo")] = "small/demo"

    ended = workshop.run(*command)

    assert ended.status == 30, ended.output
    assert f'no room left in "{small_folder}"' in ended.output
    assert "Traceback" not in ended.output
    assert list(small_folder.iterdir()) == []


@pytest.mark.parametrize("kind", ["tgz", "oci"])
def test_what_a_killed_conversion_left_is_removed_by_the_next(
    workshop: Workshop, kind: str
) -> None:
    workshop.hook("app/install.d/50-app", "head -c 80M /dev/urandom >/var/lib/noise")
    workshop.build("app", types="tar")
    process = workshop.start(*workshop.command("app", types=f"tar,{kind}"))
    deadline = time.monotonic() + 60
    while not list(workshop.folder.glob(".demo.*.partial")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.5)  # a sandbox ends with its parent, not at the same moment
    left = list(workshop.folder.glob(".demo.*.partial"))

    ended = workshop.build("app", types=f"tar,{kind}")

    assert left
    assert ended.status == 0, ended.output
    assert list(workshop.folder.glob(".demo.*.partial")) == []
    hooks = [title for title in workshop.titles(Happening.BUILT) if title == "install.d/50-app"]
    assert len(hooks) == 1
