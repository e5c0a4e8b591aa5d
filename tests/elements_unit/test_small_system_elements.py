"""What the hooks of install-static, sysctl, autoupdates and other small elements do."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from .running import ELEMENTS, Target

if TYPE_CHECKING:
    from pathlib import Path

    from .running import Run


@pytest.mark.needs("user-mounts", "rsync")
class TestInstallStatic:
    HOOK = "install.d/10-install-static-files"

    def test_copies_files_links_and_programs(self, target: Target) -> None:
        target.add("install-static")
        target.write("tmp/in_target.d/static/etc/x/file", "new\n")
        target.write("tmp/in_target.d/static/etc/x/program", "#!/bin/sh\n")
        target.own("tmp/in_target.d/static/etc/x/program").chmod(0o755)
        target.own("tmp/in_target.d/static/etc/x/link").symlink_to("file")
        target.write("tmp/in_target.d/static/etc/x/.git/config", "")
        target.write("tmp/in_target.d/static/etc/x/file~", "")

        target.succeed(self.HOOK)

        folder = target.own("etc/x")
        assert {path.name for path in folder.iterdir()} == {"file", "program", "link"}
        assert (folder / "link").readlink().name == "file"
        assert (folder / "program").stat().st_mode & 0o777 == 0o755

    def test_goes_through_a_link_to_a_folder(self, target: Target) -> None:
        target.add("install-static")
        target.write("var/real/old", "")
        target.own("linked").symlink_to("var/real")
        target.write("tmp/in_target.d/static/linked/new", "")

        target.succeed(self.HOOK)

        assert target.own("linked").is_symlink()
        assert {path.name for path in target.own("var/real").iterdir()} == {"old", "new"}

    def test_is_content_without_static(self, target: Target) -> None:
        target.add("install-static")

        target.succeed(self.HOOK)


@pytest.mark.needs("user-mounts")
class TestSysctl:
    FILE = "etc/sysctl.d/net.ipv4.ip_forward.conf"
    KEY = "net.ipv4.ip_forward"

    def test_writes_a_file_for_each_parameter(self, target: Target) -> None:
        target.add("sysctl")

        target.succeed("bin/sysctl-set-value", self.KEY, "1", "It routes.")

        assert target.read(self.FILE) == "# It routes.\nnet.ipv4.ip_forward = 1\n"

    @pytest.mark.parametrize("program", ["bin/sysctl-set-value", "bin/sysctl-write-value"])
    def test_refuses_another_value(self, target: Target, program: str) -> None:
        target.add("sysctl")
        target.write(self.FILE, "net.ipv4.ip_forward = 10\n")

        done = target.run(program, self.KEY, "1")

        assert done.returncode == 1
        assert 'is to be "1", but /etc/sysctl.d/' in done.stderr
        assert target.read(self.FILE) == "net.ipv4.ip_forward = 10\n"

    def test_sees_the_same_value_whatever_the_blanks(self, target: Target) -> None:
        target.add("sysctl")
        target.write(self.FILE, "net.ipv4.ip_forward=4096   87380\n")

        done = target.run("bin/sysctl-write-value", self.KEY, " 4096   87380 ")

        assert done.returncode == 0, done.stderr

    def test_refuses_an_unknown_parameter_unless_told_to_write(self, target: Target) -> None:
        target.add("sysctl")

        refused = target.run("bin/sysctl-set-value", "no.such.parameter", "1")
        written = target.run("bin/sysctl-write-value", "no.such.parameter", "1")

        assert (refused.returncode, written.returncode) == (1, 0)
        assert 'no parameter "no.such.parameter"' in refused.stderr
        assert target.own("etc/sysctl.d/no.such.parameter.conf").exists()

    @pytest.mark.parametrize(
        "arguments", [(), ("name",), ("name", ""), ("../name", "1"), ("a", "b", "c", "d")]
    )
    def test_shows_the_usage(self, target: Target, arguments: tuple[str, ...]) -> None:
        target.add("sysctl")

        done = target.run("bin/sysctl-write-value", *arguments)

        assert done.returncode == 1
        assert done.stderr.startswith("Usage: sysctl-write-value NAME VALUE")


@pytest.mark.needs("user-mounts")
def test_the_journal_goes_to_the_console(target: Target) -> None:
    target.add("journal-to-console")

    target.succeed("post-install.d/30-journal-to-console")

    assert target.read("etc/systemd/journald.conf.d/log-to-console.conf") == (
        "[Journal]\nForwardToConsole=yes\n"
    )


class TestAutoupdates:
    HOOK = "autoupdates/root.d/61-create-update-config"
    ENABLE = "post-install.d/82-enable-autoupdate"

    @pytest.mark.parametrize(
        ("variable", "file"),
        [
            ("DIB_DEB_UPDATES_CONF", "etc/apt/apt.conf.d/50unattended-upgrades"),
            ("DIB_YUM_UPDATES_CONF", "etc/dnf/automatic.conf"),
        ],
    )
    def test_put_the_user_s_file_in_place(
        self, run: Run, tmp_path: Path, variable: str, file: str
    ) -> None:
        (tmp_path / "mine").write_text("mine")

        done = run(
            self.HOOK, TARGET_ROOT=str(tmp_path / "root"), **{variable: str(tmp_path / "mine")}
        )

        assert done.returncode == 0, done.stderr
        assert (tmp_path / "root" / file).read_text() == "mine"

    def test_are_content_without_a_file(self, run: Run, tmp_path: Path) -> None:
        done = run(self.HOOK, TARGET_ROOT=str(tmp_path / "root"))

        assert (done.returncode, done.stderr) == (0, "")
        assert not (tmp_path / "root").exists()

    def test_of_two_distributions_are_an_error(self, run: Run, tmp_path: Path) -> None:
        done = run(
            self.HOOK,
            TARGET_ROOT=str(tmp_path),
            DIB_DEB_UPDATES_CONF="a",
            DIB_YUM_UPDATES_CONF="b",
        )

        assert done.returncode == 1
        assert "not both" in done.stderr

    @pytest.mark.needs("user-mounts")
    @pytest.mark.parametrize(
        ("distribution", "unit"),
        [("debian", "unattended-upgrades.service"), ("rocky", "dnf-automatic.timer")],
    )
    def test_start_at_boot(self, target: Target, distribution: str, unit: str) -> None:
        target.add("autoupdates")
        target.stub("systemctl")

        target.succeed(self.ENABLE, DISTRO_NAME=distribution, DIB_INIT_SYSTEM="systemd")

        assert set(target.calls()) == {f"systemctl enable {unit}"}

    @pytest.mark.needs("user-mounts")
    def test_are_refused_where_none_are_known(self, target: Target) -> None:
        target.add("autoupdates")

        done = target.run(self.ENABLE, DISTRO_NAME="gentoo", DIB_INIT_SYSTEM="openrc")

        assert done.returncode == 1
        assert 'known for "gentoo"' in done.stderr


class TestFail2ban:
    ENABLE = "post-install.d/80-enable-fail2ban-service"

    def test_gets_the_user_s_file(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "mine").write_text("mine")
        (tmp_path / "root" / "etc" / "fail2ban").mkdir(parents=True)

        done = run(
            "fail2ban/root.d/60-copy-fail2ban-config",
            TARGET_ROOT=str(tmp_path / "root"),
            DIB_FAIL2BAN_CONF=str(tmp_path / "mine"),
        )

        assert done.returncode == 0, done.stderr
        assert (tmp_path / "root" / "etc" / "fail2ban" / "jail.local").read_text() == "mine"

    @pytest.mark.needs("user-mounts")
    @pytest.mark.parametrize(("distribution", "nftables"), [("debian", True), ("rocky", False)])
    def test_reads_the_journal(self, target: Target, distribution: str, nftables: bool) -> None:
        target.add("fail2ban")
        target.stub("systemctl")

        target.succeed(self.ENABLE, DIB_INIT_SYSTEM="systemd", DISTRO_NAME=distribution)

        settings = target.read("etc/fail2ban/jail.d/50-journal.conf").splitlines()
        assert settings[:2] == ["[DEFAULT]", "backend = systemd"]
        assert ("banaction = nftables" in settings) == nftables
        assert set(target.calls()) == {"systemctl enable fail2ban.service"}

    @pytest.mark.needs("user-mounts")
    def test_is_refused_for_another_init_system(self, target: Target) -> None:
        target.add("fail2ban")

        done = target.run(self.ENABLE, DIB_INIT_SYSTEM="sysv", DISTRO_NAME="debian")

        assert done.returncode == 1
        assert 'init system "sysv"' in done.stderr


def source(file: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Source a file of environment.d, and show what it says about simple-init."""
    show = (
        'echo "${DIB_SIMPLE_INIT_NETWORKMANAGER:-} ${DIB_CLOUD_INIT_DATASOURCES:-}"'
        ' "${DIB_INSTALLTYPE_glean:-}"'
    )
    return subprocess.run(
        ["/bin/bash", "-c", f"set -ue; . {ELEMENTS / file}; {show}"],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )


