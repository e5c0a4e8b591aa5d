"""The shell library that hooks find as ``$_LIB``, name by name."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from dibflow.resources import library_directory

if TYPE_CHECKING:
    from pathlib import Path

LIBRARY = library_directory()
FUNCTIONS = {
    "common-functions": {
        *("mount_dev_pts_options", "mount_proc_dev_sys", "unmount_dir", "run_d", "mk_build_dir"),
        *("save_image", "generate_hooks"),
    },
    "img-functions": {
        *("select_boot_kernel_initrd", "run_in_target", "finalise_base"),
        "compress_and_save_image",
    },
    "ramdisk-functions": {
        *("create_ramdisk_base", "populate_lib", "copy_required_libs", "busybox_list"),
        *("populate_busybox", "populate_init", "populate_udev", "finalise_image"),
        *("find_kernel_version", "fullpath"),
    },
    "die": {"die"},
}
"""What scripts may call. Others that a file defines start with an underscore."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to work in, with a `sudo` that does nothing of its own."""
    (tmp_path / "bin").mkdir()
    sudo = tmp_path / "bin" / "sudo"
    sudo.write_text('#!/bin/bash\nwhile [[ $1 == -* ]]; do shift; done\nexec "$@"\n')
    sudo.chmod(0o755)
    return tmp_path


