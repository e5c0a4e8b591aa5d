"""What the hooks and the program of dpkg do to a root, and that they may run twice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .running import ELEMENTS, Run, Stub

if TYPE_CHECKING:
    from pathlib import Path

INSTALL_PACKAGES = "dpkg/bin/install-packages"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    for name in (
        "sbin",
        "usr/sbin",
        "etc/dpkg/dpkg.cfg.d",
        "etc/apt/apt.conf.d",
        "etc/apt/trusted.gpg.d",
    ):
        (folder / name).mkdir(parents=True)
    (folder / "var/lib/apt/lists/partial").mkdir(parents=True)
    (folder / "sbin/start-stop-daemon").write_text("the real one")
    return folder


def hook(run: Run, root: Path, name: str, **variables: str) -> None:
    done = run(f"dpkg/{name}", TARGET_ROOT=str(root), **variables)
    assert done.returncode == 0, done.stderr


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def test_daemons_blocked_twice_are_unblocked_whole(run: Run, root: Path) -> None:
    before = files(root)

    hook(run, root, "root.d/50-block-daemons")
    hook(run, root, "root.d/50-block-daemons")
    blocked = (root / "sbin/start-stop-daemon").read_text()
    hook(run, root, "cleanup.d/40-unblock-daemons")
    hook(run, root, "cleanup.d/40-unblock-daemons")

    assert "doing nothing" in blocked
    assert (root / "sbin/start-stop-daemon").read_text() == "the real one"
    assert files(root) == before


@pytest.mark.parametrize(
    ("do", "undo"),
    [
        ("root.d/50-trim-dpkg", "cleanup.d/60-untrim-dpkg"),
        ("root.d/50-build-with-http-cache", "cleanup.d/50-remove-img-build-proxy"),
    ],
)
def test_what_concerns_only_the_build_is_undone(run: Run, root: Path, do: str, undo: str) -> None:
    before = files(root)

    hook(run, root, do, http_proxy="http://proxy.example:3128")
    between = files(root)
    hook(run, root, undo)

    assert between != before
    assert files(root) == before


ARMORED = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir()
    for name, text in (("mine.key", ARMORED), ("theirs.gpg", "bytes"), ("plain", "bytes")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    return folder


def modes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}


def test_keys_are_added_readable_for_everybody_and_named_by_their_form(
    run: Run, root: Path, keys: Path
) -> None:
    hook(
        run,
        root,
        "root.d/09-apt-keyring",
        DIB_ADD_APT_KEYS=str(keys),
        TMP_HOOKS_PATH=str(ELEMENTS / "dpkg"),
    )

    trusted = modes(root / "etc/apt/trusted.gpg.d")
    assert trusted == {"mine.asc": 0o644, "theirs.gpg": 0o644, "plain.gpg": 0o644}


def test_keys_are_brought_to_where_other_elements_put_theirs(
    run: Run, root: Path, keys: Path
) -> None:
    variables = {"TMP_MOUNT_PATH": str(root), "DIB_ADD_APT_KEYS": str(keys)}

    hook(run, root, "extra-data.d/01-copy-apt-keys", **variables)

    found = modes(root / "tmp/apt_keys")
    assert found == {"mine.key": 0o644, "theirs.gpg": 0o644, "plain": 0o644}


def test_the_folder_for_keys_is_there_without_any(run: Run, root: Path) -> None:
    hook(run, root, "extra-data.d/01-copy-apt-keys", TMP_MOUNT_PATH=str(root), DIB_ADD_APT_KEYS="")

    assert modes(root / "tmp/apt_keys") == {}


def test_translations_are_forgotten_and_other_lists_kept(run: Run, root: Path) -> None:
    lists = root / "var/lib/apt/lists"
    (lists / "x_i18n_Translation-en").touch()
    (lists / "x_InRelease").touch()

    hook(run, root, "root.d/50-block-apt-translations")

    assert [file.name for file in files(lists)] == ["x_InRelease"]


def test_the_manifest_is_json(run: Run, stub: Stub, tmp_path: Path) -> None:
    lines = '    {"package": "a","arch": "all","version": "1","status": "ii "},\\n'
    stub("dpkg-query", f"printf '{lines}{lines}'")

    done = run(
        "dpkg/finalise.d/99-write-dpkg-manifest",
        IMAGE_NAME="out/demo",
        DIB_MANIFEST_IMAGE_DIR=str(tmp_path),
    )

    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "dib-manifest-dpkg-demo").read_text())
    assert (
        manifest["packages"]
        == [{"package": "a", "arch": "all", "version": "1", "status": "ii "}] * 2
    )


@pytest.fixture
def apt(stub: Stub) -> None:
    stub("mountpoint", "exit 1")
    stub("apt-get", 'printf "%s %s\\n" "${DEBIAN_FRONTEND}" "${*##*--assume-yes }"')
    stub("pkg-map", 'for name in "${@:3}"; do echo "$2-${name} more"; done')


@pytest.mark.usefixtures("apt")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["curl", "git  vim"], "install curl git vim"),
        (["-e", "curl"], "remove curl"),
        (["-u"], "dist-upgrade"),
        (["-u", "curl"], "dist-upgrade curl"),
        (["-m", "web", "curl"], "install web-curl more"),
        (["curl", "-m", "web"], "install web-curl more"),
        (["curl", "-e"], "remove curl"),
    ],
)
def test_install_packages_runs_apt_once(run: Run, arguments: list[str], expected: str) -> None:
    done = run(INSTALL_PACKAGES, *arguments)

    assert done.stdout.split()[-len(expected.split()) :] == expected.split()
    assert done.stdout.startswith("noninteractive ")


@pytest.mark.usefixtures("apt")
def test_nothing_is_downloaded_to_a_folder_that_goes_with_the_step(run: Run) -> None:
    done = run(INSTALL_PACKAGES, "-d", "curl")

    assert done.returncode == 0
    assert "/var/cache/apt/archives is not shared" in done.stdout
    assert "noninteractive" not in done.stdout


@pytest.mark.usefixtures("apt")
@pytest.mark.parametrize("arguments", [[], [""], ["-e"], ["-m", "web"]])
def test_an_empty_list_is_no_error(run: Run, arguments: list[str]) -> None:
    done = run(INSTALL_PACKAGES, *arguments)

    assert done.returncode == 0
    assert "no packages to" in done.stdout


@pytest.mark.usefixtures("apt")
def test_a_name_that_cannot_be_mapped_fails(run: Run, stub: Stub) -> None:
    stub("pkg-map", "exit 1")

    assert run(INSTALL_PACKAGES, "-m", "web", "curl").returncode == 1
