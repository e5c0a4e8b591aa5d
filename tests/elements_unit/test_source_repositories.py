"""Which sources are fetched, what comes into the image, and what the fingerprint tells."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from .running import ELEMENTS, Run

if TYPE_CHECKING:
    from pathlib import Path

HOOK = "source-repositories/extra-data.d/98-source-repositories"
LIST = "source-repositories/sources/list"
FINGERPRINT = "source-repositories/fingerprint"

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="sources may be git's")


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-c", "user.name=me", "-c", "user.email=me@example", "-C", folder, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def committed(repository: Path, text: str) -> str:
    (repository / "file").write_text(text)
    git(repository, "add", "file")
    git(repository, "commit", "--quiet", "--message", text)
    return git(repository, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two commits on master, the first of them with a tag."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "master")
    committed(folder, "one")
    git(folder, "tag", "v1")
    committed(folder, "two")
    return folder


@pytest.fixture
def tarball(tmp_path: Path) -> Path:
    (tmp_path / "theme-1.0" / "css").mkdir(parents=True)
    (tmp_path / "theme-1.0" / "css" / "main.css").write_text("body {}")
    (tmp_path / "theme-1.0" / "README").write_text("read me")
    file = tmp_path / "theme.tar.xz"
    with tarfile.open(file, "w:xz") as archive:
        archive.add(tmp_path / "theme-1.0", "theme-1.0")
    return file


@dataclass(frozen=True, slots=True)
class Building:
    """A build in which elements ask for sources."""

    folder: Path
    run: Run

    @property
    def hooks(self) -> Path:
        return self.folder / "hooks"

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def ask(self, lines: str, name: str = "source-repository-x") -> None:
        (self.hooks / name).write_text(lines)

    def variables(self, **more: str) -> dict[str, str]:
        return {
            "TMP_MOUNT_PATH": str(self.root),
            "TMP_HOOKS_PATH": str(self.hooks),
            "IMAGE_NAME": "out/demo",
            "DIB_IMAGE_CACHE": str(self.folder / "cache"),
            "DIB_MANIFEST_IMAGE_DIR": "/etc/dib-manifests",
            "DIB_DEFAULT_INSTALLTYPE": "source",
            "GIT_CONFIG_NOSYSTEM": "1",
            **more,
        }

    def fetch(self, **more: str) -> subprocess.CompletedProcess[str]:
        return self.run(HOOK, **self.variables(**more))

    def listed(self, **more: str) -> list[list[str]]:
        done = self.run(LIST, self.hooks, **self.variables(**more))
        assert done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines()]

    def fetched(self, **more: str) -> None:
        done = self.fetch(**more)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def building(tmp_path: Path, run: Run) -> Building:
    for element in ("source-repositories", "cache-url"):
        shutil.copytree(ELEMENTS / element, tmp_path / "hooks", dirs_exist_ok=True)
    for folder in ("etc/dib-manifests", "tmp"):
        (tmp_path / "root" / folder).mkdir(parents=True)
    return Building(tmp_path, run)


def test_lines_are_expanded_and_comments_passed_over(building: Building) -> None:
    building.ask('# what we need\n\nmy-x git /opt/x "${BASE}/x.git"\ny tar /opt/y file:///y.tgz')

    assert building.listed(BASE="file:///base") == [
        ["my-x", "git", "/opt/x", "file:///base/x.git", "master"],
        ["y", "tar", "/opt/y", "file:///y.tgz", "*"],
    ]


def test_variables_go_before_the_line(building: Building) -> None:
    building.ask("my-x git /opt/x http://a.example/x.git main\n")

    listed = building.listed(
        DIB_REPOTYPE_my_x="tar",
        DIB_REPOLOCATION_my_x="http://b.example/x.tgz",
        DIB_REPOREF_my_x="x-1.0",
    )

    assert listed == [["my-x", "tar", "/opt/x", "http://b.example/x.tgz", "x-1.0"]]


def test_lines_may_end_in_a_comment_or_go_on(building: Building) -> None:
    building.ask("a git /opt/a /a.git main # why\nb git /opt/b \\\n  /b.git main\nc file /c /c\n")

    assert building.listed() == [
        ["a", "git", "/opt/a", "/a.git", "main"],
        ["b", "git", "/opt/b", "/b.git", "main"],
        ["c", "file", "/c", "/c", "-"],
    ]


def test_the_default_ref_is_that_of_the_type_in_the_line(building: Building) -> None:
    building.ask("a git /opt/a /a\nb tar /opt/b /b\nc file /opt/c /c\n")

    listed = building.listed(DIB_REPOTYPE_a="tar", DIB_REPOTYPE_b="git", DIB_REPOTYPE_c="tar")

    assert [line[-1] for line in listed] == ["master", "*", "*"]


def test_only_sources_whose_install_type_is_source_are_fetched(building: Building) -> None:
    building.ask("a file /a http://x.example/a\nb-c file /b http://x.example/b\nd package\n")

    types = {"DIB_DEFAULT_INSTALLTYPE": "package", "DIB_INSTALLTYPE_b_c": "source"}

    assert [name for name, *_ in building.listed(**types)] == ["b-c"]


def test_a_base_replaces_scheme_host_and_user_of_git_locations(building: Building) -> None:
    building.ask(
        "a git /a https://a.example/~me/x/a.git\n"
        "b git /b https://a.example/x/b.git\n"
        "c tar /c https://a.example/x/c.tgz\n"
    )

    listed = building.listed(
        DIB_GITREPOBASE="git://mine.example", DIB_REPOLOCATION_b="https://b.example/b.git"
    )

    assert [location for _, _, _, location, _ in listed] == [
        "git://mine.example/x/a.git",
        "https://b.example/b.git",
        "https://a.example/x/c.tgz",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x", '"x" is not NAME TYPE DESTINATION LOCATION [REF]'),
        ("x git /a b c d", "is not NAME TYPE"),
        ("x svn /a http://b.example", 'type "svn", none of git, tar, file, package'),
        ("x package", "its install type is source"),
        ("x git opt/x http://b.example", "needs an absolute destination"),
        ("x git /opt/x", "needs an absolute destination and a location"),
        ("x git /opt/x ${NO_SUCH_VARIABLE}", "NO_SUCH_VARIABLE: unbound variable"),
    ],
)
def test_a_line_that_makes_no_sense_is_named(building: Building, line: str, message: str) -> None:
    building.ask(f"# first\n{line}\n")

    done = building.run(LIST, building.hooks, **building.variables())

    assert done.returncode == 1
    assert message in done.stderr
    if "unbound" not in message:
        assert f"{building.hooks}/source-repository-x:2: " in done.stderr


def test_two_sources_with_one_destination_are_an_error(building: Building) -> None:
    building.ask("a file /opt/x http://x.example/a\n", "source-repository-a")
    building.ask("b file /opt/x http://x.example/b\n", "source-repository-b")

    done = building.fetch()

    assert done.returncode == 1
    assert 'destination "/opt/x" of "b" is that of another source' in done.stderr


def test_the_same_source_asked_for_twice_is_fetched_once(building: Building) -> None:
    for name in ("source-repository-a", "source-repository-b"):
        building.ask("a file /opt/x http://x.example/a\n", name)

    assert len(building.listed()) == 1


def test_a_git_source_is_a_clone_with_the_ref_checked_out(
    building: Building, repository: Path
) -> None:
    building.ask(f"x git /opt/x file://{repository} v1\n")

    building.fetched()

    clone = building.root / "opt/x"
    commit = git(repository, "rev-parse", "v1")
    assert (clone / "file").read_text() == "one"
    assert git(clone, "rev-parse", "HEAD") == git(clone, "rev-parse", "fetch_v1") == commit
    assert git(clone, "status", "--porcelain") == ""
    assert git(clone, "remote", "get-url", "origin") == f"file://{repository}"
    manifest = building.root / "etc/dib-manifests/dib-manifest-git-demo"
    assert manifest.read_text() == f"x git /opt/x file://{repository} {commit}\n"
    assert (building.root / "etc/dib-source-repositories").read_text() == "/opt/x\n"


def test_a_branch_that_moved_is_fetched_again(building: Building, repository: Path) -> None:
    building.ask(f"x git /opt/x file://{repository}\n")
    building.fetched()
    committed(repository, "three")
    shutil.rmtree(building.root / "opt")

    building.fetched()

    assert (building.root / "opt/x/file").read_text() == "three"


def test_offline_the_cache_will_do(building: Building, repository: Path) -> None:
    building.ask(f"x git /opt/x file://{repository}\n")
    building.fetched()
    shutil.rmtree(building.root / "opt")
    shutil.rmtree(repository)

    building.fetched(DIB_OFFLINE="1")

    assert (building.root / "opt/x/file").read_text() == "two"


def test_a_commit_in_the_cache_is_not_asked_for_again(building: Building, repository: Path) -> None:
    commit = git(repository, "rev-parse", "v1")
    building.ask(f"x git /opt/x file://{repository} {commit}\n")
    building.fetched()
    shutil.rmtree(building.root / "opt")
    shutil.rmtree(repository)

    building.fetched()

    assert git(building.root / "opt/x", "rev-parse", "HEAD") == commit


def test_a_ref_that_is_neither_branch_nor_tag_is_found(
    building: Building, repository: Path
) -> None:
    git(repository, "update-ref", "refs/changes/1", "v1")
    building.ask(f"x git /opt/x file://{repository} refs/changes/1\n")

    building.fetched()

    assert (building.root / "opt/x/file").read_text() == "one"


def test_all_branches_and_tags_come_with_a_star(building: Building, repository: Path) -> None:
    git(repository, "branch", "stable", "v1")
    building.ask(f"x git /opt/x file://{repository} *\n")

    building.fetched()

    clone = building.root / "opt/x"
    assert git(clone, "rev-parse", "stable") == git(repository, "rev-parse", "v1")
    assert (clone / "file").read_text() == "two"
    assert git(clone, "status", "--porcelain") == ""


def test_a_ref_that_is_missing_is_named(building: Building, repository: Path) -> None:
    building.ask(f"x git /opt/x file://{repository} nowhere\n")

    done = building.fetch()

    assert done.returncode == 1
    assert f'git source "file://{repository}": it has no "nowhere"' in done.stderr


def test_a_clone_of_something_else_is_not_overwritten(building: Building, repository: Path) -> None:
    building.ask(f"x git /opt/x file://{repository}\n")
    building.fetched()
    building.ask(f"x git /opt/x file://{repository}/../repository\n")

    done = building.fetch()

    assert done.returncode == 1
    assert "is there already, made from" in done.stderr


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        (".", ["theme-1.0/README", "theme-1.0/css/main.css"]),
        ("*", ["README", "css/main.css"]),
        ("", ["README", "css/main.css"]),
        ("theme-1.0/css", ["main.css"]),
    ],
)
def test_the_ref_of_a_tarball_says_which_part_comes(
    building: Building, tarball: Path, ref: str, expected: list[str]
) -> None:
    building.ask(f"x tar /opt/x file://{tarball} {ref}\n")

    building.fetched()

    destination = building.root / "opt/x"
    found = [path for path in destination.rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(destination)) for path in found) == expected
    assert list((building.root / "tmp").iterdir()) == []


def test_a_folder_that_the_tarball_lacks_is_named(building: Building, tarball: Path) -> None:
    building.ask(f"x tar /opt/x file://{tarball} nowhere\n")

    done = building.fetch()

    assert done.returncode == 1
    assert 'it has no folder "nowhere"' in done.stderr


def test_a_file_is_copied(building: Building, tarball: Path) -> None:
    building.ask(f"x file /opt/x/theme file://{tarball}\n")

    building.fetched()

    assert (building.root / "opt/x/theme").read_bytes() == tarball.read_bytes()


def test_nothing_is_fetched_where_that_is_not_allowed(building: Building) -> None:
    building.ask("x git /opt/x file:///nowhere\n")

    building.fetched(NO_SOURCE_REPOSITORIES="1")

    assert not (building.root / "etc/dib-source-repositories").exists()


def fingerprint(building: Building) -> str:
    done = building.run(FINGERPRINT, **building.variables())
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_fingerprint_changes_when_a_branch_moves_and_then_only(
    building: Building, repository: Path
) -> None:
    building.ask(f"x git /opt/x file://{repository}\n")
    before = fingerprint(building)
    git(repository, "branch", "other")

    unmoved = fingerprint(building)
    committed(repository, "three")

    assert unmoved == before
    assert fingerprint(building) != before


def test_the_fingerprint_says_something_where_there_is_no_source(building: Building) -> None:
    none_asked_for = fingerprint(building)
    building.ask("x git /opt/x file:///nowhere\n")
    none_wanted = building.run(
        FINGERPRINT, **{**building.variables(), "NO_SOURCE_REPOSITORIES": "1"}
    )

    assert none_asked_for.strip() != ""
    assert none_wanted.stdout == none_asked_for


def test_the_fingerprint_changes_with_a_file(building: Building, tarball: Path) -> None:
    building.ask(f"x file /opt/x file://{tarball}\n")
    before = fingerprint(building)

    tarball.write_bytes(b"another")

    assert "\nx\tfile\t/opt/x\t" in before
    assert fingerprint(building) != before


def test_a_server_that_does_not_answer_is_named(building: Building, tmp_path: Path) -> None:
    building.ask(f"x git /opt/x file://{tmp_path}/nowhere\n")

    done = building.run(FINGERPRINT, **building.variables())

    assert done.returncode == 1
    assert done.stderr.startswith(f'fingerprint: source "x": cannot ask file://{tmp_path}/nowhere')
