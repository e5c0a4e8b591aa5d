"""Where Ubuntu's elements get their packages and their root from."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from .running import ELEMENTS, Run, Stub, Target

if TYPE_CHECKING:
    from pathlib import Path

MIRROR = "http://mirror.example/ubuntu"
HOOK = "ubuntu/root.d/10-cache-ubuntu-tarball"
FINGERPRINT = "ubuntu/fingerprint"
SOURCES = "etc/apt/sources.list.d/ubuntu.sources"
IMAGE = "noble-root.tar.gz"


def sources(**variables: str) -> list[str]:
    """Source the environment files as a phase does and give the apt sources."""
    files = [
        "dpkg/environment.d/05-host-mirrors.bash",
        "ubuntu-common/environment.d/10-ubuntu-distro-name.bash",
        "ubuntu-minimal/environment.d/12-ubuntu-repo-dists.bash",
    ]
    script = "".join(f". {ELEMENTS / file}; " for file in files)
    done = subprocess.run(
        ["/bin/bash", "-c", f'set -ue -o pipefail; {script} printf "%s" "$DIB_APT_SOURCES_CONF"'],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_the_sources_are_the_release_and_its_pockets() -> None:
    assert sources(DIB_DISTRIBUTION_MIRROR=MIRROR, DIB_RELEASE="jammy") == [
        f"default:deb {MIRROR} jammy main universe",
        f"updates:deb {MIRROR} jammy-updates main universe",
        f"security:deb {MIRROR} jammy-security main universe",
        f"backports:deb {MIRROR} jammy-backports main universe",
    ]


@pytest.mark.parametrize(("pockets", "expected"), [("", 1), ("security", 2)])
def test_the_pockets_are_those_asked_for(pockets: str, expected: int) -> None:
    lines = sources(DIB_DISTRIBUTION_MIRROR=MIRROR, DIB_UBUNTU_MIRROR_DISTS=pockets)

    assert len(lines) == expected


def test_without_a_mirror_the_choice_is_the_tool_s() -> None:
    assert sources() == []


@pytest.mark.needs("user-mounts")
@pytest.mark.parametrize(
    ("variables", "key"),
    [({}, "/usr/share/keyrings/theirs.gpg"), ({"SIGNED_BY": "/etc/mine.gpg"}, "/etc/mine.gpg")],
)
def test_sources_name_the_mirror_and_whom_to_trust(
    target: Target, variables: dict[str, str], key: str
) -> None:
    text = "Types: deb\nURIs: {}\nSuites: noble\nSigned-By: {}\n"
    target.add("ubuntu")
    target.write(SOURCES, text.format("http://old.example", "/usr/share/keyrings/theirs.gpg"))

    target.succeed(
        "pre-install.d/01-set-ubuntu-mirror", DIB_DISTRIBUTION_MIRROR=MIRROR, **variables
    )

    assert target.read(SOURCES) == text.format(MIRROR, key)


@pytest.mark.needs("user-mounts")
def test_a_key_that_is_written_out_is_replaced_whole(target: Target) -> None:
    target.add("ubuntu")
    target.write(SOURCES, "Signed-By:\n -----BEGIN\n .\n -----END\nTypes: deb\n")

    target.succeed(
        "pre-install.d/01-set-ubuntu-mirror",
        DIB_DISTRIBUTION_MIRROR=MIRROR,
        SIGNED_BY="/etc/mine.gpg",
    )

    assert target.read(SOURCES) == "Signed-By: /etc/mine.gpg\nTypes: deb\n"


@pytest.mark.needs("user-mounts")
@pytest.mark.parametrize(
    "variables",
    [
        {},
        {
            "DIB_DISTRIBUTION_MIRROR": MIRROR,
            "DIB_DISTRIBUTION_MIRROR_UBUNTU_IGNORE": "old.example|theirs",
        },
    ],
)
def test_without_a_mirror_or_for_lines_to_ignore_no_key_is_changed(
    target: Target, variables: dict[str, str]
) -> None:
    text = "URIs: http://old.example\nSigned-By: /usr/share/keyrings/theirs.gpg\n"
    target.add("ubuntu")
    target.write(SOURCES, text)

    target.succeed("pre-install.d/01-set-ubuntu-mirror", SIGNED_BY="/etc/mine.gpg", **variables)

    assert target.read(SOURCES) == text


@dataclass(frozen=True, slots=True)
class Cloud:
    """A server's folder with a root tarball, and a build that wants it."""

    folder: Path
    run: Run

    @property
    def server(self) -> Path:
        return self.folder / "server"

    @property
    def cached(self) -> Path:
        return self.folder / "cache" / IMAGE

    def publish(self, text: str, *, checksum: str = "") -> None:
        (self.folder / "issue").write_text(text)
        with tarfile.open(self.server / IMAGE, "w:gz") as archive:
            archive.add(self.folder / "issue", "etc/issue")
        digest = checksum or hashlib.sha256((self.server / IMAGE).read_bytes()).hexdigest()
        (self.server / "SHA256SUMS").write_text(f"{'0' * 64} *other\n{digest} *{IMAGE}\n")

    def variables(self, **more: str) -> dict[str, str]:
        return {
            "TARGET_ROOT": str(self.folder / "root"),
            "TMP_HOOKS_PATH": str(ELEMENTS / "cache-url"),
            "ARCH": "amd64",
            "DIB_RELEASE": "noble",
            "DIB_CLOUD_IMAGES": f"file://{self.server}",
            "BASE_IMAGE_FILE": IMAGE,
            "DIB_LOCAL_IMAGE": "",
            "DIB_IMAGE_CACHE": str(self.folder / "cache"),
            "DIB_LOCKFILES": str(self.folder / "locks"),
            **more,
        }

    def fill(self, **more: str) -> subprocess.CompletedProcess[str]:
        return self.run(HOOK, **self.variables(**more))

    def issue(self) -> str:
        return (self.folder / "root/etc/issue").read_text()


