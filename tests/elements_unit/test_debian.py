"""Where debian-minimal gets its mirrors from, and what the fingerprint of debootstrap tells."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from .running import ELEMENTS, Run, Stub

if TYPE_CHECKING:
    from pathlib import Path

MIRRORS_OF_HOST = ELEMENTS / "dpkg" / "environment.d" / "05-host-mirrors.bash"
ENVIRONMENT = ELEMENTS / "debian-minimal" / "environment.d" / "10-debian-minimal.bash"
FINGERPRINT = "debootstrap/fingerprint"

ARCHIVE = "http://mirror.example/debian"
SECURITY = "http://mirror.example/debian-security"


def target(url: str, suite: str, component: str = "main") -> str:
    """One line of what `apt-get update --print-uris` prints."""
    return f"'{url}/dists/{suite}/{component}/binary-amd64/Packages.xz' some_file 0 "


HOST = [
    "'http://third.example/debian/dists/bookworm/InRelease' some_file 0 ",
    target("http://third.example/debian", "bookworm"),
    target("http://grafana.example", "stable"),
    target(ARCHIVE, "bookworm"),
    target(ARCHIVE, "bookworm-updates"),
    target(SECURITY, "bookworm-security"),
]


@pytest.fixture
def apt(stub: Stub, tmp_path: Path) -> Path:
    """The file that apt-get prints; grep finds that the host is a Debian."""
    file = tmp_path / "targets"
    file.write_text("\n".join(HOST) + "\n")
    stub("apt-get", f'[[ "$*" == "update --print-uris" ]] && cat "{file}"')
    stub("grep", '[[ $* == *ID=debian* ]] || exec /usr/bin/grep "$@"')
    return file


def sourced(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    script = f"set -ue -o pipefail; . {MIRRORS_OF_HOST}; . {ENVIRONMENT}; env -0"
    return subprocess.run(
        ["/bin/bash", "-c", script],
        env={"PATH": f"{tmp_path}/stubs:/usr/sbin:/usr/bin:/sbin:/bin", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def exported(tmp_path: Path, **variables: str) -> dict[str, str]:
    """Source the files as a phase does and give what they export."""
    done = sourced(tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    return dict(pair.split("=", 1) for pair in done.stdout.split("\0") if pair)


@pytest.mark.usefixtures("apt")
def test_mirrors_default_to_the_host_s(tmp_path: Path) -> None:
    variables = exported(tmp_path, DIB_RELEASE="trixie")

    assert variables["DIB_DISTRIBUTION_MIRROR"] == ARCHIVE
    assert variables["DIB_APT_SOURCES_CONF"].splitlines() == [
        f"default:deb {ARCHIVE} trixie main",
        f"updates:deb {ARCHIVE} trixie-updates main",
        f"security:deb {SECURITY} trixie-security main",
    ]


@pytest.mark.usefixtures("apt")
def test_the_user_s_mirrors_go_before_the_host_s(tmp_path: Path) -> None:
    variables = exported(
        tmp_path,
        DIB_DISTRIBUTION_MIRROR="http://mine.example/d",
        DIB_DEBIAN_SECURITY_MIRROR="http://mine.example/s",
        DIB_DEBIAN_SECURITY_SUBPATH="/updates",
        DIB_DEBIAN_COMPONENTS="main,contrib",
    )

    assert variables["DIB_APT_SOURCES_CONF"].splitlines() == [
        "default:deb http://mine.example/d stable main contrib",
        "updates:deb http://mine.example/d stable-updates main contrib",
        "security:deb http://mine.example/s stable-security/updates main contrib",
    ]


@pytest.mark.usefixtures("apt")
def test_debian_s_own_mirror_variable_goes_first(tmp_path: Path) -> None:
    variables = exported(
        tmp_path,
        DIB_DISTRIBUTION_MIRROR="http://a.example",
        DIB_DEBIAN_DISTRIBUTION_MIRROR="http://b.example",
    )

    assert variables["DIB_DISTRIBUTION_MIRROR"] == "http://b.example"


@pytest.mark.usefixtures("apt")
@pytest.mark.parametrize("release", ["testing", "unstable", "sid"])
def test_a_release_in_the_making_has_one_source(tmp_path: Path, release: str) -> None:
    variables = exported(tmp_path, DIB_RELEASE=release)

    assert variables["DIB_APT_SOURCES_CONF"] == f"default:deb {ARCHIVE} {release} main"


@pytest.mark.usefixtures("apt")
def test_sources_given_whole_are_left_alone(tmp_path: Path) -> None:
    variables = exported(tmp_path, DIB_APT_SOURCES_CONF="mine:deb http://x.example y z")

    assert variables["DIB_APT_SOURCES_CONF"] == "mine:deb http://x.example y z"


def test_a_host_of_sid_is_known_by_the_name_of_its_archive(tmp_path: Path, apt: Path) -> None:
    apt.write_text(f"{target('http://grafana.example', 'stable')}\n{target(ARCHIVE, 'sid')}\n")

    assert exported(tmp_path)["DIB_DISTRIBUTION_MIRROR"] == ARCHIVE


def test_a_list_of_mirrors_stands_for_its_first(tmp_path: Path, apt: Path) -> None:
    (tmp_path / "mirrors").write_text(
        f"# nearest first\n{ARCHIVE}/\tpriority:1\nhttp://other.example\n"
    )
    url = f"mirror+file:{tmp_path}/mirrors"
    apt.write_text(f"{target(url, 'bookworm')}\n{target(url, 'bookworm-updates')}\n")

    assert exported(tmp_path)["DIB_DISTRIBUTION_MIRROR"] == ARCHIVE


def test_without_a_security_mirror_there_is_no_such_source(tmp_path: Path, apt: Path) -> None:
    apt.write_text(f"{target(ARCHIVE, 'bookworm')}\n")

    sources = exported(tmp_path)["DIB_APT_SOURCES_CONF"].splitlines()

    assert [line.split(":")[0] for line in sources] == ["default", "updates"]


def test_a_host_that_is_no_debian_leaves_the_choice_to_the_tool(
    tmp_path: Path, stub: Stub, apt: Path
) -> None:
    stub("grep", '[[ $* != *ID=debian* ]] && exec /usr/bin/grep "$@"')
    assert apt.exists()

    variables = exported(tmp_path)

    assert (variables["DIB_DISTRIBUTION_MIRROR"], variables["DIB_APT_SOURCES_CONF"]) == ("", "")


SNAPSHOT = {
    "DIB_DEBIAN_SNAPSHOT": "20260131T235959Z",
    "DIB_DEBIAN_SNAPSHOT_MIRROR": "http://snapshots.example/archive/",
}


@pytest.mark.usefixtures("apt")
def test_a_snapshot_is_the_only_source(tmp_path: Path) -> None:
    variables = exported(tmp_path, DIB_RELEASE="trixie", **SNAPSHOT)

    archive = "http://snapshots.example/archive/debian/20260131T235959Z"
    security = "http://snapshots.example/archive/debian-security/20260131T235959Z"
    assert variables["DIB_DISTRIBUTION_MIRROR"] == archive
    assert variables["DIB_APT_SOURCES_CONF"].splitlines() == [
        f"default:deb [check-valid-until=no] {archive} trixie main",
        f"updates:deb [check-valid-until=no] {archive} trixie-updates main",
        f"security:deb [check-valid-until=no] {security} trixie-security main",
    ]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"DIB_DEBIAN_SNAPSHOT": "yesterday"}, 'is "yesterday", expected a time like'),
        ({"DIB_DEBIAN_SNAPSHOT_MIRROR": ""}, "needs DIB_DEBIAN_SNAPSHOT_MIRROR"),
        ({"DIB_DISTRIBUTION_MIRROR": ARCHIVE}, "unset DIB_DISTRIBUTION_MIRROR"),
        ({"DIB_DEBIAN_SECURITY_MIRROR": SECURITY}, "unset DIB_DISTRIBUTION_MIRROR"),
    ],
)
def test_a_snapshot_that_is_not_said_clearly_ends_the_build(
    tmp_path: Path, variables: dict[str, str], message: str
) -> None:
    done = sourced(tmp_path, **{**SNAPSHOT, **variables})

    assert done.returncode == 1
    assert message in done.stderr


INDEX = """\
Origin: Debian
Date: {date}
MD5Sum:
 {digest} 10 main/binary-amd64/Packages
