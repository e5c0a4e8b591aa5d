"""Which hooks install-types links into install.d."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from .running import Run

HOOK = "install-types/extra-data.d/99-enable-install-types"


@pytest.fixture
def install_d(tmp_path: Path) -> Path:
    folder = tmp_path / "hooks" / "install.d"
    for name in ("web-source", "web-package", "my-db-source", "my-db-package"):
        (folder / f"{name}-install").mkdir(parents=True)
        (folder / f"{name}-install" / f"50-{name}").touch()
    (folder / "10-plain").touch()
    return folder


def links(folder: Path) -> dict[str, str]:
    return {file.name: str(file.readlink()) for file in folder.iterdir() if file.is_symlink()}


def enable(run: Run, folder: Path, **variables: str) -> None:
    done = run(
        HOOK,
        **{"DIB_DEFAULT_INSTALLTYPE": "source", "TMP_HOOKS_PATH": str(folder.parent), **variables},
    )
    assert done.returncode == 0, done.stderr


def test_the_default_type_is_linked_for_all(run: Run, install_d: Path) -> None:
    enable(run, install_d)

    assert links(install_d) == {
        "50-web-source": "web-source-install/50-web-source",
        "50-my-db-source": "my-db-source-install/50-my-db-source",
    }


def test_a_variable_chooses_for_one(run: Run, install_d: Path) -> None:
    enable(run, install_d, DIB_INSTALLTYPE_my_db="package")

    assert set(links(install_d)) == {"50-web-source", "50-my-db-package"}


def test_a_type_that_the_element_does_not_have_links_nothing(run: Run, install_d: Path) -> None:
    enable(run, install_d, DIB_INSTALLTYPE_web="wheel")

    assert set(links(install_d)) == {"50-my-db-source"}


def test_a_second_run_changes_nothing(run: Run, install_d: Path) -> None:
    enable(run, install_d, DIB_DEFAULT_INSTALLTYPE="package")
    first = links(install_d)

    enable(run, install_d, DIB_DEFAULT_INSTALLTYPE="package")

    assert links(install_d) == first


def test_files_beside_a_hook_are_linked_too(run: Run, install_d: Path) -> None:
    (install_d / "web-source-install" / "data.txt").touch()

    enable(run, install_d)

    assert "data.txt" in links(install_d)


def test_an_empty_folder_links_nothing(run: Run, install_d: Path) -> None:
    (install_d / "web-source-install" / "50-web-source").unlink()

    enable(run, install_d)

    assert set(links(install_d)) == {"50-my-db-source"}


def test_a_build_without_install_d_is_no_error(run: Run, tmp_path: Path) -> None:
    enable(run, tmp_path / "install.d")
