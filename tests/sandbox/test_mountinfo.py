from __future__ import annotations

from dibflow.sandbox.mountinfo import HookMount, below, hook_mounts, parse

BUILD = "/run/dibflow/build"
HOST = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard"
ROOT = f"90 27 0:50 / {BUILD} rw,relatime - overlay overlay rw,lowerdir=a"


def found(*lines: str, own: tuple[int, ...] = (90,)) -> tuple[HookMount, ...]:
    entries = parse("\n".join((HOST, ROOT, *lines)))
    return hook_mounts(entries, build_folder=BUILD, own=own, remade={})


def test_octal_escapes_are_resolved() -> None:
    (entry,) = parse(r"27 1 254:0 /a\040b /mnt/x\134y rw - ext4 /dev/vda rw")

    assert (entry.root, entry.mount_point) == ("/a b", "/mnt/x\\y")


def test_optional_fields_are_passed_over() -> None:
    (entry,) = parse("27 1 254:0 / /mnt rw shared:1 master:2 - ext4 /dev/vda rw")

    assert entry.fstype == "ext4"


def test_below_leaves_the_folder_itself_out() -> None:
    entries = parse(f"{HOST}\n{ROOT}")

    assert below(entries, BUILD) == ()


def test_a_bind_mount_is_told_by_the_path_it_shows() -> None:
    line = f"91 90 254:0 /var/cache/apt {BUILD}/mnt/var/cache/apt rw - ext4 /dev/vda rw"

    assert found(line) == (HookMount("/var/cache/apt", "mnt/var/cache/apt"),)


def test_a_read_only_bind_mount_is_one() -> None:
    line = f"91 90 254:0 /srv {BUILD}/mnt/srv ro,relatime - ext4 /dev/vda rw"

    assert found(line) == (HookMount("/srv", "mnt/srv", read_only=True),)


def test_a_new_filesystem_is_told_by_its_type() -> None:
    line = f"91 90 0:60 / {BUILD}/mnt/run rw - tmpfs scratch rw,size=1k"

    assert found(line) == (HookMount("scratch", "mnt/run", "tmpfs", options="rw,size=1k"),)


def test_a_bind_of_a_hooks_own_filesystem_leads_to_it() -> None:
    first = f"91 90 0:60 / {BUILD}/mnt/run rw - tmpfs scratch rw"
    second = f"92 90 0:60 /lock {BUILD}/mnt/lock rw - tmpfs scratch rw"

    assert found(first, second)[1] == HookMount(f"{BUILD}/mnt/run/lock", "mnt/lock")


def test_the_engines_own_mounts_are_left_out() -> None:
    line = f"91 90 0:21 / {BUILD}/mnt/proc rw - proc proc rw"

    assert found(line, own=(90, 91)) == ()


def test_a_remade_mount_keeps_its_description() -> None:
    line = f"91 90 0:61 / {BUILD}/mnt/cache rw - overlay overlay rw"
    record = HookMount("/var/cache/x", "mnt/cache")

    entries = parse("\n".join((HOST, ROOT, line)))
    again = hook_mounts(entries, build_folder=BUILD, own=(90,), remade={91: record})

    assert again == (record,)
