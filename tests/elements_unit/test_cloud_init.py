"""What the elements around cloud-init write."""

from __future__ import annotations

import pytest
import yaml

from .running import Target

SETTINGS = "etc/cloud/cloud.cfg.d"

pytestmark = pytest.mark.needs("user-mounts")


@pytest.mark.parametrize("names", ["Ec2, ConfigDrive", "Ec2 ConfigDrive", "None,Ec2,ConfigDrive"])
def test_the_data_sources_are_a_list_that_ends_with_none(target: Target, names: str) -> None:
    target.add("cloud-init-datasources")

    target.succeed("install.d/05-set-cloud-init-sources", DIB_CLOUD_INIT_DATASOURCES=names)

    assert target.read(f"{SETTINGS}/91-dib-cloud-init-datasources.cfg") == (
        "datasource_list: [ Ec2, ConfigDrive, None ]\n"
    )
    assert yaml.safe_load(target.read(f"{SETTINGS}/92-ec2-datasource.cfg")) == {
        "datasource": {"Ec2": {"strict_id": False}}
    }
    network = "93-dib-cloud-init-disable-datasource-network-activation.cfg"
    assert yaml.safe_load(target.read(f"{SETTINGS}/{network}")) == {
        "disable_network_activation": True
    }


@pytest.mark.parametrize("name", ["NoCloud", "OpenStack", "NotEc2", "None"])
def test_other_data_sources_get_no_settings_of_their_own(target: Target, name: str) -> None:
    target.add("cloud-init-datasources")

    target.succeed("install.d/05-set-cloud-init-sources", DIB_CLOUD_INIT_DATASOURCES=name)

    assert [path.name for path in target.own(SETTINGS).iterdir()] == [
        "91-dib-cloud-init-datasources.cfg"
    ]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "DIB_CLOUD_INIT_DATASOURCES is empty"),
        ({"DIB_CLOUD_INIT_DATASOURCES": " , "}, "DIB_CLOUD_INIT_DATASOURCES is empty"),
        ({"DIB_CLOUD_INIT_DATASOURCES": "[Ec2]"}, '"[Ec2]" in DIB_CLOUD_INIT_DATASOURCES is no'),
    ],
)
def test_no_data_source_is_an_error(
    target: Target, variables: dict[str, str], message: str
) -> None:
    target.add("cloud-init-datasources")

    done = target.run("install.d/05-set-cloud-init-sources", **variables)

    assert done.returncode == 1
    assert message in done.stderr
    assert not target.own(SETTINGS).exists()


def test_nocloud_gives_an_empty_seed_and_keeps_one_that_is_there(target: Target) -> None:
    target.add("cloud-init-nocloud")
    target.write("var/lib/cloud/seed/nocloud/user-data", "#cloud-config\n")

    target.succeed("install.d/05-inject-local-source-data")

    assert target.read("var/lib/cloud/seed/nocloud/meta-data") == ""
    assert target.read("var/lib/cloud/seed/nocloud/user-data") == "#cloud-config\n"


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        ("/", ["/"]),
        ("/dev/vda1, /dev/vda3", ["/dev/vda1", "/dev/vda3"]),
        ("/dev/vda1\n/dev/vda3", ["/dev/vda1", "/dev/vda3"]),
        ('["/", "/var"]', ["/", "/var"]),
        ("[/]", ["/"]),
        ("\n[/dev/vda1,\n/dev/vda3\n]\n", ["/dev/vda1", "/dev/vda3"]),
        ("\n    - /dev/sda1\n    - /dev/vda3", ["/dev/sda1", "/dev/vda3"]),
        ("- /dev/sda1\n- /dev/vda3\n", ["/dev/sda1", "/dev/vda3"]),
        ("  - /dev/sda1\n- '/my disk' # mine\n\n# and\n- \"/\"", ["/dev/sda1", "/my disk", "/"]),
        ("\n- /dev/sda1", ["/dev/sda1"]),
        ("- /dev/sda1 ", ["/dev/sda1"]),
        ("'/dev/sda1', \"/\"", ["/dev/sda1", "/"]),
    ],
)
def test_growpart_grows_the_named_devices(
    target: Target, devices: str, expected: list[str]
) -> None:
    target.add("cloud-init-growpart")

    target.succeed("post-install.d/55-growpart", DIB_CLOUD_INIT_GROWPART_DEVICES=devices)

    assert yaml.safe_load(target.read(f"{SETTINGS}/55-growpart.cfg")) == {
        "growpart": {"mode": "auto", "devices": expected, "ignore_growroot_disabled": False}
    }


