"""Disks of every layout: the same tree as without partitions, sound filesystems, known names."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from dibflow.store.store import DirectoryStore
from tests.system.harness import PATIENCE_SECONDS, Workshop
from tests.system.rawdisk import RawDisk

pytestmark = pytest.mark.needs(
    *("root-namespaces", "overlay", "loop", "fuse", "mknod", "trusted-xattrs"),
    *("qemu-storage-daemon", "qemu-img", "mkfs.ext4", "sfdisk", "sgdisk", "losetup", "blkid"),
)

ACL = "0200000001000600ffffffff02000600d204000004000400ffffffff10000600ffffffff20000000ffffffff"
"""user::rw-, user:1234:rw-, group::r--, mask::rw-, other::---. Source: posix_acl_xattr.h."""

ODD = f"""
cd "$TMP_MOUNT_PATH"
mkdir -p var/log/odd boot/odd var/odd
for folder in usr/share/tiny-os var/odd var/log/odd boot/odd; do
    touch "$folder/one"
    if [ "$folder" != var/log/odd ]; then  # logs end up empty
        printf one >"$folder/one"
        truncate -s 40M "$folder/hole"
        printf end >>"$folder/hole"
    fi
    ln "$folder/one" "$folder/two"
    mknod -m 0620 "$folder/character" c 1 3
    mknod -m 0660 "$folder/block" b 7 200
    mkfifo -m 0604 "$folder/pipe"
    ln -s ../a/very/long/target/$(printf 'z%.0s' {{1..120}}) "$folder/link"
    chown -h 1234:4321 "$folder/link" "$folder/pipe"
    touch "$folder/a-long-name-$(printf 'y%.0s' {{1..120}})"
    python3 -I - "$folder" <<'PYTHON'
import os
import sys

for name in ("one", "."):
    path = os.path.join(sys.argv[1], name)
    os.setxattr(path, "system.posix_acl_access", bytes.fromhex("{ACL}"))
    os.setxattr(path, "user.odd", b"an attribute")
