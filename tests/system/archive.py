"""A small signed apt archive that says it is Ubuntu, made of packages that the host can get.

What a test needs of Ubuntu is a release with its own name, components and key. The packages are
Debian's; one that Ubuntu calls otherwise is an empty one that depends on Debian's.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SUITE = "noble"
POCKETS = ("updates", "security", "backports")
COMPONENTS = ("main", "universe")
SNAPSHOT = "20240425T151033Z"

GROUPS = (
    # Each is a set that can be installed together: the archive has what all of them need.
    (
        *("?essential", "apt", "tzdata", "systemd-sysv", "busybox", "sudo", "gnupg2", "python3"),
        *("apt-transport-https", "lsb-release", "adduser", "ca-certificates", "locales", "netbase"),
        *("open-iscsi", "initramfs-tools", "linux-image-amd64", "python3-venv", "dbus"),
        *("ifupdown", "isc-dhcp-client", "openssh-server", "cloud-init", "cloud-guest-utils"),
        *("grub-pc", "parted", "dosfstools"),
    ),
    ("grub-efi-amd64", "grub-efi-amd64-signed", "shim-signed"),
    (
        *("python3-pip", "python3-virtualenv", "curl", "git", "less", "bc", "ed"),
        *("dkms", "gcc", "make", "linux-headers-amd64"),
    ),
)
"""Packages by the names that apt-get takes, patterns among them (apt-patterns(7))."""

STAND_INS = (
    # Debian's kernel under Ubuntu's name, and a package to choose a version of
    ("linux-image-generic", "1", "linux-image-amd64"),
    ("two-versions", "1", ""),
    ("two-versions", "2", ""),
)
"""Packages without files: name, version, and the package that each depends on."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that archives are signed with: its long name and a file that apt can read."""

    fingerprint: str
    file: Path


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive: its folder, to be served, and the key that signed it."""

    folder: Path
    key: Key


def _run(*command: str | Path, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, "LC_ALL": "C", **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


@contextmanager
def keyring(folder: Path) -> Iterator[Signer]:
    """Give what makes keys in `folder` and signs with them; it ends gpg's agent."""
    # A socket's path must be short, and a test's folder is not (unix(7)).
    with tempfile.TemporaryDirectory(prefix="gpg-") as home:
        try:
            yield Signer(Path(home), folder)
        finally:
            _run("gpgconf", "--homedir", home, "--kill", "all")


@dataclass(frozen=True, slots=True)
class Signer:
    """gpg with a home of its own."""

    home: Path
    folder: Path

    def _gpg(self, *arguments: str | Path) -> str:
        return _run("gpg", "--homedir", self.home, "--batch", "--yes", *arguments)

    def make_key(self, name: str) -> Key:
        """Make a key that needs no passphrase."""
        self._gpg("--passphrase", "", "--quick-generate-key", name, "ed25519", "sign", "never")
        listed = self._gpg("--with-colons", "--list-keys", name)
        fingerprints = [line.split(":")[9] for line in listed.splitlines() if line[:3] == "fpr"]
        file = self.folder / f"{name}.gpg"
        file.write_bytes(b"")
        self._gpg("--output", file, "--export", fingerprints[0])
        file.chmod(0o644)
        return Key(fingerprints[0], file)

    def sign(self, file: Path, signed: Path, key: Key) -> None:
        """Write `file` with a signature around it."""
        self._gpg("--local-user", key.fingerprint, "--output", signed, "--clear-sign", file)