def test_growpart_without_devices_is_an_error(target: Target) -> None:
    target.add("cloud-init-growpart")

    done = target.run("post-install.d/55-growpart")

    assert done.returncode == 1
    assert "DIB_CLOUD_INIT_GROWPART_DEVICES is empty" in done.stderr


@pytest.mark.parametrize(
    ("has_main", "stages"),
    [
        (True, "cloud-init-main.service cloud-init-network.service"),
        (False, "cloud-init.service"),
    ],
)
def test_the_stages_that_the_image_has_are_enabled(
    target: Target, has_main: bool, stages: str
) -> None:
    target.add("cloud-init")
    target.stub("systemctl")
    if has_main:
        target.write("usr/lib/systemd/system/cloud-init-main.service", "")

    target.succeed("post-install.d/20-enable-cloud-init", DIB_INIT_SYSTEM="systemd")

    assert target.calls()[-1] == (
        "systemctl enable cloud-init-local.service cloud-config.service cloud-final.service "
        f"{stages}"
    )


def test_openrc_runs_the_first_stage_at_boot(target: Target) -> None:
    target.add("cloud-init")
    target.stub("rc-update")

    done = target.run("post-install.d/20-enable-cloud-init", DIB_INIT_SYSTEM="openrc")

    assert done.returncode == 0
    assert target.calls() == [
        "rc-update add cloud-init-local boot",
        "rc-update add cloud-init default",
        "rc-update add cloud-config default",
        "rc-update add cloud-final default",
    ]


@pytest.mark.parametrize(("allowed", "expected"), [("", False), ("1", True), ("yes", True)])
def test_passwords_are_allowed_only_if_asked_for(
    target: Target, allowed: str, expected: bool
) -> None:
    target.add("cloud-init")
    file = f"{SETTINGS}/90-dib-ssh-pwauth.cfg"

    target.succeed(
        "post-install.d/21-cloud-init-allow-password-auth",
        DIB_CLOUD_INIT_ALLOW_SSH_PWAUTH=allowed,
    )

    assert target.own(file).exists() == expected
    assert not expected or yaml.safe_load(target.read(file)) == {"ssh_pwauth": True}


def test_cloud_init_makes_host_keys_of_three_types(target: Target) -> None:
    target.add("cloud-init")

    target.succeed("post-install.d/22-cloud-init-ssh_genkeytypes")

    assert yaml.safe_load(target.read(f"{SETTINGS}/90-dib-ssh-genkeytypes.cfg")) == {
        "ssh_genkeytypes": ["rsa", "ecdsa", "ed25519"]
    }


def test_interfaces_by_name_make_way_for_cloud_init(target: Target) -> None:
    target.add("cloud-init")
    target.stub("ifup")
    target.write("etc/network/interfaces.d/eth0", "auto eth0\n")
    target.write("etc/network/interfaces.d/storage", "auto ens9\n")

    target.succeed("install.d/60-cloud-init-network", DIB_NETWORK_INTERFACE_NAMES="eth0 eth1")

    assert [path.name for path in target.own("etc/network/interfaces.d").iterdir()] == ["storage"]
    assert target.read("etc/network/interfaces") == "source /etc/network/interfaces.d/*\n"


def test_an_image_without_ifupdown_keeps_its_network(target: Target) -> None:
    target.add("cloud-init")
    target.write("etc/network/interfaces.d/eth0", "auto eth0\n")

    target.succeed(
        "install.d/60-cloud-init-network", DIB_NETWORK_INTERFACE_NAMES="eth0", PATH="/usr/bin"
    )

    assert yaml.safe_load(target.read(f"{SETTINGS}/05-dib-etc-hosts.cfg")) == {
        "manage_etc_hosts": "localhost"
    }
    assert target.read("etc/network/interfaces.d/eth0") == "auto eth0\n"
    assert not target.own("etc/network/interfaces").exists()
