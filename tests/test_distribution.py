"""What is installed: the tracked files of the package, all of them, with their modes, once."""

from __future__ import annotations

import configparser
import stat
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parent.parent
PLACES = {
    "dibflow": "dibflow",
    "tasks": "dibflow/tasks",
    "elements": "dibflow/data/elements",
    "config": "dibflow/data/config",
}
"""Where the folders at the root of the repository are in an installed package."""


@dataclass(frozen=True, slots=True)
class File:
    """What must survive the way from the repository to a machine."""

    content: bytes
    executable: bool


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give what a clone would hold if what is staged were committed."""
    folder = tmp_path_factory.mktemp("checkout")
    subprocess.run(
        ["git", "-C", ROOT, "checkout-index", "--all", f"--prefix={folder}/"], check=True
    )
    return folder


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a wheel made from a source archive."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run([*build, str(checkout)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def tracked(checkout: Path) -> dict[str, File]:
    """Give the tracked files of the package by their installed paths."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "--stage", "-z"], capture_output=True, text=True, check=True
    )
    files = {}
    for line in listed.stdout.split("\0")[:-1]:
        details, _, name = line.partition("\t")
        mode = details.split()[0]
        top, *below = PurePosixPath(name).parts
        if top in PLACES and mode != "120000":
            installed = str(PurePosixPath(PLACES[top], *below))
            files[installed] = File((checkout / name).read_bytes(), mode == "100755")
    return files


pytestmark = pytest.mark.needs("git")


@pytest.mark.slow
def test_wheel_holds_the_tracked_files_once_and_nothing_else(
    wheel: Path, tracked: dict[str, File]
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        entries = [entry for entry in archive.infolist() if ".dist-info/" not in entry.filename]
        shipped = {
            entry.filename: File(archive.read(entry), bool(entry.external_attr >> 16 & 0o100))
            for entry in entries
        }

    assert len(entries) == len(shipped)
    assert shipped.keys() == tracked.keys()
    assert {name for name in tracked if shipped[name] != tracked[name]} == set()


@pytest.mark.slow
def test_installing_under_a_strict_umask_keeps_hooks_executable(
    wheel: Path, tracked: dict[str, File], tmp_path: Path
) -> None:
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"),
            *("--no-deps", "--no-compile", "--target", tmp_path, wheel),
        ],
        umask=0o077,
        check=True,
    )

    installed = {
        str(path.relative_to(tmp_path)): File(
            path.read_bytes(), bool(path.stat().st_mode & stat.S_IXUSR)
        )
        for path in (tmp_path / "dibflow").rglob("*")
        if path.is_file()
    }
    assert installed == tracked


LOCATE = """
import luigi, dibflow, dibflow.tasks
from dibflow import resources
print(dibflow.__file__)
print(dibflow.tasks.__name__)
print((resources.elements_directory() / "base").is_dir(), resources.host_tools_file().is_file())
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["checkout", "installed"])
def test_package_works_where_it_lies(
    form: str, checkout: Path, wheel: Path, tmp_path: Path
) -> None:
    place = checkout
    if form == "installed":
        place = tmp_path / "site"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(place)

    done = subprocess.run(
        [sys.executable, "-c", LOCATE],
        cwd=tmp_path,
        env={"PYTHONPATH": str(place)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == [
        str(place / "dibflow" / "__init__.py"),
        "dibflow.tasks",
        "True",
        "True",
    ]


def test_no_tool_is_configured_in_two_files() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    in_setup = {section.split(":")[0].split(".")[0] for section in setup.sections()}
    in_project = {*project["tool"], *(project.keys() - {"tool", "build-system"})}

    assert in_setup == {"metadata", "options", "mypy", "coverage"}
    assert in_project == {"ruff", "pytest"}