def download(groups: Iterable[Sequence[str]], *, into: Path, architecture: str) -> None:
    """Get packages and all that they need from the host's apt sources, as for an empty root.

    `into` keeps what it has, so that a second run downloads what is new. Packages that the sources
    lack, as those of other architectures do, are left out.
    """
    for folder in (into / "partial", into / "lists" / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    (into / "status").touch()
    options = [
        *("-o", f"Dir::State::lists={into}/lists", "-o", f"Dir::State::status={into}/status"),
        *("-o", f"Dir::Cache={into}", "-o", f"Dir::Cache::archives={into}"),
        *("-o", "Debug::NoLocking=true", "-o", "APT::Sandbox::User=root"),
        *("-o", f"APT::Architecture={architecture}", "-o", f"APT::Architectures={architecture}"),
        *("-o", "APT::Install-Recommends=false", "-o", "Acquire::Languages=none"),
    ]
    _run("apt-get", *options, "update")
    for group in groups:
        known = set(_run("apt-cache", *options, "pkgnames").split())
        wanted = [name for name in group if name.startswith("?") or name in known]
        _run("apt-get", *options, "--yes", "--download-only", "install", *wanted)


def make_archive(folder: Path, *, downloads: Path, signer: Signer, key: Key) -> Archive:
    """Make the archive in `folder` of packages kept in `downloads`, its releases signed.

    Below ``snapshots`` it stands once more, as an archive of snapshots has it: out of date.
    """
    architecture = _run("dpkg", "--print-architecture").strip()
    download(GROUPS, into=downloads, architecture=architecture)
    pool = folder / "pool"
    pool.mkdir(parents=True)
    for package in downloads.glob("*.deb"):
        try:
            os.link(package, pool / package.name)
        except OSError:  # on another filesystem
            shutil.copy(package, pool / package.name)
    for name, version, depends in STAND_INS:
        _make_stand_in(pool, name, version, depends)

    packages = _run("sh", "-c", 'cd "$1" && dpkg-scanpackages --multiversion pool', "sh", folder)
    sign = functools.partial(signer.sign, key=key)
    release(folder / "dists" / SUITE, {"main": packages}, architecture=architecture, sign=sign)
    for pocket in POCKETS:
        release(folder / "dists" / f"{SUITE}-{pocket}", {}, architecture=architecture, sign=sign)
    for suite in (SUITE, f"{SUITE}-updates", f"{SUITE}-security"):
        kind = "debian-security" if suite.endswith("-security") else "debian"
        release(
            folder / "snapshots" / kind / SNAPSHOT / "dists" / suite,
            {"main": packages} if suite == SUITE else {},
            architecture=architecture,
            sign=sign,
            valid_until="Thu, 02 May 2024 15:10:33 UTC",
        )
    (folder / "snapshots" / "debian" / SNAPSHOT / "pool").symlink_to(pool)
    return Archive(folder, key)


def _make_stand_in(pool: Path, name: str, version: str, depends: str) -> None:
    with tempfile.TemporaryDirectory() as root:
        (Path(root) / "DEBIAN").mkdir(mode=0o755)
        fields = {
            "Package": name,
            "Version": version,
            "Architecture": "all",
            "Depends": depends,
            "Maintainer": "nobody <nobody@example.org>",
            "Description": "an empty package",
        }
        (Path(root) / "DEBIAN" / "control").write_text(
            "".join(f"{field}: {value}\n" for field, value in fields.items() if value)
        )
        Path(root).chmod(0o755)
        _run("dpkg-deb", "--root-owner-group", "--build", root, pool / f"{name}_{version}_all.deb")


def release(
    folder: Path,
    packages: Mapping[str, str],
    *,
    architecture: str,
    sign: Callable[[Path, Path], None],
    valid_until: str = "",
) -> None:
    """Write the indices of the suite `folder` is named after, and its signed release.

    `packages` is the text of the index by component; components without one are empty.
    """
    lines = []
    for component in COMPONENTS:
        index = folder / component / f"binary-{architecture}" / "Packages"
        index.parent.mkdir(parents=True)
        index.write_text(packages.get(component, ""))
        packed = index.with_suffix(".gz")
        packed.write_bytes(gzip.compress(index.read_bytes(), compresslevel=1, mtime=0))
        for file in (index, packed):
            data = file.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            lines.append(f" {digest} {len(data)} {file.relative_to(folder)}\n")
    fields = {
        "Origin": "Ubuntu",
        "Label": "Ubuntu",
        "Suite": folder.name,
        "Codename": SUITE,
        "Date": "Thu, 25 Apr 2024 15:10:33 UTC",
        "Architectures": architecture,
        "Components": " ".join(COMPONENTS),
        "Description": "Ubuntu Noble 24.04, for tests",
    }
    if valid_until:
        fields["Valid-Until"] = valid_until
    text = "".join(f"{field}: {value}\n" for field, value in fields.items())
    (folder / "Release").write_text(f"{text}SHA256:\n{''.join(lines)}")
    sign(folder / "Release", folder / "InRelease")
    (folder / "Release").unlink()  # unsigned, it would be a second answer


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # apt asks for many files over one connection

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        return


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on loopback; give its URL."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False  # a client may keep its connection open
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
