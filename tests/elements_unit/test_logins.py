"""Who can log in to an image: what openssh-server, runtime-ssh-host-keys, devuser and others do."""

from __future__ import annotations

import base64
import stat
from typing import TYPE_CHECKING

import pytest

from .running import Target

if TYPE_CHECKING:
    from pathlib import Path

    from .running import Run

KEY = "ssh-ed25519 AAAAC3 me"
KEYS_OF = "root/.ssh/authorized_keys"
SERVER = "etc/ssh/sshd_config"
LIMITS = "etc/ssh/sshd_config.d/50-dib-hardening.conf"
HARDEN = "post-install.d/99-harden-sshd-config"
DEVUSER = {
    "DIB_DEV_USER_USERNAME": "dev.one",
    "DIB_DEV_USER_SHELL": "",
    "DIB_DEV_USER_GROUPS": "",
    "DIB_DEV_USER_PASSWORD": "",
    "DIB_DEV_USER_PWDLESS_SUDO": "",
}
ADD_USER = "echo dev.one:x:0:0::/home/dev:/bin/sh >>/etc/passwd"


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def give_ssh(target: Target, kex: str = "curve25519-sha256 sntrup761x25519-sha512") -> None:
    target.stub(
        "ssh",
        f'case $2 in kex) tr " " "\\n" <<<"{kex}" ;; cipher) echo aes256-ctr ;; '
        "mac) echo hmac-sha2-256 ;; esac",
    )


class TestServer:
    pytestmark = pytest.mark.needs("user-mounts")

    @pytest.mark.parametrize(
        ("init", "distribution", "call"),
        [
            ("systemd", "debian", "systemctl enable ssh.service"),
            ("systemd", "ubuntu", "systemctl enable ssh.service"),
            ("systemd", "fedora", "systemctl enable sshd.service"),
            ("openrc", "gentoo", "rc-update add sshd default"),
        ],
    )
    def test_is_started_at_boot(
        self, target: Target, init: str, distribution: str, call: str
    ) -> None:
        target.add("openssh-server")
        target.stub("systemctl")
        target.stub("rc-update")

        target.succeed(
            "post-install.d/80-enable-sshd-service", DIB_INIT_SYSTEM=init, DISTRO_NAME=distribution
        )

        assert set(target.calls()) == {call}

    def test_is_not_known_for_another_init_system(self, target: Target) -> None:
        target.add("openssh-server")

        done = target.run(
            "post-install.d/80-enable-sshd-service", DIB_INIT_SYSTEM="runit", DISTRO_NAME="void"
        )

        assert done.returncode == 1
        assert 'init system "runit"' in done.stderr

    def test_is_limited_in_a_file_of_its_own_if_it_reads_one(self, target: Target) -> None:
        target.add("openssh-server")
        target.write(SERVER, "Include /etc/ssh/sshd_config.d/*.conf\nCiphers any\n")
        give_ssh(target)

        target.succeed(HARDEN)

        assert target.read(LIMITS) == (
            "KexAlgorithms sntrup761x25519-sha512,curve25519-sha256\n"
            "Ciphers aes256-ctr\n"
            "MACs hmac-sha2-256\n"
        )
        assert target.read(SERVER).endswith("Ciphers any\n")

    def test_is_limited_at_the_start_of_its_file_otherwise(self, target: Target) -> None:
        target.add("openssh-server")
        target.write(SERVER, "Ciphers any\nPort 22\n#MACs some\n")
        give_ssh(target)

        target.succeed(HARDEN)

        assert target.read(SERVER).splitlines() == [
            "KexAlgorithms sntrup761x25519-sha512,curve25519-sha256",
            "Ciphers aes256-ctr",
            "MACs hmac-sha2-256",
            "Port 22",
            "#MACs some",
        ]

    def test_that_knows_none_of_the_algorithms_is_an_error(self, target: Target) -> None:
        target.add("openssh-server")
        target.write(SERVER, "Include /etc/ssh/sshd_config.d/*.conf\n")
        give_ssh(target, kex="diffie-hellman-group1-sha1")

        done = target.run(HARDEN)

        assert done.returncode == 1
        assert "knows none of the KexAlgorithms" in done.stderr
        assert not target.own(LIMITS).exists()

    def test_is_not_limited_if_that_is_not_wanted(self, target: Target) -> None:
        target.add("openssh-server")
        target.write(SERVER, "Include /etc/ssh/sshd_config.d/*.conf\n")

        target.succeed(HARDEN, DIB_OPENSSH_SERVER_HARDENING="0")

        assert not target.own(LIMITS).exists()


