"""What a hook may rely on, asked by hooks of the tiny operating system."""

from __future__ import annotations

from pathlib import Path

import pytest

from dibflow.engine.journal import Happening
from dibflow.engine.resolver import PLACEHOLDER
from dibflow.sandbox.spec import BUILD_FOLDER
from tests.system.harness import Workshop

pytestmark = pytest.mark.needs("root-namespaces", "overlay", "mknod")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A build in which hooks have noted what they see."""
    workshop = Workshop(tmp_path_factory.mktemp("asked"))
    workshop.hook(
        "ask/extra-data.d/50-outside",
        """
        cd "$TMP_MOUNT_PATH/etc"
        env >outside-env
        if die_says=$(true; die "went wrong" 2>&1); then status=0; else status=$?; fi
        echo "$die_says $status" >outside-die
        get_image_element_array >outside-elements
        echo "$0" >outside-zero
        cat "$(dirname "$0")/../data" >outside-sibling
        echo written >"$TMP_HOOKS_PATH/from-outside"
        grep -c dibflow /proc/self/mountinfo >outside-mounts
        """,
    )
    workshop.hook(
        "ask/install.d/50-inside",
        """
        cd /etc
        env >inside-env
        type -t die get_image_element_array >inside-functions || true
        echo "$0" >inside-zero
        cat /tmp/in_target.d/from-outside >inside-tree
        (echo x >/tmp/in_target.d/new) 2>inside-read-only || true
        (echo x >/sys/kernel/uevent_helper) 2>inside-sys || true
        ls /proc/1/comm /dev/null /dev/pts/ptmx >inside-kernel
        cat resolv.conf >inside-resolver
        ls /proc | grep -c '^[0-9]' >inside-processes
        """,
    )
    (workshop.elements / "ask" / "data").write_text("beside\n")
    ended = workshop.build("ask")
    assert ended.status == 0, ended.output
    return workshop


def variables(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_outside_hooks_get_the_engines_variables(asked: Workshop) -> None:
    found = variables(asked.text("etc/outside-env"))

    assert found["TMP_MOUNT_PATH"] == f"{found['TMP_BUILD_DIR']}/mnt"
    assert found["TMP_HOOKS_PATH"] == f"{found['TMP_BUILD_DIR']}/hooks"
    assert found["IMAGE_ELEMENT"] == "ask tiny-os"
    assert found["LC_ALL"] == "C"
    assert found["DIB_DEFAULT_INSTALLTYPE"] == "source"
    assert found["DISTRO_NAME"] == "tiny"
    assert "TARGET_ROOT" not in found
    assert Path(found["DIB_IMAGE_CACHE"]).is_absolute()


def test_inside_hooks_get_the_targets_own_surroundings(asked: Workshop) -> None:
    found = variables(asked.text("etc/inside-env"))

    assert found["PATH"] == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert found["HOME"] == "/root"
    assert found["USER"] == "root"
    assert "TMPDIR" not in found


def test_die_fails_though_the_command_before_it_succeeded(asked: Workshop) -> None:
    assert asked.text("etc/outside-die") == "went wrong 1\n"


def test_the_elements_are_told_by_an_exported_function(asked: Workshop) -> None:
    assert f"[ask]={asked.elements}/ask " in asked.text("etc/outside-elements")


def test_an_image_that_shares_its_variables_with_another_is_told_its_own_elements(
    workshop: Workshop,
) -> None:
    for name in ("one", "two"):
        workshop.hook(
            f"{name}/extra-data.d/50-{name}",
            f'get_image_element_array >"$TMP_MOUNT_PATH/etc/{name}-elements"',
        )
    workshop.build("one")

    workshop.build("two")

    told = workshop.text("etc/two-elements")
    assert "[two]=" in told
    assert "[one]=" not in told


def test_exported_functions_do_not_reach_the_inside(asked: Workshop) -> None:
    assert asked.text("etc/inside-functions") == ""


def test_a_hook_finds_what_lies_beside_it(asked: Workshop) -> None:
    assert asked.text("etc/outside-zero") == f"{BUILD_FOLDER}/hooks/extra-data.d/50-outside\n"
    assert asked.text("etc/outside-sibling") == "beside\n"
    assert asked.text("etc/inside-zero") == "/tmp/in_target.d/install.d/50-inside\n"


def test_the_hooks_tree_is_writable_outside_and_read_only_inside(asked: Workshop) -> None:
    assert asked.text("etc/inside-tree") == "written\n"
    assert "Read-only file system" in asked.text("etc/inside-read-only")


def test_the_kernels_filesystems_are_there(asked: Workshop) -> None:
    assert asked.text("etc/inside-kernel").split() == ["/dev/null", "/dev/pts/ptmx", "/proc/1/comm"]
    assert "Read-only file system" in asked.text("etc/inside-sys")


def test_a_hook_sees_no_process_of_the_host(asked: Workshop) -> None:
    assert int(asked.text("etc/inside-processes")) < 10


def test_the_hosts_resolver_is_shown_and_in_no_layer(asked: Workshop) -> None:
    host = Path("/etc/resolv.conf").read_text() if Path("/etc/resolv.conf").exists() else ""

    assert asked.text("etc/inside-resolver") == host
    kept = list(asked.store.glob("layers/*/diff/mnt/etc/resolv.conf"))
    assert {path.read_bytes() for path in kept if path.is_file()} == {PLACEHOLDER}
    assert "./etc/resolv.conf" not in asked.tree()


def test_no_mount_is_seen_outside_a_step(asked: Workshop) -> None:
    assert asked.text("etc/outside-mounts").strip() != "0"
    assert "dibflow" not in Path("/proc/self/mountinfo").read_text()


def test_a_resolver_that_a_hook_put_aside_stays(workshop: Workshop) -> None:
    workshop.hook(
        "dns/root.d/50-dns", 'echo "nameserver 192.0.2.1" >"$TARGET_ROOT/etc/resolv.conf"'
    )
    workshop.hook("dns/install.d/50-dns", "echo '# more' >>/etc/resolv.conf.ORIG")

    workshop.build("dns")

    assert workshop.text("etc/resolv.conf") == "nameserver 192.0.2.1\n# more\n"


def test_a_resolver_that_a_hook_makes_a_link_stays_one(workshop: Workshop) -> None:
    workshop.hook("dns/install.d/50-dns", "ln -sf ../run/resolve/stub /etc/resolv.conf")

    workshop.build("dns")

    assert workshop.tree()["./etc/resolv.conf"][4] == "../run/resolve/stub"


def test_a_mount_of_a_hook_is_there_for_later_ones(workshop: Workshop) -> None:
    cache = workshop.folder / "cache"
    cache.mkdir()
    (cache / "package").write_text("cached\n")
    workshop.variables["DIB_IMAGE_CACHE"] = str(cache)
    workshop.hook(
        "cache/root.d/50-bind",
        'mkdir -p "$TARGET_ROOT/var/cache/x"\n'
        'mount --bind "$DIB_IMAGE_CACHE" "$TARGET_ROOT/var/cache/x"',
    )
    workshop.hook(
        "cache/install.d/50-use",
        "cd /var/cache/x; cat package >/etc/used; echo new >added; rm package",
    )
    workshop.hook("cache/finalise.d/50-gone", "ls /var/cache/x >/etc/left")

    ended = workshop.build("cache")

    assert ended.status == 0, ended.output
    assert workshop.text("etc/used") == "cached\n"
    assert (cache / "added").read_text() == "new\n"
    # What one build removes from a shared cache, it removes for itself.
    assert (cache / "package").exists()
    assert workshop.text("etc/left") == ""
    assert "./var/cache/x/added" not in workshop.tree()


def test_what_fetch_d_leaves_in_a_cache_is_there_for_install_d(workshop: Workshop) -> None:
    cache = workshop.folder / "cache"
    cache.mkdir()
    workshop.variables["DIB_IMAGE_CACHE"] = str(cache)
    workshop.hook(
        "cache/root.d/50-bind",
        'mkdir -p "$TARGET_ROOT/x"\nmount --bind "$DIB_IMAGE_CACHE" "$TARGET_ROOT/x"',
    )
    workshop.hook("cache/fetch.d/40-broken", "echo lost >/x/half; exit 3")
    workshop.hook("cache/fetch.d/50-works", "echo fetched >/x/package; echo no >/etc/no-trace")
    workshop.hook("cache/install.d/50-use", "cat /x/package >/etc/used")

    ended = workshop.build("cache")

    assert ended.status == 0, ended.output
    assert workshop.text("etc/used") == "fetched\n"
    assert "./etc/no-trace" not in workshop.tree()
    log = workshop.run("dibflow", "log", "fetch")
    assert "40-broken ended with status 3; the build goes on without it" in log.output


def test_a_mount_whose_source_was_cleared_is_made_again(workshop: Workshop) -> None:
    cache = workshop.folder / "cache"
    workshop.variables["DIB_IMAGE_CACHE"] = str(cache)
    workshop.hook(
        "cache/root.d/50-bind",
        'mkdir -p "$DIB_IMAGE_CACHE/x" "$TARGET_ROOT/x"\n'
        'mount --bind "$DIB_IMAGE_CACHE/x" "$TARGET_ROOT/x"',
    )
    workshop.hook("cache/install.d/50-fail", "exit 1")
    workshop.build("cache")
    (cache / "x").rmdir()
    workshop.hook("cache/install.d/50-fail", "echo there >/x/file")

    ended = workshop.build("cache")

    assert ended.status == 0, ended.output
    assert (cache / "x" / "file").read_text() == "there\n"


def test_environment_d_is_evaluated_once_for_a_phase(workshop: Workshop) -> None:
    workshop.hook(
        "once/environment.d/50-once", "export ONCE=$(mktemp); echo kept >$ONCE", mode=0o644
    )
    for name in ("50-one", "51-two"):
        workshop.hook(
            f"once/extra-data.d/{name}",
            f'echo "$ONCE $(cat "$ONCE")" >"$TMP_MOUNT_PATH/etc/{name}"',
        )

    workshop.build("once")

    assert workshop.text("etc/50-one") == workshop.text("etc/51-two")
    assert workshop.text("etc/50-one").endswith(" kept\n")


def test_environment_files_are_sourced_in_byte_order(workshop: Workshop) -> None:
    for name in ("9-nine", "10-ten", "100-hundred"):
        workshop.hook(f"order/environment.d/{name}", f'export ORDER="${{ORDER:-}} {name}"')
    workshop.hook("order/install.d/50-note", "echo $ORDER >/etc/order")

    workshop.build("order")

    assert workshop.text("etc/order") == "10-ten 100-hundred 9-nine\n"


def test_what_a_hook_leaves_running_is_ended(workshop: Workshop) -> None:
    workshop.hook("daemon/install.d/50-daemon", "setsid sleep 1000 >/dev/null 2>&1 & echo $!")

    ended = workshop.build("daemon")

    assert ended.status == 0
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert b"sleep\x001000\x00" not in commands


@pytest.mark.needs("loop", "losetup")
def test_a_loop_device_that_a_hook_leaves_is_detached(workshop: Workshop) -> None:
    before = {path.parent.name for path in Path("/sys/block").glob("loop*/loop")}
    workshop.hook(
        "loop/root.d/50-loop",
        'truncate -s 1M "$TMP_BUILD_DIR/disk"; losetup --find --show "$TMP_BUILD_DIR/disk"',
    )

    ended = workshop.build("loop")

    assert ended.status == 0, ended.output
    assert {path.parent.name for path in Path("/sys/block").glob("loop*/loop")} == before


def test_the_phases_of_cleaning_leave_no_trace(workshop: Workshop) -> None:
    workshop.hook(
        "dirt/install.d/50-dirt",
        "echo x >/tmp/file; mkdir -p /var/log/app; echo x >/var/log/app/log; echo x >/root/a.log",
    )

    workshop.build("dirt")

    names = workshop.tree()
    assert "./tmp/file" not in names
    assert workshop.text("var/log/app/log") == ""
    assert "./root/a.log" not in names


def test_extra_packages_are_installed_by_the_images_own_program(workshop: Workshop) -> None:
    workshop.hook(
        "pkg/pre-install.d/50-program",
        "mkdir -p /usr/local/bin; cd /usr/local/bin\n"
        "printf '#!/bin/bash\\necho \"$@\" >/etc/installed\\n' >install-packages\n"
        "chmod 755 install-packages",
    )

    workshop.build("pkg", options=("--packages", "vim,curl"))

    assert workshop.text("etc/installed") == "vim curl\n"
    titles = workshop.titles(Happening.BUILT)
    assert titles.index("extra-packages") > titles.index("install.d/100-tiny-hundredth")