SHA256:
 {digest} 10 main/binary-amd64/Packages
 {digest} 10 main/binary-amd64/Packages.xz
 {other} 10 main/binary-arm64/Packages.xz
 {other} 10 contrib/binary-amd64/Packages.xz
"""


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    publish(folder)
    return folder


def publish(mirror: Path, *, digest: str = "aa", other: str = "bb", date: str = "Monday") -> None:
    for suite in ("bookworm", "bookworm-updates", "bookworm-security"):
        (mirror / "dists" / suite).mkdir(parents=True, exist_ok=True)
        index = INDEX.format(digest=digest, other=other, date=date)
        (mirror / "dists" / suite / "InRelease").write_text(index)


def fingerprint(run: Run, mirror: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    url = f"file://{mirror}"
    sources = "\n".join(
        [
            f"default:deb {url} bookworm main",
            f"updates:deb [arch=amd64 trusted=yes] {url}/ bookworm-updates main",
            f"  security:deb {url} bookworm-security main",
            f"source:deb-src {url} no-such-suite main",
        ]
    )
    return run(
        FINGERPRINT,
        **{
            "ARCH": "amd64",
            "DIB_RELEASE": "bookworm",
            "DIB_DISTRIBUTION_MIRROR": url,
            "DIB_APT_SOURCES_CONF": sources,
            **variables,
        },
    )


def test_the_fingerprint_has_a_line_for_each_suite(run: Run, mirror: Path) -> None:
    done = fingerprint(run, mirror)

    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "bookworm",
        "bookworm-updates",
        "bookworm-security",
    ]


def test_the_fingerprint_changes_with_the_packages(run: Run, mirror: Path) -> None:
    before = fingerprint(run, mirror).stdout

    publish(mirror, digest="cc")

    assert fingerprint(run, mirror).stdout != before


def test_the_fingerprint_keeps_through_a_new_date_and_other_packages(
    run: Run, mirror: Path
) -> None:
    before = fingerprint(run, mirror).stdout

    publish(mirror, date="Tuesday", other="dd")

    assert fingerprint(run, mirror).stdout == before


def test_the_fingerprint_reads_release_where_inrelease_is_missing(run: Run, mirror: Path) -> None:
    before = fingerprint(run, mirror).stdout
    index = mirror / "dists" / "bookworm" / "InRelease"

    index.rename(index.with_name("Release"))

    assert fingerprint(run, mirror).stdout == before


def test_where_only_the_tool_knows_a_mirror_its_packages_are_new_once_a_day(
    run: Run, mirror: Path
) -> None:
    done = fingerprint(run, mirror, DIB_DISTRIBUTION_MIRROR="", DIB_APT_SOURCES_CONF="")

    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"built-in bookworm main amd64 \d{4}-\d\d-\d\d\n", done.stdout)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"DIB_RELEASE": "bookwurm"}, 'fingerprint: cannot read suite "bookwurm" of file:'),
    ],
)
def test_a_fingerprint_that_cannot_be_taken_is_one_line(
    run: Run, mirror: Path, variables: dict[str, str], message: str
) -> None:
    done = fingerprint(run, mirror, **variables)

    assert done.returncode == 1
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_a_snapshot_is_its_own_fingerprint_and_nobody_is_asked(run: Run, tmp_path: Path) -> None:
    archive = f"file://{tmp_path}/nowhere/debian/20260131T235959Z"

    done = run(
        FINGERPRINT,
        ARCH="amd64",
        DIB_RELEASE="bookworm",
        DIB_DISTRIBUTION_MIRROR=archive,
        DIB_APT_SOURCES_CONF=f"updates:deb [check-valid-until=no] {archive} bookworm-updates main",
        DIB_DEBIAN_SNAPSHOT="20260131T235959Z",
    )

    assert done.stdout.splitlines() == [
        "bookworm main amd64 20260131T235959Z",
        "bookworm-updates main amd64 20260131T235959Z",
    ]


def test_a_snapshot_does_not_answer_for_another_source(run: Run, mirror: Path) -> None:
    done = fingerprint(run, mirror, DIB_DEBIAN_SNAPSHOT="20260131T235959Z", DIB_RELEASE="bookwurm")

    assert done.returncode == 1


def test_a_page_that_is_no_index_is_no_fingerprint(run: Run, mirror: Path) -> None:
    (mirror / "dists" / "bookworm" / "InRelease").write_text("<html>please log in</html>\n")

    assert fingerprint(run, mirror).returncode == 1