os.setxattr(sys.argv[1], "system.posix_acl_default", bytes.fromhex("{ACL}"))
capability = bytes.fromhex("0100000200200000000000000000000000000000")
os.setxattr(os.path.join(sys.argv[1], "one"), "security.capability", capability)
PYTHON
    touch -h -d '2001-02-03T04:05:06.123456789Z' "$folder"/*
    chmod 3775 "$folder"
done
"""
"""What copies like to lose, in each place that may be a filesystem of its own."""


def disk(*, table: str = "", partitions: str = "", block_size: int = 512) -> str:
    """Give a layout: `partitions` are lines of YAML, indented by six."""
    head = f"- local_loop:\n    name: image0\n    block_size: {block_size}\n"
    if not table:
        return (
            f"{head}- mkfs:\n    name: mkfs_root\n    base: image0\n    mount: {{mount_point: /}}\n"
        )
    table = f"- partitioning:\n    base: image0\n    label: {table}\n    partitions:\n"
    return head + table + partitions


def partition(
    name: str,
    size: str,
    *,
    kind: str = "",
    flags: str = "",
    fstype: str = "",
    label: str = "",
    mount: str = "",
    uuid: str = "",
) -> str:
    """Give the YAML of one partition, with a filesystem if `fstype` or `mount` says so."""
    text = f"      - name: {name}\n        size: {size}\n"
    text += f"        type: '{kind}'\n" if kind else ""
    text += f"        flags: [{flags}]\n" if flags else ""
    if mount:
        text += "        mkfs:\n"
        text += f"          type: {fstype}\n" if fstype else ""
        text += f"          label: {label}\n" if label else ""
        text += f"          uuid: {uuid}\n" if uuid else ""
        text += f"          mount: {{mount_point: {mount}, fstab: {{}}}}\n"
    return text


ROOT = partition("root", "100%", mount="/")
ESP = partition("ESP", "64MiB", kind="EF00", fstype="vfat", label="ESP", mount="/boot/efi")
VAR_UUID = "11111111-2222-4333-8444-555555555555"
LAYOUTS = {
    "plain": disk(),
    "mbr": disk(
        table="mbr", partitions=partition("root", "100%", flags="boot, primary", mount="/")
    ),
    "mbr-logical": disk(
        table="mbr",
        partitions=partition(
            "swap", "32MiB", kind="0x82", flags="primary", fstype="swap", label="swap", mount="none"
        )
        + partition("root", "60%", mount="/")
        + partition("var", "100%", fstype="ext4", label="var", mount="/var"),
    ),
    "gpt": disk(table="gpt", partitions=partition("BSP", "8MiB", kind="EF02") + ROOT),
    "efi": disk(table="gpt", partitions=ESP + partition("BSP", "8MiB", kind="EF02") + ROOT),
    "efi-4k": disk(
        table="gpt",
        partitions=ESP.replace("64MiB", "300MiB") + partition("BSP", "8MiB", kind="EF02") + ROOT,
        block_size=4096,
    ),
    "many": disk(
        table="gpt",
        partitions=ESP
        + partition("swap", "32MiB", kind="8200", fstype="swap", label="swap", mount="none")
        + partition("boot", "128MiB", fstype="ext4", label="BOOT", mount="/boot")
        + partition("var", "512MiB", fstype="xfs", label="var", mount="/var", uuid=VAR_UUID)
        + partition("log", "256MiB", fstype="btrfs", label="log", mount="/var/log")
        + ROOT,
    ),
}
_ROOT = ("ext4", "cloudimg-rootfs")
FILESYSTEMS: Mapping[str, list[tuple[str, str, str]]] = {
    "mbr": [("", *_ROOT)],
    "mbr-logical": [("", "swap", "swap"), ("", *_ROOT), ("", "ext4", "var")],
    "gpt": [("root", *_ROOT)],
    "efi": [("ESP", "vfat", "ESP"), ("root", *_ROOT)],
    "efi-4k": [("ESP", "vfat", "ESP"), ("root", *_ROOT)],
    "many": [
        *(("ESP", "vfat", "ESP"), ("swap", "swap", "swap"), ("boot", "ext4", "BOOT")),
        *(("var", "xfs", "var"), ("log", "btrfs", "log"), ("root", *_ROOT)),
    ],
}
"""For each layout its filesystems: name of the partition (an mbr has none), type, label."""

ODD_PLACES = ("./usr/share/tiny-os/", "./var/odd/", "./var/log/odd/", "./boot/odd/")


@dataclass(frozen=True)
class Built:
    """A store with the odd tree in it, and the tar of that tree without partitions."""

    shop: Workshop

    def build(
        self,
        name: str,
        layout: str,
        *,
        types: str = "raw,tar",
        elements: Sequence[str] = (),
        **variables: str,
    ) -> None:
        """Build the odd tree on a disk of `layout`."""
        config = self.shop.folder / f"{name}.yaml"
        config.write_text(layout)
        ended = self.shop.run(
            *("dibflow", "build", "tiny-os", "odd", *elements, "-n", "-o", name, "-t", types),
            patience_seconds=PATIENCE_SECONDS,
            DIB_BLOCK_DEVICE_CONFIG=f"file://{config}",
            **variables,
        )
        assert ended.status == 0, ended.output

    def tar(self, name: str) -> Path:
        return self.shop.folder / f"{name}.tar"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    shop = Workshop(tmp_path_factory.mktemp("layouts"))
    shop.hook("odd/post-root.d/60-odd", ODD)
    made = Built(shop)
    made.build("reference", LAYOUTS["plain"], types="tar")
    return made


Tree = Mapping[str, tuple[object, ...]]


def tree(archive: Path) -> Tree:
    """Describe each entry of a tar but for its time, with attributes and sizes."""
    found: dict[str, tuple[object, ...]] = {}
    with tarfile.open(archive) as opened:
        for member in opened:
            file = opened.extractfile(member) if member.isreg() else None
            digest = sha256(file.read()).hexdigest() if file is not None else ""
            attributes = {
                name: value
                for name, value in member.pax_headers.items()
                if name.startswith(("SCHILY.", "GNU.sparse.realsize"))
            }
            found[member.name] = (
                *(member.type, oct(member.mode), member.uid, member.gid, member.linkname),
                *(member.size, digest, member.devmajor, member.devminor, attributes),
            )
    return found


def times(archive: Path, *, below: tuple[str, ...]) -> Mapping[str, str]:
    """Give the time of each entry below a folder, as the archive has it: to the nanosecond."""
    with tarfile.open(archive) as opened:
        return {
            member.name: member.pax_headers.get("mtime", str(int(member.mtime)))
            for member in opened
            if member.name.startswith(below)
        }


def assert_same_tree(archive: Path, reference: Path, *, layout: str) -> None:
    """Check that a disk holds the reference's tree, but for what the layout itself brings."""
    found, expected = dict(tree(archive)), dict(tree(reference))
    for name in [name for name in found if name.endswith("lost+found")]:
        del found[name]
    if "/boot/efi" in LAYOUTS[layout]:
        assert found.pop("./boot/efi")[0] == tarfile.DIRTYPE
    assert found.pop("./etc/fstab") != expected.pop("./etc/fstab") or layout == "plain"
    assert found == expected


@pytest.mark.needs("mkfs.vfat", "mcopy", "mkfs.xfs", "mkfs.btrfs", "e2fsck", "fsck.vfat")
@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "plain"])
def test_a_layout_holds_the_tree_in_sound_filesystems(built: Built, layout: str) -> None:
    built.build(layout, LAYOUTS[layout])

    assert_same_tree(built.tar(layout), built.tar("reference"), layout=layout)
    disk = RawDisk(built.shop.folder / f"{layout}.raw", 4096 if layout == "efi-4k" else 512)
    found = []
    for part in disk.parts():
        disk.check(part)
        probed = disk.probe(part)
        if "TYPE" in probed:
            found.append((part.name, probed["TYPE"], probed["LABEL"]))
    assert found == FILESYSTEMS[layout]
    if "gpt" in LAYOUTS[layout]:
        assert "No problems found" in disk.verified()
    disk.path.unlink()


@pytest.mark.needs("mkfs.xfs", "mkfs.btrfs")
@pytest.mark.parametrize("fstype", ["xfs", "btrfs"])
def test_a_root_of_another_type_holds_the_tree(built: Built, fstype: str) -> None:
    built.build(fstype, LAYOUTS["plain"], FS_TYPE=fstype)

    assert_same_tree(built.tar(fstype), built.tar("reference"), layout="plain")
    disk = RawDisk(built.shop.folder / f"{fstype}.raw")
    (whole,) = disk.parts()
    disk.check(whole)
    assert disk.probe(whole)["TYPE"] == fstype
    assert times(built.tar(fstype), below=ODD_PLACES) == times(
        built.tar("reference"), below=ODD_PLACES
    )
    disk.path.unlink()


def test_a_hook_that_names_the_device_gets_it_without_a_partition_table(built: Built) -> None:
    built.shop.hook(
        "device/finalise.d/50-device",
        'printf "boot code" | dd of="$IMAGE_BLOCK_DEVICE" conv=notrunc status=none',
    )

    built.build("device", LAYOUTS["plain"], elements=("device",))

    assert_same_tree(built.tar("device"), built.tar("reference"), layout="plain")
    disk = RawDisk(built.shop.folder / "device.raw")
    assert disk.path.read_bytes()[:9] == b"boot code"
    (whole,) = disk.parts()
    disk.check(whole)
    assert disk.probe(whole)["LABEL"] == "cloudimg-rootfs"


@pytest.mark.needs("mkfs.vfat", "mkfs.xfs", "mkfs.btrfs")
def test_times_are_kept_to_what_the_way_of_filling_can_do(built: Built) -> None:
    built.build("times", LAYOUTS["many"], types="tar")

    expected = times(built.tar("reference"), below=ODD_PLACES)
    found = times(built.tar("times"), below=ODD_PLACES)
    assert {name for name in expected if name.endswith("/one")} == {
        f"./{place}/one" for place in ("usr/share/tiny-os", "var/odd", "var/log/odd", "boot/odd")
    }
    for name, time in expected.items():
        copied = name.startswith("./var/")
        # mke2fs -d keeps seconds.
        assert found[name] == (time if copied else time.partition(".")[0]), name


@pytest.mark.needs("mkfs.vfat", "mkfs.xfs", "mkfs.btrfs")
def test_a_disk_has_the_same_table_and_uuids_wherever_it_is_made(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    def made() -> tuple[str, list[dict[str, str]]]:
        shop = Workshop(tmp_path_factory.mktemp("identity"))
        shop.hook("odd/post-root.d/60-odd", ODD)
        Built(shop).build("same", LAYOUTS["many"], types="raw")
        disk = RawDisk(shop.folder / "same.raw")
        # btrfs also has a UUID for each of its devices, which nobody can choose.
        probes = [disk.probe(part) for part in disk.parts()]
        found = [{name: probe[name] for name in ("TYPE", "LABEL", "UUID")} for probe in probes]
        table = disk.table()
        disk.path.unlink()
        return table, found

    first, second = made(), made()

    assert first == second
    uuids = [probed["UUID"] for probed in first[1]]
    assert VAR_UUID in uuids
    assert len(set(uuids)) == len(uuids) == 6


@pytest.mark.parametrize("layout", ["gpt", "mbr-logical"])
def test_the_same_tree_fills_a_disk_with_the_same_bytes(built: Built, layout: str) -> None:
    store = DirectoryStore(built.shop.store)

    def filled() -> str:
        built.build(f"bytes-{layout}", LAYOUTS[layout], types="tar")
        steps = built.shop.report(f"bytes-{layout}")["steps"]
        names = [step["step"] for step in steps]
        record = store.finished(steps[names.index("copy-in")]["key"])
        assert record is not None
        digest = sha256(store.disk_path(record.disks[-1]).read_bytes()).hexdigest()
        # As if it, and what comes after, had never been made.
        for step in steps[names.index("copy-in") :]:
            known = store.finished(step["key"])
            assert known is not None
            for key, folder in ((known.key, "steps"), (known.content_key, "content")):
                (store.root / folder / f"{key}.json").unlink(missing_ok=True)
        (built.shop.folder / f"bytes-{layout}.tar").unlink()
        return digest

    assert filled() == filled()
