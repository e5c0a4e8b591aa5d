"""Upstream's elements, as they are, over the tiny operating system: what works, and what must fail.

What cannot even be planned is in tests/planning/test_upstream.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.parity.builds import common_environment
from tests.system.harness import ELEMENTS, Ended, Workshop

upstream_paths = pytest.importorskip("diskimage_builder.paths", reason="needs diskimage-builder")
UPSTREAM = Path(upstream_paths.get_path("elements"))

pytestmark = pytest.mark.needs("root-namespaces", "overlay")


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A workshop whose elements are upstream's, and the tiny system."""
    workshop = Workshop(tmp_path)
    workshop.variables["ELEMENTS_PATH"] = f"{workshop.elements}:{ELEMENTS}:{UPSTREAM}"
    return workshop


def as_debian(workshop: Workshop) -> None:
    """Let the tiny system say that it is Debian, from an element's environment."""
    file = workshop.elements / "as-debian" / "environment.d" / "20-as-debian"
    file.parent.mkdir(parents=True)
    file.write_text("export DISTRO_NAME=debian\n")


def assert_failed(ended: Ended, hook: str, *words: str) -> None:
    """Check that a build failed in `hook`, for a reason that its output tells."""
    assert ended.status != 0
    assert "Traceback" not in ended.output, ended.output
    for word in (hook, *words):
        assert word in ended.output, ended.output


def test_hpdsa_refuses_what_is_not_ubuntu(workshop: Workshop) -> None:
    ended = workshop.build("hpdsa")

    assert_failed(
        ended,
        'root.d/10-hpdsa-check-distro of element "hpdsa" ended with status 1',
        "Only ubuntu is supported",
    )


def test_disable_selinux_fails_without_a_configuration_of_selinux(workshop: Workshop) -> None:
    ended = workshop.build("disable-selinux")

    assert_failed(
        ended, 'post-install.d/15-disable-selinux of element "disable-selinux" ended with status 1'
    )


def test_disable_selinux_works_together_with_selinux_permissive(workshop: Workshop) -> None:
    workshop.hook("selinux-folder/root.d/60-folder", 'mkdir -p "${TARGET_ROOT}/etc/selinux"')

    ended = workshop.build("selinux-folder", "selinux-permissive", "disable-selinux")

    assert ended.status == 0, ended.output
    assert workshop.text("etc/selinux/config") == "SELINUX=disabled\nSELINUXTYPE=targeted\n"


def test_dib_python_of_debian_wants_python_2_unless_told_otherwise(workshop: Workshop) -> None:
    as_debian(workshop)

    ended = workshop.build("as-debian", "dib-python")

    assert_failed(ended, 'pre-install.d/01-dib-python of element "dib-python" ended with status')
    assert "apt-get" not in ended.output


def test_fips_needs_a_program_that_debian_has_not(workshop: Workshop) -> None:
    as_debian(workshop)

    ended = workshop.build("as-debian", "fips")

    assert_failed(
        ended,
        'pre-install.d/01-setup-fips of element "fips" ended with status 127',
        "fips-mode-setup",
    )


@pytest.mark.needs("mmdebstrap", "debootstrap")
def test_mmdebstrap_refuses_the_root_that_debian_systemd_has_begun(workshop: Workshop) -> None:
    command = ("dibflow", "build", "-n", "-t", "tar", "-o", "demo", "debian-systemd")

    ended = workshop.run(*command, DIB_RELEASE="bookworm")

    assert_failed(
        ended, 'root.d/08-debootstrap of element "debootstrap" ended with status', "is not empty"
    )


@pytest.mark.needs("git")
def test_source_repositories_clones_what_an_element_names(workshop: Workshop) -> None:
    """Its hook makes a name out of what follows the last dot of the build's folder."""
    as_debian(workshop)
    source = workshop.folder / "source"
    git = ("git", "-C", str(source), "-c", "user.name=a", "-c", "user.email=a@example.org")
    source.mkdir()
    (source / "greeting").write_text("hello\n")
    for words in (("init", "-q", "-b", "master"), ("add", "."), ("commit", "-qm", "first")):
        assert workshop.run(*git, *words).status == 0
    workshop.hook(
        "with-source/extra-data.d/99-zz-look",
        'cp -r "$TMP_MOUNT_PATH/opt/it" "$TMP_MOUNT_PATH/etc/dib-manifests" .\n'
        "exit 3  # the tiny system has not what later hooks of package-installs need",
    )
    element = workshop.elements / "with-source"
    (element / "element-deps").write_text("source-repositories\n")
    (element / "source-repository-greeting").write_text(f"greeting git /opt/it file://{source}\n")

    ended = workshop.build("as-debian", "with-source")

    assert_failed(ended, 'extra-data.d/99-zz-look of element "with-source" ended with status 3')
    assert (workshop.folder / "it" / "greeting").read_text() == "hello\n"
    manifest = (workshop.folder / "dib-manifests" / "dib-manifest-git-demo").read_text()
    assert manifest.startswith(f"greeting git /opt/it file://{source} ")


@pytest.fixture(scope="module")
def debian_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that the builds of real Debians share, so that its root is made once."""
    return tmp_path_factory.mktemp("debian") / "store"


@pytest.mark.thorough
@pytest.mark.needs("debian-mirror", "mmdebstrap", "debootstrap")
@pytest.mark.parametrize(
    ("element", "package"),
    [
        ("stable-interface-names", "biosdevname"),
        ("oat-client", "oat-client"),
        ("dib-run-parts", "dib-utils"),
    ],
)
def test_packages_that_debian_has_not_are_named(
    workshop: Workshop, debian_store: Path, element: str, package: str
) -> None:
    environment = {**common_environment(workshop.environment()), "ELEMENTS_PATH": str(UPSTREAM)}
    environment["DIBFLOW_STORE"] = str(debian_store)
    command = ("dibflow", "build", "-t", "tar", "-o", "demo", element, "debian-minimal")

    ended = workshop.run(*command, patience_seconds=1800, **environment)

    assert_failed(
        ended,
        'install.d/01-package-installs of element "package-installs" ended with status',
        f"Unable to locate package {package}",
    )


def test_upstreams_elements_get_the_packages_that_they_name_and_none_of_ours(
    workshop: Workshop,
) -> None:
    """Upstream's program reads every folder of the path that bears an element's name."""
    workshop.hook(
        "look/extra-data.d/99-zz-look",
        'cp "${TMP_MOUNT_PATH}/tmp/package-installs.json" wishes.json\n'
        "exit 3  # there are no packages in the tiny system",
    )

    ended = workshop.build("look", "fail2ban")

    assert_failed(ended, 'extra-data.d/99-zz-look of element "look" ended with status 3')
    wishes = json.loads((workshop.folder / "wishes.json").read_text())
    assert wishes["install.d"]["install"] == [["fail2ban", "fail2ban"]]
