"""How the first root's tool is called, and what is said of an archive with a strange signature."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from .running import ELEMENTS, Run, Stub

if TYPE_CHECKING:
    from pathlib import Path

HOOK = "debootstrap/root.d/08-debootstrap"
MIRROR = "http://mirror.example/debian"


@dataclass(frozen=True, slots=True)
class Building:
    """A build whose mmdebstrap only notes how it was called."""

    folder: Path
    run: Run

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def make(self, **more: str) -> subprocess.CompletedProcess[str]:
        return self.run(
            HOOK,
            **{
                "TARGET_ROOT": str(self.root),
                "TMP_HOOKS_PATH": str(ELEMENTS / "dpkg"),
                "ARCH": "amd64",
                "DISTRO_NAME": "debian",
                "DIB_RELEASE": "bookworm",
                "DIB_DISTRIBUTION_MIRROR": MIRROR,
                "DIB_IMAGE_CACHE": str(self.folder),
                "TMPDIR": str(self.folder),
                **more,
            },
        )

    def called(self, **more: str) -> list[str]:
        done = self.make(**more)
        assert done.returncode == 0, done.stderr
        return (self.folder / "called").read_text().splitlines()


@pytest.fixture
def building(run: Run, stub: Stub, tmp_path: Path) -> Building:
    (tmp_path / "root" / "etc" / "apt").mkdir(parents=True)
    stub("mmdebstrap", f'printf "%s\\n" "$@" >"{tmp_path}/called"')
    return Building(tmp_path, run)


def test_the_mirror_is_the_last_word(building: Building) -> None:
    called = building.called(DIB_DEBIAN_COMPONENTS="main,contrib")

    assert called[-3:] == ["bookworm", str(building.root), MIRROR]
    assert "--components=main,contrib" in called


def test_the_sources_of_the_release_make_a_root_that_is_up_to_date(building: Building) -> None:
    own = [
        f"deb {MIRROR} bookworm main",
        f"deb {MIRROR} bookworm-updates main",
        "deb http://security.example bookworm-security main",
    ]
    other = "deb http://other.example stable main"

    called = building.called(DIB_APT_SOURCES_CONF="\n".join(f"x:{line}" for line in [*own, other]))

    assert called[-5:] == ["", str(building.root), *own]
    assert "--skip=cleanup/apt/lists" in called


def test_sources_without_the_mirror_leave_the_mirror_alone(building: Building) -> None:
    called = building.called(DIB_APT_SOURCES_CONF="x:deb http://other.example bookworm main")

    assert called[-3:] == ["bookworm", str(building.root), MIRROR]
    assert "--skip=cleanup/apt/lists" not in called


def test_the_packages_of_one_first_root_serve_the_next(building: Building, stub: Stub) -> None:
    # What mmdebstrap does with its hooks: one before it downloads, one when all is installed.
    stub(
        "mmdebstrap",
        f"""
for word; do
    case $word in
    --setup-hook=*) take=${{word#*=}} ;;
    --customize-hook=*) keep=${{word#*=}} ;;
    esac
done
cd "{building.root}"
sh -c "$take" exec "$PWD"
ls var/cache/apt/archives >"{building.folder}/called"
printf new >var/cache/apt/archives/apt_1_amd64.deb
sh -c "$keep" exec "$PWD"
rm -r var
""",
    )
    tree = {"TMP_HOOKS_PATH": str(ELEMENTS / "debootstrap")}

    first = building.called(**tree)
    second = building.called(**tree)

    assert (first, second) == ([], ["apt_1_amd64.deb"])
    shared = building.folder / "apt" / "debian"
    assert (shared / "apt_1_amd64.deb").read_text() == "new"
    assert {path.name for path in shared.iterdir()} == {
        "apt_1_amd64.deb",
        ".first-root-bookworm-amd64",
    }


def test_a_snapshot_may_be_out_of_date(building: Building) -> None:
    called = building.called(DIB_DEBIAN_SNAPSHOT="20260131T235959Z", DIB_DEBIAN_COMPONENTS="a,b")

    assert called[-1] == f"deb [check-valid-until=no] {MIRROR} bookworm a b"


def test_the_keyring_is_given_where_everybody_can_read_it(
    building: Building, stub: Stub, tmp_path: Path
) -> None:
    (tmp_path / "mine.key").write_text("-----BEGIN PGP PUBLIC KEY BLOCK-----\n")
    (tmp_path / "mine.key").chmod(0o600)
    look = 'for word; do case $word in --keyring=*) stat -c "%a %n" "${word#*=}";; esac; done'
    stub("mmdebstrap", f'{{ {look}; }} >"{tmp_path}/called"')

    mode, path = building.called(DIB_APT_KEYRING=str(tmp_path / "mine.key"))[0].split(" ", 1)

    assert mode == "644"
    assert path.endswith("/keys/mine.asc")


def test_a_strange_signature_names_key_and_keyring_and_what_to_set(
    building: Building, stub: Stub, tmp_path: Path
) -> None:
    (tmp_path / "mine.gpg").write_text("bytes")
    line = (
        "could not be verified because the public key is not available: NO_PUBKEY 37004A502913AFE3"
    )
    stub("mmdebstrap", f'echo "{line}" >&2; exit 1')

    done = building.make(DIB_APT_KEYRING=str(tmp_path / "mine.gpg"))

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"08-debootstrap: {MIRROR} is signed with key 37004A502913AFE3, which {tmp_path}/mine.gpg "
        "does not vouch for; DIB_APT_KEYRING names the keys to trust"
    )


def test_nothing_is_left_of_the_hook_s_own_files(building: Building) -> None:
    before = sorted(building.folder.iterdir())

    building.called()

    assert sorted(building.folder.iterdir()) == sorted([*before, building.folder / "called"])