def bash(
    folder: Path, script: str, *, files: str = "common-functions img-functions", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a script as hooks do, with files of the library sourced."""
    sourced = " ".join(f'source "${{_LIB}}/{file}";' for file in files.split())
    return subprocess.run(
        ["/bin/bash", "-c", f"set -eu -o pipefail\n{sourced}\n{script}"],
        env={
            "PATH": f"{folder}/bin:{os.environ['PATH']}",
            "LC_ALL": "C",
            "_LIB": str(LIBRARY),
            "HERE": str(folder),
            **variables,
        },
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("file", "names"), FUNCTIONS.items())
def test_a_file_defines_what_scripts_may_call(folder: Path, file: str, names: set[str]) -> None:
    defined = said(bash(folder, "declare -F", files=file)).split()[2::3]

    assert {name for name in defined if not name.startswith("_")} == names


def test_nothing_else_is_in_the_library() -> None:
    assert {file.name for file in LIBRARY.iterdir()} == {
        *FUNCTIONS,
        "common-defaults",
        "img-defaults",
        "ramdisk-defaults",
    }


class TestDefaults:
    NAMES = (
        *("ARCH", "DIB_CHECKSUM", "DIB_NO_TMPFS", "DIB_MIN_TMPFS", "DIB_OFFLINE", "ELEMENTS_PATH"),
        *("FS_TYPE", "IMAGE_TYPE", "IMAGE_NAME"),
    )
    SHOW = f"for name in {' '.join(NAMES)}; do printf '%s=%s\\n' $name \"$(printenv $name)\"; done"

    def test_are_what_dib_documents(self, folder: Path) -> None:
        shown = said(bash(folder, self.SHOW, files="img-defaults")).splitlines()

        values = dict(line.split("=", 1) for line in shown)
        assert values.pop("ARCH") in {"amd64", "arm64", "armhf"}
        assert values == {
            "DIB_CHECKSUM": "0",
            "DIB_NO_TMPFS": "0",
            "DIB_MIN_TMPFS": "2",
            "DIB_OFFLINE": "",
            "ELEMENTS_PATH": "",
            "FS_TYPE": "ext4",
            "IMAGE_TYPE": "qcow2",
            "IMAGE_NAME": "image",
        }

    def test_give_way_to_what_is_set(self, folder: Path) -> None:
        given = dict.fromkeys(self.NAMES, "mine")

        shown = said(bash(folder, self.SHOW, files="img-defaults", **given)).splitlines()

        assert set(shown) == {f"{name}=mine" for name in self.NAMES}

    def test_add_folders_to_path_once(self, folder: Path) -> None:
        path = f"{folder}/bin:/usr/bin:/bin:/usr/sbin"

        for _ in range(2):
            path = said(bash(folder, 'printf %s "$PATH"', files="common-defaults", PATH=path))

        assert path == f"{folder}/bin:/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/sbin"


class TestSelectBootKernelInitrd:
    SHOW = 'select_boot_kernel_initrd "$HERE"; echo "${BOOTDIR#"$HERE"} $KERNEL $RAMDISK"'

    @pytest.mark.parametrize(
        ("release", "boot", "expected"),
        [
            pytest.param(
                "debian_version",
                "vmlinuz-6.1-9 initrd.img-6.1-9 vmlinuz-6.1-18 initrd.img-6.1-18 vmlinuz.old",
                "vmlinuz-6.1-18 initrd.img-6.1-18",
                id="debian-newest",
            ),
            pytest.param(
                "debian_version",
                "vmlinuz-5-generic initrd.img-5-generic vmlinuz-6-cloud initrd.img-6-cloud",
                "vmlinuz-5-generic initrd.img-5-generic",
                id="ubuntu-generic",
            ),
            pytest.param(
                "debian_version",
                "vmlinuz-6 initrd.img-5",
                "vmlinuz-6 initrd.img-5",
                id="debian-other-initramfs",
            ),
            pytest.param(
                "debian_version",
                "vmlinux-6.1-powerpc64le initrd.img-6.1-powerpc64le",
                "vmlinux-6.1-powerpc64le initrd.img-6.1-powerpc64le",
                id="debian-uncompressed",
            ),
            pytest.param(
                "redhat-release",
                "vmlinuz-4 initramfs-4.img vmlinuz-5 initramfs-5.img vmlinuz-6+debug "
                "vmlinuz-0-rescue-1 initramfs-0-rescue-1.img",
                "vmlinuz-5 initramfs-5.img",
                id="redhat-newest-without-debug",
            ),
            pytest.param(
                "redhat-release",
                "vmlinuz-4.PAE initramfs-4.PAE.img vmlinuz-5 initramfs-5.img",
                "vmlinuz-4.PAE initramfs-4.PAE.img",
                id="redhat-pae",
            ),
            pytest.param(
                "gentoo-release",
                "vmlinuz-5 vmlinuz-6 initramfs-5.img initramfs-6.img",
                "vmlinuz-6 initramfs-6.img",
                id="gentoo",
            ),
        ],
    )
    def test_finds_what_boots(self, folder: Path, release: str, boot: str, expected: str) -> None:
        self.fill(folder, release, boot)

        assert said(bash(folder, self.SHOW, files="img-functions")) == f"/boot {expected}\n"

    @pytest.mark.parametrize("mark", ["variable", "file"])
    def test_finds_the_signed_kernel_if_that_is_wanted(self, folder: Path, mark: str) -> None:
        boot = "vmlinuz-5-generic vmlinuz-5-generic.efi.signed initrd.img-5-generic"
        self.fill(folder, "debian_version", boot)
        wanted = "DIB_SIGNED_KERNEL_VERSION"
        if mark == "file":
            (folder / "dib-signed-kernel-version").write_text(f"export {wanted}=5-generic\n")

        shown = bash(
            folder,
            self.SHOW,
            files="img-functions",
            **({wanted: "5-generic"} if mark == "variable" else {}),
        )

        assert said(shown) == "/boot vmlinuz-5-generic.efi.signed initrd.img-5-generic\n"

    @pytest.mark.parametrize(
        ("release", "distribution"), [("SuSE-release", ""), ("os-release", "opensuse")]
    )
    def test_follows_the_links_of_suse(self, folder: Path, release: str, distribution: str) -> None:
        self.fill(folder, release, "vmlinuz-6 vmlinuz-5 initrd-5")
        (folder / "boot" / "vmlinuz").symlink_to("vmlinuz-5")
        (folder / "boot" / "initrd").symlink_to("initrd-5")

        shown = bash(folder, self.SHOW, files="img-functions", DISTRO_NAME=distribution)

        assert said(shown) == "/boot vmlinuz-5 initrd-5\n"

    def test_follows_two_patterns_on_any_distribution(self, folder: Path) -> None:
        self.fill(folder, "os-release", "kernel-9 kernel-10 kernel-11.old ram-9 ram-10")

        shown = bash(
            folder,
            self.SHOW,
            files="img-functions",
            DIB_BAREMETAL_KERNEL_PATTERN="kernel-??",
            DIB_BAREMETAL_INITRD_PATTERN="ram-*",
        )

        assert said(shown) == "/boot kernel-10 ram-10\n"

    def test_does_not_count_one_pattern_alone(self, folder: Path) -> None:
        self.fill(folder, "debian_version", "vmlinuz-6 initrd.img-6 kernel-9")

        shown = bash(
            folder, self.SHOW, files="img-functions", DIB_BAREMETAL_KERNEL_PATTERN="kernel-9"
        )

        assert said(shown) == "/boot vmlinuz-6 initrd.img-6\n"

    @pytest.mark.parametrize(
        ("release", "boot", "message"),
        [
            ("os-release", "vmlinuz-6 initrd.img-6", "cannot tell which distribution"),
            ("debian_version", "", 'kernel "", initramfs ""'),
            ("debian_version", "vmlinuz-6", 'kernel "vmlinuz-6", initramfs ""'),
            ("redhat-release", "vmlinuz-6 initramfs-5.img", 'kernel "vmlinuz-6", initramfs ""'),
        ],
    )
    def test_ends_the_script_if_there_is_none(
        self, folder: Path, release: str, boot: str, message: str
    ) -> None:
        self.fill(folder, release, boot)

        done = bash(folder, self.SHOW, files="img-functions")

        assert (done.returncode, done.stdout) == (1, "")
        assert message in done.stderr

    @staticmethod
    def fill(folder: Path, release: str, boot: str) -> None:
        (folder / "etc").mkdir()
        (folder / "etc" / release).touch()
        (folder / "boot").mkdir()
        for name in boot.split():
            (folder / "boot" / name).touch()


class TestHooks:
    @pytest.fixture
    def elements(self, folder: Path) -> dict[str, str]:
        """Two elements, and what makes them known."""
        self.write(folder / "one/environment.d/10-one", "export WORD=one")
        self.write(folder / "one/environment.d/2-two", 'export WORD="${WORD}, two"')
        self.write(folder / "one/root.d/9-early", '#!/bin/sh\necho "early: $WORD"', 0o755)
        self.write(folder / "two/root.d/10-late", '#!/bin/sh\necho "late: $WORD"', 0o755)
        self.write(folder / "two/root.d/05-data", "echo no hook")
        self.write(folder / "two/root.d/05-no.sh", "#!/bin/sh\necho no hook", 0o755)
        self.write(folder / "two/tests/root.d/00-test", "#!/bin/sh\necho no hook", 0o755)
        self.write(folder / "two/source-repository-x", "of two")
        return {
            "TMP_HOOKS_PATH": str(folder / "hooks"),
            "BASH_FUNC_get_image_element_array%%": (
                f'() {{ echo "[two]={folder}/two [one]={folder}/one "; }}'
            ),
        }

    def test_are_merged(self, folder: Path, elements: dict[str, str]) -> None:
        said(bash(folder, "generate_hooks", **elements))

        tree = folder / "hooks"
        assert {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()} == {
            *("environment.d/10-one", "environment.d/2-two", "source-repository-x"),
            *("root.d/9-early", "root.d/10-late", "root.d/05-data", "root.d/05-no.sh"),
        }

    def test_of_one_name_are_an_error(self, folder: Path, elements: dict[str, str]) -> None:
        self.write(folder / "two/root.d/9-early", "again")

        done = bash(folder, "generate_hooks", **elements)

        assert done.returncode == 1
        assert 'two elements have root.d/9-early, one is "two"' in done.stderr

    def test_run_in_order_with_the_environment(
        self, folder: Path, elements: dict[str, str]
    ) -> None:
        shown = said(bash(folder, "run_d root kept; echo ${WORD:-gone}; run_d none", **elements))

        # environment.d goes by bytes, hooks by number.
        assert shown == "early: one, two\nlate: one, two\ngone\n"
        assert (folder / "kept").read_text() == "early: one, two\nlate: one, two\n"

    @pytest.mark.parametrize("call", ["run_d root", "run_d root kept", "! run_d root || exit 5"])
    def test_end_the_phase_when_one_fails(
        self, folder: Path, elements: dict[str, str], call: str
    ) -> None:
        self.write(folder / "one/root.d/09-fails", "#!/bin/sh\nexit 3", 0o755)

        done = bash(folder, call, **elements)

        assert done.returncode == (0 if call.startswith("!") else 3)
        assert "late" not in done.stdout

    @staticmethod
    def write(file: Path, text: str, mode: int = 0o644) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
        file.chmod(mode)


class TestBuildFolder:
    def test_is_there_until_the_script_ends(self, folder: Path) -> None:
        show = 'mk_build_dir; ls -d "$TMP_BUILD_DIR" "$TMP_IMAGE_DIR"; printenv TMP_HOOKS_PATH'

        build, image, hooks = said(bash(folder, show, TMP_DIR=str(folder))).splitlines()

        assert build.startswith(f"{folder}/dib_build.")
        assert image.startswith(f"{folder}/dib_image.")
        assert hooks == f"{build}/hooks"
        assert [path.name for path in folder.iterdir()] == ["bin"]


class TestImage:
    def test_is_saved_under_its_name(self, folder: Path) -> None:
        (folder / "raw").write_text("image")

        said(bash(folder, "save_image demo.raw", OUT_IMAGE_PATH="raw"))

        assert (folder / "demo.raw").read_text() == "image"
        assert {path.name for path in folder.iterdir()} == {"bin", "demo.raw"}

    @pytest.mark.parametrize(
        ("asked", "kinds"), [("1", {"md5", "sha256"}), ("sha256", {"sha256"}), ("0", set())]
    )
    def test_gets_the_checksums_asked_for(self, folder: Path, asked: str, kinds: set[str]) -> None:
        (folder / "raw").write_text("image")

        said(bash(folder, "save_image demo.raw", OUT_IMAGE_PATH="raw", DIB_CHECKSUM=asked))

        sums = {path.suffix[1:]: path.read_text() for path in folder.glob("demo.raw.*")}
        assert set(sums) == kinds
        for kind, text in sums.items():
            assert text.split() == [hashlib.new(kind, b"image").hexdigest(), "demo.raw"]

    def test_does_not_replace_an_older_one_unless_asked(self, folder: Path) -> None:
        for name in ("raw", "demo.raw", "demo.raw.md5"):
            (folder / name).write_text(f"old {name}")

        said(bash(folder, "save_image demo.raw", OUT_IMAGE_PATH="raw"))

        assert (folder / "demo.raw").read_text() == "old raw"
        (kept,) = folder.glob("demo-*.raw")
        assert kept.read_text() == "old demo.raw"
        assert (folder / f"{kept.name}.md5").read_text() == "old demo.raw.md5"

    def test_replaces_an_older_one_if_asked(self, folder: Path) -> None:
        for name in ("raw", "demo.raw"):
            (folder / name).write_text(name)

        said(bash(folder, "save_image demo.raw", OUT_IMAGE_PATH="raw", OVERWRITE_OLD_IMAGE="1"))

        assert {path.name for path in folder.iterdir()} == {"bin", "demo.raw"}

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("raw", "image"),
            ("qcow2", "qemu-img convert -c -o a=b -f raw -O qcow2 image demo-new\n"),
            ("vmdk", "qemu-img convert -o a=b -f raw -O vmdk image demo-new\n"),
        ],
    )
    def test_is_converted_to_its_type(self, folder: Path, kind: str, expected: str) -> None:
        (folder / "image").write_text("image")
        stub = folder / "bin" / "qemu-img"
        stub.write_text('#!/bin/bash\necho "qemu-img $*" >"${@: -1}"\n')
        stub.chmod(0o755)

        said(
            bash(
                folder,
                "compress_and_save_image demo",
                IMAGE_TYPE=kind,
                TMP_IMAGE_PATH="image",
                COMPRESS_IMAGE="1",
                QEMU_IMG_OPTIONS="a=b",
            )
        )

        assert (folder / "demo").read_text() == expected

    def test_of_type_tgz_is_the_packed_tar(self, folder: Path) -> None:
        (folder / "demo.tar").write_text("tar")

        said(
            bash(
                folder,
                "compress_and_save_image demo.tgz; gzip -dc demo.tgz",
                IMAGE_TYPE="tgz",
                IMAGE_NAME="demo",
            )
        )

        assert {path.name for path in folder.iterdir()} == {"bin", "demo.tgz"}


class TestFinaliseBase:
    @pytest.fixture
    def root(self, folder: Path) -> Path:
        root = folder / "root"
        for path in ("etc/resolv.conf", "var/log/apt/x", "root/.keep", "tmp/in/side"):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text("host")
        (root / "etc" / "resolv.conf.ORIG").write_text("image")
        (root / "root" / "old.log").touch()
        (folder / "hooks" / "cleanup.d").mkdir(parents=True)
        hook = folder / "hooks" / "cleanup.d" / "10-hook"
        hook.write_text('#!/bin/sh\nls "$TARGET_ROOT/tmp/in"\n')
        hook.chmod(0o755)
        return root

    def test_cleans_the_tree_after_cleanup_d(self, folder: Path, root: Path) -> None:
        assert self.finalise(folder, root) == "side\n"

        assert (root / "etc" / "resolv.conf").read_text() == "image"
        assert not (root / "etc" / "resolv.conf.ORIG").exists()
        assert list((root / "tmp").iterdir()) == []
        assert (root / "var" / "log" / "apt" / "x").read_text() == ""
        assert [path.name for path in (root / "root").iterdir()] == [".keep"]

    def test_keeps_a_resolver_that_is_a_link(self, folder: Path, root: Path) -> None:
        (root / "etc" / "resolv.conf").unlink()
        (root / "etc" / "resolv.conf").symlink_to("../run/stub")

        self.finalise(folder, root)

        assert (root / "etc" / "resolv.conf").is_symlink()
        assert not (root / "etc" / "resolv.conf.ORIG").exists()

    def test_leaves_no_resolver_if_there_was_none(self, folder: Path, root: Path) -> None:
        (root / "etc" / "resolv.conf.ORIG").unlink()

        self.finalise(folder, root)

        assert not (root / "etc" / "resolv.conf").exists()

    @staticmethod
    def finalise(folder: Path, root: Path) -> str:
        return said(
            bash(
                folder,
                "finalise_base",
                TMP_MOUNT_PATH=str(root),
                TMP_HOOKS_PATH=str(folder / "hooks"),
            )
        )


class TestMounts:
    ENTER = ("unshare", "--map-root-user", "--mount")

    @pytest.mark.needs("user-mounts")
    def test_below_a_folder_go_but_for_those_of_the_image(self, folder: Path) -> None:
        for name in ("var", "etc/var", "a b/inner"):
            (folder / "root" / name).mkdir(parents=True)
        (folder / "link").symlink_to("root")

        shown = self.inside(
            folder,
            'for m in var etc/var "a b" ; do mount -t tmpfs none "$HERE/root/$m"; done\n'
            'mkdir "$HERE/root/a b/inner"; mount -t tmpfs none "$HERE/root/a b/inner"\n'
            'unmount_dir "$HERE/link"; grep -c "$HERE/root/var" /proc/self/mounts\n'
            'grep -c "$HERE" /proc/self/mounts',
            DIB_MOUNTPOINTS="/|/var|none",
            TMP_MOUNT_PATH=f"{folder}/link",
        )

        assert shown == "1\n1\n"

    def test_below_no_folder_are_no_error(self, folder: Path) -> None:
        assert said(bash(folder, "unmount_dir /no/such; echo on")).splitlines() == [
            'unmount_dir: "/no/such" is no folder',
            "on",
        ]

    @pytest.mark.needs("findmnt")
    def test_of_a_devpts_get_the_machine_s_options(self, folder: Path) -> None:
        (line,) = said(bash(folder, "mount_dev_pts_options")).splitlines()

        assert line.startswith("-o rw")
        assert "mode=" in line

    @pytest.mark.needs("root-namespaces")
    def test_of_the_kernel_are_four_and_go_again(self, folder: Path) -> None:
        for name in ("proc", "dev", "sys"):
            (folder / "root" / name).mkdir(parents=True)
        (folder / "link").symlink_to("root")

        shown = self.inside(
            folder,
            'mount_proc_dev_sys; grep -c "$HERE/root" /proc/self/mounts\n'
            'grep -E "$HERE/root/sys sysfs ro" /proc/self/mounts | wc -l\n'
            'unmount_dir "$HERE/link"; grep -c "$HERE/root" /proc/self/mounts || true',
            enter=("unshare", "--mount"),
            TMP_MOUNT_PATH=f"{folder}/link",
        )

        assert shown == "4\n1\n0\n"

    @pytest.mark.needs("user-mounts")
    def test_a_command_has_the_target_as_its_root(self, folder: Path) -> None:
        root = folder / "root"
        (root / "usr").mkdir(parents=True)
        for name in ("bin", "lib", "lib64"):
            (root / name).symlink_to(f"usr/{name}")

        shown = self.inside(
            folder,
            'mount --rbind /usr "$HERE/root/usr"\n'
            "run_in_target 'echo $HOME ${TMPDIR:-none}; ls -d /etc || echo alone' 2>/dev/null",
            TMP_MOUNT_PATH=str(root),
            TMPDIR="/elsewhere",
        )

        assert shown == "/root none\nalone\n"

    def inside(
        self, folder: Path, script: str, *, enter: tuple[str, ...] = ENTER, **variables: str
    ) -> str:
        """Run a script in a mount namespace of its own."""
        entered = folder / "entered"
        entered.write_text(
            f'source "$_LIB/common-functions"; source "$_LIB/img-functions"\n{script}\n'
        )
        return said(
            bash(folder, f"exec {' '.join(enter)} bash -eu -o pipefail entered", **variables)
        )


class TestRamdisk:
    FILES = "common-functions ramdisk-functions"

    @pytest.fixture
    def root(self, folder: Path) -> Path:
        """An empty tree of a ramdisk, with a busybox that knows three names."""
        root = folder / "root"
        (root / "bin").mkdir(parents=True)
        (root / "lib").mkdir()
        busybox = folder / "bin" / "busybox"
        busybox.write_text(
            "#!/bin/bash\nprintf '%s\\n' ls ip wget lsmod reboot shutdown modprobe\n"
        )
        busybox.chmod(0o755)
        return root

    def run(self, folder: Path, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        given = {
            "TMP_MOUNT_PATH": str(folder / "root"),
            "BUSYBOX": str(folder / "bin" / "busybox"),
            "_RAMDISK_HOOKS": str(folder / "hooks"),
            "_RAMDISK_PROGRAMS": str(folder / "deps"),
        }
        return bash(folder, script, files=self.FILES, **{**given, **variables})

    def test_defaults_give_way_to_what_is_set(self, folder: Path) -> None:
        show = (
            'echo "$DIB_NO_TMPFS $DIB_MIN_TMPFS $RAMDISK_ELEMENT [$MODULE_ROOT] [$LIB_UDEV_ROOT]"'
        )

        default = said(bash(folder, show, files="ramdisk-defaults"))
        given = {"RAMDISK_ELEMENT": "dracut-ramdisk", "DIB_NO_TMPFS": "0", "DIB_MIN_TMPFS": "8"}
        roots = {"DIB_MODULE_ROOT": "/m", "DIB_LIB_UDEV_ROOT": "/u"}
        mine = said(bash(folder, show, files="ramdisk-defaults", **given, **roots))

        assert (default, mine) == ("1 1 ramdisk [] []\n", "0 8 dracut-ramdisk [/m] [/u]\n")

    def test_a_path_becomes_absolute(self, folder: Path) -> None:
        assert said(self.run(folder, "fullpath a/b; fullpath /c")) == f"{folder}/a/b\n/c\n"

    def test_the_newest_kernel_is_found(self, folder: Path) -> None:
        for name in ("vmlinuz-6.1.0-9", "vmlinuz-6.1.0-18", "vmlinuz.old", "initrd.img-7"):
            (folder / name).touch()

        assert said(self.run(folder, "find_kernel_version .")) == "6.1.0-18\n"

    def test_no_kernel_ends_the_script(self, folder: Path) -> None:
        done = self.run(folder, "find_kernel_version .; echo went on")

        assert (done.returncode, done.stdout) == (1, "")
        assert 'no kernel in "."' in done.stderr

    @pytest.mark.parametrize(("distribution", "links"), [("debian", False), ("fedora", True)])
    def test_the_base_is_made(
        self, folder: Path, root: Path, distribution: str, *, links: bool
    ) -> None:
        rules = folder / "udev" / "rules.d"
        rules.mkdir(parents=True)
        (rules / "80-drivers.rules").write_text("rule\n")

        said(
            self.run(
                folder,
                "create_ramdisk_base",
                LIB_UDEV=str(folder / "udev"),
                DISTRO_NAME=distribution,
            )
        )

        assert (root / "sbin").readlink().name == "bin"
        assert (root / "lib/udev/rules.d/80-drivers.rules").read_text() == "rule\n"
        assert not (root / "lib/udev/rules.d/50-firmware.rules").exists()
        assert 'udev_rules="/lib/udev/rules.d"' in (root / "etc/udev/udev.conf").read_text()
        assert "evbug" in (root / "etc/modprobe.d/blacklist-dib-ramdisk.conf").read_text()
        assert (root / "etc/fstab").exists()
        assert (root / "usr" / "lib").is_symlink() is links

    def test_libraries_come_with_a_program(self, folder: Path, root: Path) -> None:
        said(self.run(folder, "copy_required_libs /bin/bash; copy_required_libs /bin/bash"))

        linked = subprocess.run(["ldd", "/bin/bash"], capture_output=True, text=True, check=True)
        for line in linked.stdout.splitlines():
            if "/" in line:
                name = line.split()[0]
                assert (root / "lib" / name.rpartition("/")[2]).is_file()
                if name.startswith("/"):  # the loader, where the program looks for it
                    assert os.path.lexists(f"{root}{name}")

    def test_a_script_needs_no_library(self, folder: Path, root: Path) -> None:
        said(self.run(folder, 'copy_required_libs "$HERE/bin/sudo"'))

        assert list((root / "lib").iterdir()) == []

    def test_an_old_busybox_tells_its_names_too(self, folder: Path, root: Path) -> None:
        old = folder / "bin" / "old"
        old.write_text(
            "#!/bin/bash\n[[ $1 != --list ]] || exit 1\n"
            "printf '%s\\n' 'BusyBox' 'Currently defined functions:' '\t[, [[, ls,' '\twc'\n"
        )
        old.chmod(0o755)
        assert root.is_dir()

        assert said(self.run(folder, "busybox_list", BUSYBOX=str(old))).split() == [
            *("[", "[[", "ls", "wc")
        ]

    def populate(self, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        modules = folder / "modules"
        video = modules / "kernel" / "drivers" / "video"
        video.mkdir(parents=True)
        (folder / "root" / "lib" / "modules").mkdir()
        (video / "vgafb.ko").touch()
        (modules / "kernel" / "other.ko").touch()
        for name in ("udevadm", "ip"):
            (folder / "bin" / name).write_text("#!/bin/bash\n")
            (folder / "bin" / name).chmod(0o755)
        given = {
            "KERNEL_VERSION": "6.1",
            "MODULE_DIR": str(modules),
            "FIRMWARE_DIR": str(folder / "none"),
        }
        return self.run(folder, "populate_lib", **{**given, **variables})

    def test_programs_come_unless_busybox_does_their_work(self, folder: Path, root: Path) -> None:
        (folder / "deps").write_text("ip\nls\n")

        said(self.populate(folder))

        programs = {file.name for file in (root / "bin").iterdir()}
        assert programs - {"udevd", "systemd-udevd", "udevadm"} == {"busybox", "bash", "ip"}

    def test_a_program_that_is_missing_ends_the_script(self, folder: Path, root: Path) -> None:
        (folder / "deps").write_text("no-such-program\n")
        assert root.is_dir()

        done = self.populate(folder)

        assert done.returncode == 1
        assert 'populate_lib: "no-such-program" is needed' in done.stderr

    @pytest.mark.parametrize("signed", ["", "6.1.efi.signed"])
    def test_modules_come_without_framebuffers(self, folder: Path, root: Path, signed: str) -> None:
        given = {"DIB_SIGNED_KERNEL_VERSION": signed} if signed else {}

        said(self.populate(folder, **given, KERNEL_VERSION=signed or "6.1"))

        modules = root / "lib" / "modules" / "6.1"
        assert [file.name for file in modules.rglob("*.ko")] == ["other.ko"]

    def test_busybox_answers_to_what_is_no_program(self, folder: Path, root: Path) -> None:
        (root / "bin" / "ip").write_text("a program")

        said(self.run(folder, "populate_busybox"))

        assert (root / "bin" / "ls").readlink().name == "busybox"
        assert (root / "bin" / "ip").read_text() == "a program"

    def test_init_is_the_start_what_elements_add_and_the_end(
        self, folder: Path, root: Path
    ) -> None:
        (folder / "scripts" / "d").mkdir(parents=True)
        (folder / "scripts" / "d" / "init-func").write_text("functions\n")
        (folder / "scripts" / "init").write_text("start\n")
        (folder / "scripts" / "init-end").write_text("end\n")
        (folder / "hooks" / "init.d").mkdir(parents=True)
        (folder / "hooks" / "init.d" / "20-two").write_text("two")
        (folder / "hooks" / "init.d" / "10-one").write_text("one\n")

        said(self.run(folder, "INIT=scripts/init FUNCTIONS_D=scripts/d; populate_init"))

        text = (root / "init").read_text()
        assert [line for line in text.splitlines() if line and line[0] != "#"] == [
            *("start", "one", "two", "end")
        ]
        assert (root / "init").stat().st_mode & 0o777 == 0o755
        assert (root / "init-func").read_text() == "functions\n"

    def test_rules_of_udev_are_copied(self, folder: Path, root: Path) -> None:
        (root / "lib/udev/rules.d").mkdir(parents=True)
        (folder / "hooks" / "udev.d").mkdir(parents=True)
        (folder / "hooks" / "udev.d" / "60-mine.rules").write_text("mine")

        said(self.run(folder, "populate_udev"))

        assert (root / "lib/udev/rules.d/60-mine.rules").read_text() == "mine"

    def test_no_element_needs_rules_or_a_part_of_init(self, folder: Path, root: Path) -> None:
        (folder / "d").mkdir()
        for name in ("d/f", "i", "i-end"):
            (folder / name).write_text(f"{name}\n")

        said(self.run(folder, "populate_udev; INIT=i FUNCTIONS_D=d; populate_init"))

        assert (root / "init").read_text() == "i\ni-end\n"

    @pytest.mark.skipif(not shutil.which("cpio"), reason="needs cpio")
    def test_the_archive_is_one_that_the_kernel_takes(self, folder: Path, root: Path) -> None:
        (root / "init").write_text("start\n")
        script = """
        TMP_DIR=$HERE mk_build_dir
        TMP_MOUNT_PATH=$HERE/root
        finalise_image
        save_image "$HERE/ramdisk"
        mkdir unpacked && cd unpacked && gzip -dc ../ramdisk | cpio --quiet -id && cat init
        """

        assert said(self.run(folder, script)) == "start\n"