def test_host_keys_are_taken_out(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "root" / "etc" / "ssh"
    folder.mkdir(parents=True)
    for name in ("ssh_host_rsa_key", "ssh_host_rsa_key.pub", "sshd_config"):
        (folder / name).touch()

    for root in (tmp_path / "root", tmp_path):
        done = run("runtime-ssh-host-keys/cleanup.d/90-remove-ssh-host-keys", TARGET_ROOT=str(root))
        assert done.returncode == 0, done.stderr

    assert [file.name for file in folder.iterdir()] == ["sshd_config"]


@pytest.mark.needs("user-mounts")
@pytest.mark.parametrize(
    ("distribution", "init", "calls", "kept"),
    [
        ("debian", "systemd", {"systemctl enable ssh-keygen.service"}, True),
        ("fedora", "systemd", set(), False),
        ("gentoo", "openrc", set(), True),
    ],
)
def test_a_service_makes_host_keys_where_the_distribution_has_none(
    target: Target, distribution: str, init: str, calls: set[str], kept: bool
) -> None:
    unit = "usr/lib/systemd/system/ssh-keygen.service"
    target.add("runtime-ssh-host-keys")
    target.stub("systemctl")
    target.write(unit, "[Unit]\n")

    target.succeed("post-install.d/80-ssh-keygen", DISTRO_NAME=distribution, DIB_INIT_SYSTEM=init)

    assert set(target.calls()) == calls
    assert target.own(unit).exists() == kept


@pytest.mark.needs("user-mounts", "ssh-keygen")
def test_missing_host_keys_are_made_and_others_kept(target: Target) -> None:
    target.add("runtime-ssh-host-keys")
    target.write("etc/ssh/ssh_host_rsa_key", "mine\n")

    done = target.run("static/usr/local/sbin/runtime-ssh-host-keys.sh")

    assert done.returncode == 0, done.stderr
    assert target.read("etc/ssh/ssh_host_ed25519_key.pub").startswith("ssh-ed25519 ")
    assert target.read("etc/ssh/ssh_host_rsa_key") == "mine\n"


class TestDevuser:
    @pytest.mark.parametrize(
        ("named", "expected"),
        [("given.pub", "given\n"), ("", "of ed25519\nof rsa\n"), ("/dev/null", "")],
    )
    def test_gets_the_named_keys_or_those_of_the_caller(
        self, run: Run, tmp_path: Path, named: str, expected: str
    ) -> None:
        (tmp_path / "given.pub").write_text("given\n")
        (tmp_path / ".ssh").mkdir()
        for kind in ("rsa", "ed25519"):
            (tmp_path / ".ssh" / f"id_{kind}.pub").write_text(f"of {kind}\n")
        file = str(tmp_path / named) if named else ""

        for _ in range(2):
            done = run(
                "devuser/extra-data.d/50-devuser",
                HOME=str(tmp_path),
                TMP_HOOKS_PATH=str(tmp_path),
                DIB_DEV_USER_AUTHORIZED_KEYS=file,
            )
            assert done.returncode == 0, done.stderr

        assert (tmp_path / "devuser-ssh-authorized-keys").read_text() == expected

    def test_fingerprint_changes_with_the_keys(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / ".ssh").mkdir()
        prints = set()

        for kind in ("", "rsa", "ed25519"):
            if kind:
                (tmp_path / ".ssh" / f"id_{kind}.pub").write_text(kind)
            done = run("devuser/devuser-fingerprint", HOME=str(tmp_path))
            assert done.returncode == 0, done.stderr
            prints.add(done.stdout)

        assert len(prints) == 3

    @pytest.mark.needs("user-mounts")
    def test_is_made_as_the_variables_say(self, target: Target) -> None:
        target.add("devuser")
        target.stub("useradd", ADD_USER)
        for program in ("usermod", "visudo"):
            target.stub(program)
        target.stub("chpasswd", "cat >/etc/password")
        target.write("tmp/in_target.d/devuser-ssh-authorized-keys", f"{KEY}\n")

        output = target.succeed(
            "install.d/50-devuser",
            **{
                **DEVUSER,
                "DIB_DEV_USER_SHELL": "/bin/zsh",
                "DIB_DEV_USER_GROUPS": "adm,video",
                "DIB_DEV_USER_PASSWORD": "se cret",
                "DIB_DEV_USER_PWDLESS_SUDO": "1",
                "DIB_DEBUG_TRACE": "1",
            },
        )

        assert [call for call in target.calls() if not call.startswith(("visudo", "chpasswd"))] == [
            "useradd --create-home dev.one",
            *(
                2
                * [
                    "usermod --shell /bin/zsh dev.one",
                    "usermod --append --groups adm,video dev.one",
                ]
            ),
        ]
        assert target.read("etc/password") == "dev.one:se cret\n"
        assert "se cret" not in output
        assert target.read("home/dev/.ssh/authorized_keys") == f"{KEY}\n"
        assert mode(target.own("home/dev/.ssh/authorized_keys")) == 0o600
        assert mode(target.own("home/dev/.ssh")) == 0o700
        # sudo passes over names with a dot.
        assert [file.name for file in target.own("etc/sudoers.d").iterdir()] == ["dev_one"]
        assert target.read("etc/sudoers.d/dev_one") == "dev.one ALL=(ALL) NOPASSWD:ALL\n"
        assert mode(target.own("etc/sudoers.d/dev_one")) == 0o440

    @pytest.mark.needs("user-mounts")
    def test_is_made_with_nothing_that_is_not_asked_for(self, target: Target) -> None:
        target.add("devuser")
        target.stub("useradd", ADD_USER)

        done = target.run("install.d/50-devuser", **DEVUSER)

        assert done.returncode == 0, done.stderr
        assert target.calls() == ["useradd --create-home dev.one"]
        assert not target.own("etc/sudoers.d").exists()
        assert list(target.own("home").iterdir()) == []

    @pytest.mark.needs("user-mounts")
    def test_owns_what_was_put_into_the_home_before(self, target: Target) -> None:
        target.add("devuser")
        target.stub("useradd", ADD_USER)
        target.stub("chown")
        target.write("home/dev/.profile", "")

        target.succeed("install.d/50-devuser", **DEVUSER)

        assert target.calls()[-1] == "chown --recursive --no-dereference dev.one:root /home/dev"

    @pytest.mark.needs("user-mounts")
    def test_does_not_get_a_folder_of_the_system(self, target: Target) -> None:
        target.add("devuser")
        target.stub("chown")
        target.write("etc/passwd", "root:x:0:0::/root:/bin/sh\ndev.one:x:0:0::/var:/bin/sh\n")

        target.succeed("install.d/50-devuser", **DEVUSER)

        assert target.calls() == []

    @pytest.mark.needs("user-mounts")
    def test_does_not_get_a_rule_that_sudo_refuses(self, target: Target) -> None:
        target.add("devuser")
        target.stub("useradd")
        target.stub("visudo", "exit 1")

        done = target.run("install.d/50-devuser", **{**DEVUSER, "DIB_DEV_USER_PWDLESS_SUDO": "1"})

        assert done.returncode == 1
        assert not target.own("etc/sudoers.d/dev_one").exists()


class TestLocalConfig:
    def test_brings_the_keys_that_may_log_in_here(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / ".ssh").mkdir()
        (tmp_path / ".ssh" / "authorized_keys").write_text(KEY)

        done = run(
            "local-config/extra-data.d/62-ssh-key",
            HOME=str(tmp_path),
            TMP_HOOKS_PATH=str(tmp_path),
        )

        assert done.returncode == 0, done.stderr
        assert (tmp_path / "ssh-authorized-keys").read_text() == KEY

    def test_fingerprint_changes_with_keys_and_proxies(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / ".ssh").mkdir()
        program = "local-config/local-config-fingerprint"

        without = run(program, HOME=str(tmp_path)).stdout
        proxied = run(program, HOME=str(tmp_path), http_proxy="http://user:secret@p:1").stdout
        (tmp_path / ".ssh" / "authorized_keys").write_text(KEY)
        keyed = run(program, HOME=str(tmp_path)).stdout

        assert len({without, proxied, keyed}) == 3
        assert "secret" not in proxied

    @pytest.mark.needs("user-mounts")
    def test_adds_each_key_once(self, target: Target) -> None:
        target.add("local-config")
        target.write("tmp/in_target.d/ssh-authorized-keys", f"# of me\n{KEY}\nssh-rsa -e x")
        target.write("etc/passwd", "root:x:0:0::/root:/bin/sh\nme:x:0:0::/home/me:/bin/sh\n")
        target.write("home/me/.ssh/authorized_keys", f"{KEY}\n")

        target.succeed("install.d/62-ssh-key", DIB_LOCAL_CONFIG_USERNAME="me")

        assert target.read("home/me/.ssh/authorized_keys").splitlines() == [
            KEY,
            "# of me",
            "ssh-rsa -e x",
        ]
        assert mode(target.own("home/me/.ssh")) == 0o700

    @pytest.mark.needs("user-mounts")
    def test_has_keys_wait_for_a_user_that_is_not_there_yet(self, target: Target) -> None:
        target.add("local-config")
        target.write("tmp/in_target.d/ssh-authorized-keys", KEY)

        target.succeed("install.d/62-ssh-key", DIB_LOCAL_CONFIG_USERNAME="later")

        assert target.read("home/later/.ssh/authorized_keys") == f"{KEY}\n"
        assert mode(target.own("home/later/.ssh")) == 0o700
        assert mode(target.own("home/later/.ssh/authorized_keys")) == 0o600

    @pytest.mark.needs("user-mounts")
    @pytest.mark.parametrize(
        ("name", "owner"), [("me", "-o me -g 7"), ("later", "-o root -g root")]
    )
    def test_gives_the_keys_to_the_user_if_there_is_one(
        self, target: Target, name: str, owner: str
    ) -> None:
        target.add("local-config")
        target.stub("install")
        target.write("tmp/in_target.d/ssh-authorized-keys", KEY)
        target.write("etc/passwd", "root:x:0:0::/root:/bin/sh\nme:x:7:7::/home/me:/bin/sh\n")
        target.write(f"home/{name}/.ssh/authorized_keys", "")

        target.succeed("install.d/62-ssh-key", DIB_LOCAL_CONFIG_USERNAME=name)

        assert set(target.calls()) == {f"install -d -m 0700 {owner} /home/{name}/.ssh"}

    @pytest.mark.needs("user-mounts")
    def test_without_keys_changes_nothing(self, target: Target) -> None:
        target.add("local-config")

        target.succeed("install.d/62-ssh-key", DIB_LOCAL_CONFIG_USERNAME="root")

        assert list(target.own("root").iterdir()) == []

    @pytest.mark.needs("user-mounts")
    def test_sets_the_proxies_of_each_package_manager(self, target: Target) -> None:
        target.add("local-config")
        target.write("etc/apt/apt.conf.d/00-other", "")
        target.write("etc/yum.conf", "[main]\ngpgcheck=1\n")
        target.write(
            "etc/sysconfig/proxy",
            'PROXY_ENABLED="no"\nHTTP_PROXY=""\nHTTPS_PROXY=""\nNO_PROXY="localhost, 127.0.0.1"\n',
        )

        target.succeed(
            "pre-install.d/02-proxy-settings",
            http_proxy="http://one:1",
            https_proxy="http://two:2",
            no_proxy="a.example,b.example",
        )

        assert target.read("etc/apt/apt.conf.d/02-use-http-proxy") == (
            'Acquire::http::Proxy "http://one:1";\n'
        )
        assert target.read("etc/apt/apt.conf.d/02-use-https-proxy") == (
            'Acquire::https::Proxy "http://two:2";\n'
        )
        assert target.read("etc/apt/apt.conf.d/02-no-proxy") == (
            'Acquire::http::Proxy::a.example "DIRECT";\nAcquire::http::Proxy::b.example "DIRECT";\n'
            'Acquire::http::Proxy::192.0.2.1 "DIRECT";\n'
        )
        assert target.read("etc/yum.conf") == "[main]\nproxy=http://one:1\ngpgcheck=1\n"
        assert target.read("etc/sysconfig/proxy").splitlines() == [
            'PROXY_ENABLED="yes"',
            'HTTP_PROXY="http://one:1"',
            'HTTPS_PROXY="http://two:2"',
            'NO_PROXY="localhost, 127.0.0.1, a.example, b.example, 192.0.2.1"',
        ]

    @pytest.mark.needs("user-mounts")
    def test_sets_no_proxy_that_the_caller_has_not(self, target: Target) -> None:
        target.add("local-config")
        target.write("etc/apt/apt.conf.d/00-other", "")
        target.write("etc/yum.conf", "[main]\n")
        target.write("etc/sysconfig/proxy", 'HTTP_PROXY="http://one:1"\nNO_PROXY="localhost"\n')

        target.succeed("pre-install.d/02-proxy-settings")

        folder = target.own("etc/apt/apt.conf.d")
        assert {file.name for file in folder.iterdir()} == {"00-other", "02-no-proxy"}
        assert target.read("etc/apt/apt.conf.d/02-no-proxy") == (
            'Acquire::http::Proxy::192.0.2.1 "DIRECT";\n'
        )
        assert target.read("etc/yum.conf") == "[main]\n"
        assert target.read("etc/sysconfig/proxy") == (
            'HTTP_PROXY="http://one:1"\nNO_PROXY="localhost, 127.0.0.1, 192.0.2.1"\n'
        )


class TestDynamicLogin:
    pytestmark = pytest.mark.needs("user-mounts")
    PROGRAM = "static/usr/local/bin/dynamic-login"

    @pytest.mark.parametrize(
        "line",
        [
            f'root=LABEL=x sshkey="{KEY}" quiet',
            f'root=LABEL=x "sshkey={KEY}" quiet',
            f'sshkey="{KEY}"',
        ],
    )
    def test_accepts_a_key_beside_those_that_are_there(self, target: Target, line: str) -> None:
        target.add("dynamic-login")
        target.write(KEYS_OF, "old\n")
        target.write("own/cmdline", f"{line}\n")

        target.succeed(self.PROGRAM)

        assert target.read(KEYS_OF) == f"old\n{KEY}\n"

    @pytest.mark.parametrize("value", ["$6$salt$hash", base64.b64encode(b"$6$salt$hash").decode()])
    @pytest.mark.parametrize("form", ["rootpwd={}", 'rootpwd="{}"', '"rootpwd={}"'])
    def test_sets_a_hashed_password(self, target: Target, form: str, value: str) -> None:
        target.add("dynamic-login")
        target.stub("chpasswd", "cat >/etc/password")
        target.write("own/cmdline", f"quiet {form.format(value)} splash\n")

        target.succeed(self.PROGRAM)

        assert target.read("etc/password") == "root:$6$salt$hash\n"
        assert set(target.calls()) == {"chpasswd --encrypted"}

    @pytest.mark.parametrize("line", ["root=LABEL=x", 'nosshkey="x" norootpwd=y', ""])
    def test_does_nothing_unasked(self, target: Target, line: str) -> None:
        target.add("dynamic-login")
        target.stub("chpasswd")
        target.write("own/cmdline", f"{line}\n")

        target.succeed(self.PROGRAM)

        assert target.calls() == []
        assert not target.own(KEYS_OF).exists()

    def test_looks_at_each_boot(self, target: Target) -> None:
        target.add("dynamic-login")
        target.stub("systemctl")

        target.succeed("install.d/70-enable-dynamic-login-services", DIB_INIT_SYSTEM="systemd")

        assert set(target.calls()) == {"systemctl enable dynamic-login.service"}

    def test_is_refused_without_systemd(self, target: Target) -> None:
        target.add("dynamic-login")

        done = target.run("install.d/70-enable-dynamic-login-services", DIB_INIT_SYSTEM="sysv")

        assert done.returncode == 1
        assert "systemd only" in done.stderr