class TestSimpleInit:
    ENVIRONMENT = "simple-init/environment.d/15-simple-init-networkmanager"
    GLEAN = "install.d/50-simple-init"

    @pytest.mark.parametrize(
        ("distribution", "asked", "expected"),
        [
            ("debian", {}, "0"),
            ("debian", {"DIB_SIMPLE_INIT_NETWORKMANAGER": "1"}, "1"),
            ("rocky", {}, "1"),
            ("centos", {"DIB_SIMPLE_INIT_NETWORKMANAGER": "0"}, "0"),
        ],
    )
    def test_uses_network_manager_where_nothing_else_is_left(
        self, distribution: str, asked: dict[str, str], expected: str
    ) -> None:
        done = source(self.ENVIRONMENT, DISTRO_NAME=distribution, **asked)

        assert (done.returncode, done.stdout.split()) == (0, [expected])

    def test_cannot_do_without_it_there(self) -> None:
        done = source(self.ENVIRONMENT, DISTRO_NAME="fedora", DIB_SIMPLE_INIT_NETWORKMANAGER="0")

        assert done.returncode == 1
        assert "fedora needs NetworkManager" in done.stderr

    @pytest.mark.parametrize(("kind", "fetched"), [("repo", "source"), ("source", "package")])
    def test_fetches_the_repository_only_to_use_it(self, kind: str, fetched: str) -> None:
        done = source(
            "simple-init/environment.d/16-simple-init-glean", DIB_INSTALLTYPE_simple_init=kind
        )

        assert done.stdout.split() == [fetched]

    def test_leaves_cloud_init_nobody_to_ask(self) -> None:
        done = source(
            "simple-init/environment.d/50-disable-cloud-init", DIB_CLOUD_INIT_DATASOURCES="Ec2"
        )

        assert done.stdout.split() == ["None"]

    @pytest.mark.needs("user-mounts")
    @pytest.mark.parametrize(
        ("variables", "call"),
        [
            ({"DIB_SIMPLE_INIT_NETWORKMANAGER": "0"}, "glean-install "),
            (
                {
                    "DIB_SIMPLE_INIT_NETWORKMANAGER": "1",
                    "DIB_SIMPLE_INIT_NO_DHCP_FALLBACK": "1",
                },
                "glean-install --use-nm --no-dhcp-fallback",
            ),
        ],
    )
    def test_has_glean_run_at_boot(
        self, target: Target, variables: dict[str, str], call: str
    ) -> None:
        target.add("simple-init")
        target.stub("glean-install")

        target.succeed(self.GLEAN, **variables)

        assert set(target.calls()) == {call}
        assert target.read("etc/modules") == "8021q\n"

    @pytest.mark.needs("user-mounts")
    @pytest.mark.parametrize(("kind", "what"), [("source", "glean"), ("repo", "/tmp/glean.git")])
    def test_keeps_glean_in_an_environment_of_its_own(
        self, target: Target, kind: str, what: str
    ) -> None:
        target.add("simple-init")
        target.stub("python3", "mkdir -p /glean-bin; ln -sfn /usr/local/bin/pip /glean-bin/pip")
        target.write("glean-bin/glean-install", "")
        target.stub("pip")
        # /usr of the test is the host's, and not to be written to.
        hook = target.own(f"tmp/in_target.d/install.d/simple-init-{kind}-install/40-glean")
        hook.write_text(hook.read_text().replace("/usr/glean/bin", "/glean-bin"))

        target.succeed(f"install.d/simple-init-{kind}-install/40-glean")

        assert target.calls()[-2:] == [
            "python3 -m venv /usr/glean",
            f"pip install --no-cache-dir pbr {what}",
        ]
        programs = target.own("usr/local/bin").glob("glean*")
        assert [str(link.readlink()) for link in programs] == ["/glean-bin/glean-install"]

    @pytest.mark.needs("user-mounts")
    def test_takes_out_ethernet_interfaces(self, target: Target) -> None:
        target.add("simple-init")
        for name in ("eth0", "ens3", "other"):
            target.write(f"etc/network/interfaces.d/{name}", "")
        target.write("etc/network/interfaces", "auto eth0\n")

        target.succeed("install.d/60-simple-init-remove-interfaces")

        assert [path.name for path in target.own("etc/network/interfaces.d").iterdir()] == ["other"]
        assert "eth0" not in target.read("etc/network/interfaces")
        assert "source /etc/network/interfaces.d/*\n" in target.read("etc/network/interfaces")
