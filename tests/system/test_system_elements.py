"""The elements of a running system, all in one Debian image: what is in it, and what it does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system import machine
from tests.system.builttree import BuiltTree
from tests.system.machine import Machine

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.needs(
        *("root-namespaces", "overlay", "debian-mirror", "mmdebstrap", "mkfs.ext4", "ssh-keygen")
    ),
]

ELEMENTS = (
    *("autoupdates", "baremetal", "cache-url", "cleanup-kernel-initrd", "cloud-init-growpart"),
    *("cloud-init-nocloud", "debian-minimal", "devuser", "dhcp-all-interfaces", "dynamic-login"),
    *("fail2ban", "journal-to-console", "local-config", "modprobe", "openssh-server", "probe"),
)
"""All that go together; others come with them."""

UNITS = (
    *("cloud-init-local.service", "cloud-init.service", "cloud-config.service"),
    *("cloud-final.service", "dynamic-login.service", "fail2ban.service", "networking.service"),
    *("ssh-keygen.service", "ssh.service", "unattended-upgrades.service"),
)

_PATIENCE_SECONDS = 1800


@dataclass(frozen=True, slots=True)
class Built:
    """The image, what lies beside it, and its root."""

    folder: Path
    tree: BuiltTree
    key: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, debian_store: Path) -> Built:
    folder = tmp_path_factory.mktemp("system")
    key = machine.make_key(folder)
    (folder / "home" / ".ssh").mkdir(parents=True)
    (folder / "home" / ".ssh" / "authorized_keys").write_text("ssh-ed25519 AAAA local-config\n")
    write_probe(folder / "elements" / "probe")
    environment = {
        **os.environ,
        "DIBFLOW_STORE": str(debian_store),
        "ELEMENTS_PATH": str(folder / "elements"),
        "HOME": str(folder / "home"),
        "DIB_RELEASE": "bookworm",
        "DIB_CLOUD_INIT_GROWPART_DEVICES": "/",
        "DIB_DEV_USER_AUTHORIZED_KEYS": f"{key}.pub",
        "DIB_DEV_USER_PWDLESS_SUDO": "1",
        "DIB_DHCP_TIMEOUT": "45",
        "DIB_MODPROBE_BLACKLIST": "floppy",
    }
    dibflow = Path(sys.executable).with_name("dibflow")
    options = ["-o", "demo", "-t", "tar,raw", "--image-size", "3", "--strict-inputs"]
    done = subprocess.run(
        [dibflow, "build", *ELEMENTS, *options],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return Built(folder, BuiltTree.unpack(folder / "demo.tar", folder / "tree"), key)


def write_probe(element: Path) -> None:
    """Write an element that uses what others offer to elements."""
    for path, text in {
        "element-deps": "install-static\nmodprobe\nselect-boot-kernel-initrd\nsysctl\n",
        "static/etc/probe": "static\n",
        "modprobe.d/probe.conf": "options dummy numdummies=1\n",
        "install.d/95-probe": "#!/bin/bash\nset -eu\nsysctl-set-value net.ipv4.ip_forward 1\n"
        "select-boot-kernel-initrd >/etc/boots\n",
    }.items():
        (element / path).parent.mkdir(parents=True, exist_ok=True)
        (element / path).write_text(text)
    (element / "install.d" / "95-probe").chmod(0o755)


def test_services_start_by_themselves(built: Built) -> None:
    assert set(UNITS) <= built.tree.enabled_units()


def test_systemd_has_nothing_against_our_units(built: Built) -> None:
    ours = ("ssh-keygen.service", "dynamic-login.service", "dhcp-interface@ens3.service")

    assert built.tree.complaints(*ours) == []


def test_no_identity_is_in_the_image(built: Built) -> None:
    assert list(built.tree.path("etc/ssh").glob("ssh_host_*")) == []
    assert built.tree.read("etc/machine-id") == ""


def test_the_ssh_server_accepts_its_configuration(built: Built) -> None:
    built.tree.said("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/host-key")

    settings = built.tree.said("/usr/sbin/sshd", "-T", "-h", "/root/host-key").splitlines()

    (exchanges,) = (line for line in settings if line.startswith("kexalgorithms "))
    assert exchanges.startswith("kexalgorithms sntrup761x25519-sha512")
    (ciphers,) = (line for line in settings if line.startswith("ciphers "))
    assert "cbc" not in ciphers


def test_fail2ban_and_sudo_accept_their_configuration(built: Built) -> None:
    built.tree.said("fail2ban-client", "-t")
    built.tree.said("visudo", "--check")


def test_the_users_have_their_keys(built: Built) -> None:
    public = built.key.with_suffix(".pub").read_text()

    assert built.tree.read("home/devuser/.ssh/authorized_keys") == public
    assert "local-config" in built.tree.read("root/.ssh/authorized_keys")


def test_elements_can_use_static_modprobe_and_sysctl(built: Built) -> None:
    assert built.tree.read("etc/probe") == "static\n"
    assert built.tree.read("etc/modprobe.d/probe.conf") == "options dummy numdummies=1\n"
    assert "blacklist floppy\n" in built.tree.read("etc/modprobe.d/blacklist.conf")
    assert "net.ipv4.ip_forward = 1\n" in built.tree.read("etc/sysctl.d/net.ipv4.ip_forward.conf")


def test_the_kernel_beside_the_image_is_the_one_it_boots(built: Built) -> None:
    kernel, initramfs = built.tree.read("etc/boots").strip().split(":")
    boot = built.tree.path("boot")

    assert (built.folder / "demo.vmlinuz").read_bytes() == (boot / kernel).read_bytes()
    assert (built.folder / "demo.initrd").read_bytes() == (boot / initramfs).read_bytes()
    assert [path.name for path in boot.glob("vmlinu*")] == [kernel]
    assert not built.tree.path("usr/lib/diskimage-builder").exists()


def test_packages_that_elements_need_are_there(built: Built) -> None:
    assert {
        *("cloud-init", "cloud-guest-utils", "curl", "fail2ban", "ifupdown", "isc-dhcp-client"),
        *("ndisc6", "openssh-server", "rsync", "sudo", "unattended-upgrades"),
    } <= built.tree.packages()


def test_updates_are_installed_daily(built: Built) -> None:
    assert 'Unattended-Upgrade "1"' in built.tree.read("etc/apt/apt.conf.d/20auto-upgrades")


@pytest.fixture(scope="module")
def running(built: Built) -> Iterator[Machine]:
    public = built.key.with_suffix(".pub").read_text()
    seed = machine.make_seed(
        built.folder,
        {
            "meta-data": "instance-id: one\nlocal-hostname: seeded\n",
            "user-data": f"#cloud-config\nssh_authorized_keys:\n  - {public}",
        },
    )
    asked = f'sshkey="{public.strip()}"'
    with machine.started(
        built.folder / "demo", key=built.key, seed=seed, arguments=asked
    ) as started:
        started.wait_for_login("devuser")
        # Stands for the whole boot: it ends when there is nothing left to start.
        started.ssh("devuser", "systemctl is-system-running --wait")
        yield started


@pytest.mark.needs(*machine.NEEDS)
class TestBoot:
    def test_fails_in_no_unit(self, running: Machine) -> None:
        assert running.said("devuser", "systemctl --failed --no-legend --plain") == ""
        assert running.said("devuser", "systemctl is-system-running") == "running\n"

    def test_gives_name_and_key_of_the_seed(self, running: Machine) -> None:
        assert running.said("debian", "hostname; whoami") == "seeded\ndebian\n"
        assert "error" not in running.said("devuser", "cloud-init status --long")

    def test_lets_root_in_with_the_key_of_the_kernel_command_line(self, running: Machine) -> None:
        # cloud-init puts a command before root's keys that sends people to another user.
        keys = running.said("devuser", "sudo cat /root/.ssh/authorized_keys")

        assert running.key.with_suffix(".pub").read_text().split()[1] in keys
        assert "local-config" in keys

    def test_knows_its_own_name(self, running: Machine) -> None:
        done = running.ssh("devuser", "sudo --non-interactive whoami")

        assert (done.stdout, done.stderr) == ("root\n", "")

    def test_makes_host_keys(self, running: Machine) -> None:
        names = running.said("devuser", "cd /etc/ssh; ls ssh_host_*.pub").split()

        assert names == [f"ssh_host_{kind}_key.pub" for kind in ("ecdsa", "ed25519", "rsa")]

    def test_configures_its_interface_once(self, running: Machine) -> None:
        stanzas = running.said("devuser", "cat /etc/network/interfaces.d/*")

        assert stanzas.count("inet dhcp") == 1

    def test_sets_kernel_parameters(self, running: Machine) -> None:
        assert running.said("devuser", "cat /proc/sys/net/ipv4/ip_forward") == "1\n"

    def test_is_watched_by_fail2ban(self, running: Machine) -> None:
        watched = running.said("devuser", "sudo fail2ban-client get sshd journalmatch")

        assert "sshd" in watched

    def test_has_the_journal_on_its_console(self, running: Machine) -> None:
        running.said("devuser", "logger shown-on-the-console; sleep 2")

        assert "shown-on-the-console" in running.console.read_text(errors="replace")
