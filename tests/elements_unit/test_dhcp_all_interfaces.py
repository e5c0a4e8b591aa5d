"""How dhcp-all-interfaces is set up, and what it does on a machine that is made up."""

from __future__ import annotations

import pytest

from .running import Target

SETUP = "install.d/50-dhcp-all-interfaces"
PROGRAM = "static/usr/local/sbin/dhcp-all-interfaces.sh"
UNIT = "usr/lib/systemd/system/dhcp-interface@.service"
STANZAS = "etc/network/interfaces.d/{}"

pytestmark = pytest.mark.needs("user-mounts")


@pytest.fixture
def target(target: Target) -> Target:
    """A root with ifupdown, and the element."""
    target.add("dhcp-all-interfaces")
    target.stub("ifup")
    return target


class TestSetup:
    def test_gives_the_timeout_to_all_that_wait(self, target: Target) -> None:
        target.write("etc/dhcp/dhclient.conf", "timeout 10;\nretry 60;\nsend host-name x;\n")

        target.succeed(SETUP, DIB_INIT_SYSTEM="systemd", DIB_DHCP_TIMEOUT="45")

        assert target.read("etc/default/dhcp-all-interfaces") == "TIMEOUT=45\n"
        assert target.read("etc/dhcp/dhclient.conf") == "send host-name x;\ntimeout 45;\n"
        drop_in = "etc/systemd/system/dhcp-interface@.service.d/timeout.conf"
        assert "TimeoutStartSec=135s" in target.read(drop_in)

    def test_leaves_the_work_to_network_manager_if_asked(self, target: Target) -> None:
        (target.folder / "etc" / "NetworkManager").mkdir()
        target.write(UNIT, "")

        target.succeed(
            SETUP,
            DIB_INIT_SYSTEM="systemd",
            DIB_DHCP_NETWORK_MANAGER_AUTO="true",
            DIB_DHCP_CLIENT="dhclient",
        )

        settings = target.read("etc/NetworkManager/conf.d/00-main.conf").splitlines()
        assert {"dhcp=dhclient", "ipv4.dhcp-timeout=30", "ipv6.dhcp-timeout=30"} <= set(settings)
        assert not target.own(UNIT).exists()

    @pytest.mark.parametrize(
        ("variables", "message"),
        [
            ({"DIB_INIT_SYSTEM": "sysv"}, 'systemd only, not for "sysv"'),
            ({"DIB_INIT_SYSTEM": "systemd", "DIB_DHCP_TIMEOUT": "0"}, "not a number of seconds"),
            ({"DIB_INIT_SYSTEM": "systemd", "DIB_DHCP_TIMEOUT": "1m"}, "not a number of seconds"),
            ({"DIB_INIT_SYSTEM": "systemd", "PATH": "/usr/bin"}, "neither ifupdown nor"),
        ],
    )
    def test_refuses_what_cannot_work(
        self, target: Target, variables: dict[str, str], message: str
    ) -> None:
        done = target.run(SETUP, **variables)

        assert done.returncode == 1
        assert message in done.stderr

    def test_takes_out_interfaces_that_came_with_the_image(self, target: Target) -> None:
        target.write("etc/network/interfaces.d/eth0", "auto eth0\n")
        target.write("etc/network/interfaces", "auto eth0\n")
        for name in ("ifcfg-lo", "ifcfg-eth0"):
            target.write(f"etc/sysconfig/network-scripts/{name}", "")

        target.succeed("install.d/60-remove-cloud-image-interfaces")

        assert list(target.own("etc/network/interfaces.d").iterdir()) == []
        assert "eth0" not in target.read("etc/network/interfaces")
        scripts = target.own("etc/sysconfig/network-scripts")
        assert [path.name for path in scripts.iterdir()] == ["ifcfg-lo"]


class TestProgram:
    @pytest.fixture(autouse=True)
    def machine(self, target: Target) -> None:
        """A machine with hardware, a VLAN on it, a bridge, and a port without a cable."""
        for name, kind, carrier in (
            ("lo", "0", "1"),
            ("ens3", "0", "1"),
            ("ens3.7", "2", "1"),
            ("br0", "3", "1"),
            ("ens4", "0", "0"),
        ):
            target.write(f"sys/class/net/{name}/addr_assign_type", f"{kind}\n")
            target.write(f"sys/class/net/{name}/carrier", f"{carrier}\n")
        target.write("etc/default/dhcp-all-interfaces", "TIMEOUT=1\n")
        target.stub("ip")
        target.stub("ifquery", "exit 1")  # it knows none of them
        target.stub("rdisc6", "exit 2")

    def test_configures_hardware_and_its_vlans(self, target: Target) -> None:
        done = target.run(PROGRAM)

        assert done.returncode == 0, done.stderr
        for name in ("ens3", "ens3.7"):
            assert target.read(STANZAS.format(name)) == (
                f"allow-hotplug {name}\niface {name} inet dhcp\n"
            )
        assert [call for call in target.calls() if call.startswith("ifup")] == [
            "ifup ens3",
            "ifup ens3.7",
        ]
        assert "br0: is not hardware" in done.stdout
        assert "ens4: has no link" in done.stdout

    @pytest.mark.parametrize(
        ("stateful", "other", "expected"),
        [
            ("Yes", "Yes", ["iface ens3 inet6 dhcp"]),
            ("No", "Yes", ["iface ens3 inet6 auto", "    dhcp 1"]),
            ("No", "No", ["iface ens3 inet6 auto", "    dhcp 0"]),
        ],
    )
    def test_does_in_ipv6_what_the_router_says(
        self, target: Target, stateful: str, other: str, expected: list[str]
    ) -> None:
        target.stub(
            "rdisc6",
            f'echo "Stateful address conf.    :          {stateful}"\n'
            f'echo "Stateful other conf.      :          {other}"',
        )

        done = target.run(PROGRAM, "ens3")

        assert done.returncode == 0, done.stderr
        assert target.read(STANZAS.format("ens3")).splitlines()[2:] == expected

    def test_brings_up_what_is_configured_and_leaves_it_as_it_is(self, target: Target) -> None:
        target.stub("ifquery")  # of an interface with DHCP, it has nothing to print

        done = target.run(PROGRAM, "ens3")

        assert done.returncode == 0, done.stderr
        assert not target.own(STANZAS.format("ens3")).exists()
        assert "ifup ens3" in target.calls()

    def test_fails_if_the_interface_does_not_come_up(self, target: Target) -> None:
        target.stub("ifup", "exit 1")

        assert target.run(PROGRAM, "ens3").returncode == 1
