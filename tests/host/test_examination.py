"""Tests of what counts as missing on a host and what mends it, on a host that is made up."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dibflow.host.examination import ROOM_BYTES, Finding, Host, State, examine, fixes
from dibflow.host.tools import Need, Tool

STORE = Path("/var/lib/store")
TAR = Tool("tar", Need.IMAGE, "tar", "1.28", "--version", "writes tar images")
MMDEBSTRAP = Tool("mmdebstrap", Need.IMAGE, "mmdebstrap", "", "--version", "makes the root")
DEBOOTSTRAP = Tool("debootstrap", Need.OPTION, "debootstrap", "", "--version", "makes the root")
SHFMT = Tool("shfmt", Need.TEST, "shfmt", "", "--version", "formats scripts")


@dataclass(frozen=True, slots=True)
class FakeHost:
    """A host that has all there is, but for what a test takes away."""

    debian: bool = True
    root: bool = True
    versions: Mapping[str, str] = field(default_factory=lambda: {"tar": "1.34"})
    namespaces: str = ""
    overlay: str = ""
    loop: str = ""
    fuse: str = ""
    free: int = ROOM_BYTES

    def is_debian(self) -> bool:
        return self.debian

    def is_root(self) -> bool:
        return self.root

    def has(self, tool: str) -> bool:
        return tool in self.versions

    def version(self, tool: str, argument: str) -> str:
        return self.versions[tool]

    def namespaces_refused(self) -> str:
        return self.namespaces

    def overlay_refused(self, folder: Path) -> str:
        return self.overlay

    def loop_refused(self) -> str:
        return self.loop

    def fuse_refused(self) -> str:
        return self.fuse

    def free_bytes(self, folder: Path) -> int:
        return self.free


def found(host: Host, *tools: Tool) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(host, tools=tools, store=STORE)}


def test_host_with_everything_lacks_nothing() -> None:
    findings = examine(FakeHost(), tools=(TAR,), store=STORE)

    assert {finding.state for finding in findings} == {State.FOUND}
    assert fixes(FakeHost(), findings) == ()


def test_found_tool_shows_its_version() -> None:
    tar = found(FakeHost(), TAR)["tar"]

    assert tar == Finding("tar", "writes tar images", State.FOUND, found="1.34", minimum="1.28")


def test_missing_tool_comes_with_the_command_that_installs_it() -> None:
    tar = found(FakeHost(versions={}), TAR)["tar"]

    assert tar.state is State.MISSING
    assert tar.fix == "apt-get install --no-install-recommends tar"


def test_fix_uses_sudo_for_a_plain_user() -> None:
    tar = found(FakeHost(versions={}, root=False), TAR)["tar"]

    assert tar.fix == "sudo apt-get install --no-install-recommends tar"


def test_fix_names_the_package_where_there_is_no_apt_get() -> None:
    tar = found(FakeHost(versions={}, debian=False), TAR)["tar"]

    assert tar.fix == "install what the Debian packages bring: tar"


def test_too_old_tool_is_missing_and_shows_both_versions() -> None:
    tar = found(FakeHost(versions={"tar": "1.9"}), TAR)["tar"]

    assert (tar.state, tar.found, tar.problem) == (State.MISSING, "1.9", "older than 1.28")


def test_tool_that_tells_no_version_counts_as_found() -> None:
    tar = found(FakeHost(versions={"tar": ""}), TAR)["tar"]

    assert (tar.state, tar.found) == (State.FOUND, "yes")


def test_missing_optional_tool_is_a_note_and_needs_no_fix() -> None:
    host = FakeHost(versions={})

    findings = examine(host, tools=(DEBOOTSTRAP,), store=STORE)

    assert findings[-1].state is State.NOTE
    assert fixes(host, findings) == ()


def test_tools_of_the_tests_are_left_out() -> None:
    assert "shfmt" not in found(FakeHost(versions={}), SHFMT)


def test_fixes_install_all_packages_with_one_command() -> None:
    host = FakeHost(versions={})

    findings = examine(host, tools=(TAR, MMDEBSTRAP), store=STORE)

    assert fixes(host, findings) == ("apt-get install --no-install-recommends mmdebstrap tar",)


def test_refused_namespaces_ask_a_plain_user_for_root_once() -> None:
    host = FakeHost(namespaces="operation not permitted", root=False)

    findings = examine(host, tools=(), store=STORE)

    assert fixes(host, findings) == ("run dibflow as root, with sudo",)


def test_refused_namespaces_ask_root_for_a_capable_container() -> None:
    host = FakeHost(namespaces="operation not permitted")

    namespaces = found(host)["namespaces"]

    assert namespaces.problem == "operation not permitted"
    assert "CAP_SYS_ADMIN" in namespaces.fix


def test_refused_overlay_names_the_module_and_the_store() -> None:
    overlay = found(FakeHost(overlay="no such device"))["overlayfs"]

    assert overlay.state is State.MISSING
    assert overlay.fix == "modprobe overlay, or a store on ext4: --store"


def test_refused_loop_devices_and_fuse_are_notes() -> None:
    findings = found(FakeHost(loop="permission denied", fuse="permission denied"))

    assert findings["loop devices"].state is State.NOTE
    assert findings["fuse"].state is State.NOTE


def test_little_room_is_a_note_with_what_there_is() -> None:
    room = found(replace(FakeHost(), free=1024**3))["room in the store"]

    assert (room.state, room.found, room.minimum) == (State.NOTE, "1.0 GiB", "4.0 GiB")