@pytest.fixture
def cloud(tmp_path: Path, run: Run) -> Cloud:
    for folder in ("server", "root", "cache", "locks"):
        (tmp_path / folder).mkdir()
    made = Cloud(tmp_path, run)
    made.publish("Ubuntu one")
    return made


def test_the_root_is_the_image_s_and_the_image_is_kept(cloud: Cloud) -> None:
    done = cloud.fill()

    assert done.returncode == 0, done.stderr
    assert cloud.issue() == "Ubuntu one"
    assert cloud.cached.read_bytes() == (cloud.server / IMAGE).read_bytes()


def test_a_new_image_on_the_server_is_used(cloud: Cloud) -> None:
    cloud.fill()
    for file in (cloud.folder / "cache").iterdir():
        os.utime(file, (0, 0))  # servers count in whole seconds
    cloud.publish("Ubuntu two")

    done = cloud.fill()

    assert done.returncode == 0, done.stderr
    assert cloud.issue() == "Ubuntu two"


def test_offline_the_image_in_the_cache_is_used(cloud: Cloud) -> None:
    cloud.fill()
    (cloud.server / IMAGE).unlink()

    done = cloud.fill(DIB_OFFLINE="1")

    assert done.returncode == 0, done.stderr


def test_a_damaged_image_in_the_cache_is_not_used_offline(cloud: Cloud) -> None:
    cloud.fill()
    cloud.cached.write_bytes(b"damaged")

    done = cloud.fill(DIB_OFFLINE="1")

    assert done.returncode == 1
    assert "is damaged" in done.stderr


def test_a_damaged_image_in_the_cache_is_downloaded_again(cloud: Cloud) -> None:
    cloud.fill()
    cloud.cached.write_bytes(b"damaged")

    done = cloud.fill()

    assert done.returncode == 0, done.stderr
    assert cloud.cached.read_bytes() == (cloud.server / IMAGE).read_bytes()


def test_an_image_with_a_wrong_checksum_is_neither_used_nor_kept(cloud: Cloud) -> None:
    cloud.publish("Ubuntu evil", checksum="1" * 64)

    done = cloud.fill()

    assert done.returncode == 1
    assert "is not what its checksum says" in done.stderr
    assert not cloud.cached.exists()
    assert list((cloud.folder / "root").iterdir()) == []


def test_an_image_that_the_checksums_lack_is_named(cloud: Cloud) -> None:
    (cloud.server / "SHA256SUMS").write_text(f"{'0' * 64} *other\n")

    done = cloud.fill()

    assert done.returncode == 1
    assert f'are without "{IMAGE}"' in done.stderr


def test_a_local_image_needs_no_server(cloud: Cloud) -> None:
    done = cloud.fill(DIB_LOCAL_IMAGE=str(cloud.server / IMAGE), DIB_CLOUD_IMAGES="")

    assert done.returncode == 0, done.stderr
    assert cloud.issue() == "Ubuntu one"


def test_a_local_image_is_checked_when_there_is_a_checksum(cloud: Cloud) -> None:
    cloud.publish("Ubuntu evil", checksum="1" * 64)

    done = cloud.fill(DIB_LOCAL_IMAGE=str(cloud.server / IMAGE))

    assert done.returncode == 1
    assert "is not what" in done.stderr


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"DIB_CLOUD_IMAGES": ""}, "set DIB_CLOUD_IMAGES"),
        ({"DIB_LOCAL_IMAGE": "/no/such/image"}, '"/no/such/image", which is no file'),
    ],
)
def test_what_is_missing_is_named(cloud: Cloud, variables: dict[str, str], message: str) -> None:
    done = cloud.fill(**variables)

    assert done.returncode == 1
    assert message in done.stderr


def test_the_fingerprint_is_the_checksum(cloud: Cloud) -> None:
    digest = hashlib.sha256((cloud.server / IMAGE).read_bytes()).hexdigest()

    done = cloud.run(FINGERPRINT, **cloud.variables())

    assert done.stdout == f"{digest} {IMAGE}\n"


def test_a_fingerprint_that_cannot_be_taken_says_why(cloud: Cloud) -> None:
    (cloud.server / "SHA256SUMS").write_text("")

    done = cloud.run(FINGERPRINT, **cloud.variables())

    assert done.returncode == 1
    assert f'are without "{IMAGE}"' in done.stderr


@pytest.mark.parametrize("file", [HOOK, FINGERPRINT])
@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({"DIB_CLOUD_IMAGES": "http://cloud.example/noble/"}, "https://cloud.example/noble"),
        ({"DIB_CLOUD_IMAGES": "https://cloud.example/noble"}, "https://cloud.example/noble"),
        ({"DIB_CLOUD_IMAGES": "cloud.example/noble"}, "https://cloud.example/noble"),
        (
            {
                "DIB_CLOUD_IMAGES": "http://cloud.example/noble",
                "SHA256SUMS": "http://127.0.0.1:1/SHA256SUMS",
            },
            "http://127.0.0.1:1",
        ),
    ],
)
def test_the_checksums_come_over_https_unless_their_url_is_given(
    cloud: Cloud, stub: Stub, file: str, variables: dict[str, str], url: str
) -> None:
    stub("curl", f'printf "%s\\n" "$@" | grep SHA256SUMS$ >>{cloud.folder}/asked; exit 7')

    done = cloud.run(file, **cloud.variables(**variables))

    assert done.returncode == 1
    assert (cloud.folder / "asked").read_text() == f"{url}/SHA256SUMS\n"
    assert f'"{url}/SHA256SUMS"; if the list is elsewhere' in done.stderr
