"""The elements about packages and services, all in one real build of a root without a kernel."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from dibflow import resources
from tests.system.archive import SNAPSHOT, SUITE
from tests.system.conftest import UbuntuMirror
from tests.system.harness import Workshop

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.needs(
        *("root-namespaces", "overlay", "debian-mirror", "mmdebstrap"),
        *("gpg", "dpkg-scanpackages", "git"),
    ),
]

_PATIENCE_SECONDS = 900

ELEMENTS = (
    *("apt-conf", "apt-preferences", "apt-sources", "dib-python", "dkms", "element-manifest"),
    *("ensure-venv", "pip-and-virtualenv", "source-repositories", "svc-map"),
)

DEBIAN = resources.elements_directory() / "debian-minimal"
SMALL = {
    **{name: (DEBIAN / name).read_text() for name in ("element-deps", "element-provides")},
    "environment.d/10-small": (DEBIAN / "environment.d/10-debian-minimal.bash").read_text(),
    "root.d/75-small": (DEBIAN / "root.d/75-debian-minimal-baseinstall")
    .read_text()
    .replace("systemd-sysv busybox sudo gnupg2 python3", "python3"),
}
"""debian-minimal without a kernel, an init system and sudo."""

WISHES = {
    "element-deps": "package-installs\n",
    "package-installs.yaml": """\
two-versions:
pager:
bc:
  build-only: true
ed:
  arch: vax
linux-headers-amd64:
  arch: amd64
linux-headers-arm64:
  arch: arm64
git:
  phase: post-install.d
  when: DIB_WISH = no
""",
    "pkg-map": '{"family": {"debian": {"pager": "less"}}}',
    "svc-map": "web-server:\n  default: httpd\n  debian: apache2\n",
    "source-repository-wishes": """\
tool git /opt/tool file://${DIB_WISH_FOLDER}/tool
theme tar /opt/theme file://${DIB_WISH_FOLDER}/theme.tar.gz .
note file /opt/note file://${DIB_WISH_FOLDER}/note
""",
    "post-install.d/50-trial": """\
#!/usr/local/bin/dib-python
import os, subprocess
def said(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip()
subprocess.run(["/bin/sh", "-c", os.environ["DIB_PYTHON_VIRTUALENV"] + " /opt/env"], check=True)
trial = {
    "pip": said("/bin/sh", "-c", os.environ["DIB_PYTHON_PIP"] + " --version"),
    "service": said("svc-map", "web-server"),
    "bc": os.path.exists("/usr/bin/bc"),
    "retries": said("apt-config", "dump", "--format", "%v", "Acquire::Retries"),
    "sudo": os.path.exists("/usr/bin/sudo"),
}
print(trial, file=open("/opt/trial", "w"))
""",
    "post-install.d/60-module": """\
#!/bin/bash
set -euo pipefail
mkdir -p /usr/src/hello-1
cp "$(dirname "$0")"/hello.* /usr/src/hello-1
mv /usr/src/hello-1/hello.conf /usr/src/hello-1/dkms.conf
mv /usr/src/hello-1/hello.make /usr/src/hello-1/Makefile
dkms add -m hello -v 1
""",
    "post-install.d/hello.make": "obj-m := hello.o\n",
    "post-install.d/hello.conf": """\
PACKAGE_NAME=hello
PACKAGE_VERSION=1
BUILT_MODULE_NAME=hello
DEST_MODULE_LOCATION=/updates/dkms
AUTOINSTALL=yes
MAKE="make -C /lib/modules/${kernelver}/build M=${dkms_tree}/hello/1/build modules"
""",
    "post-install.d/hello.c": """\
#include <linux/module.h>
MODULE_LICENSE("GPL");
""",
}
"""An element that asks the others for something."""


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755 if text.startswith("#!") else 0o644)


@pytest.fixture(scope="module")
def wished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the sources and the variables of the build name on the host."""
    folder = tmp_path_factory.mktemp("wished")
    packages = [{"package": "two-versions", "arch": "all", "version": "1", "status": "ii "}]
    write(
        folder,
        {
            "tool/run": "#!/bin/sh\n",
            "theme/main.css": "body {}\n",
            "note": "note well\n",
            "manifest": json.dumps({"packages": packages}),
            "apt.conf": 'Acquire::Retries "7";\n',
        },
    )
    with tarfile.open(folder / "theme.tar.gz", "w:gz") as archive:
        archive.add(folder / "theme", "theme")
    identity = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    for command in (
        ["init", "--quiet", "--initial-branch", "master"],
        ["add", "run"],
        [*identity, "commit", "--quiet", "--message", "first"],
    ):
        subprocess.run(["git", "-C", folder / "tool", *command], check=True)
    return folder


@dataclass(frozen=True)
class Built:
    """The image as a tar."""

    workshop: Workshop
    packages: dict[str, str]
    names: frozenset[str]

    def text(self, path: str) -> str:
        return self.workshop.text(path)


@pytest.fixture(scope="module")
def built(
    tmp_path_factory: pytest.TempPathFactory, ubuntu_mirror: UbuntuMirror, wished: Path
) -> Built:
    folder = tmp_path_factory.mktemp("elements")
    (folder / "sources.list").write_text(
        f"# the mirror of the tests\ndeb {ubuntu_mirror.url} {SUITE} main universe\n"
    )
    variables = {
        "DIB_RELEASE": SUITE,
        "DIB_DEBIAN_SNAPSHOT": SNAPSHOT,
        "DIB_DEBIAN_SNAPSHOT_MIRROR": f"{ubuntu_mirror.url}/snapshots",
        "DIB_APT_KEYRING": str(ubuntu_mirror.key.file),
        "DIB_APT_SOURCES": str(folder / "sources.list"),
        "DIB_APT_CONF": str(wished / "apt.conf"),
        "DIB_DPKG_MANIFEST": str(wished / "manifest"),
        "DIB_INSTALLTYPE_pip_and_virtualenv": "package",
        "DIB_WISH": "yes",
        "DIB_WISH_FOLDER": str(wished),
        "no_proxy": "127.0.0.1",
    }
    workshop = Workshop(folder, variables)
    write(workshop.elements / "small", SMALL)
    write(workshop.elements / "wishes", WISHES)
    command = ["dibflow", "build", "small", "wishes", *ELEMENTS, "--skip-base"]
    ended = workshop.run(
        *command, "--strict-inputs", "-t", "tar", "-o", "demo", patience_seconds=_PATIENCE_SECONDS
    )
    assert ended.status == 0, ended.output[-6000:]
    manifest = json.loads((folder / "demo.d/dib-manifests/dib-manifest-dpkg-demo").read_text())
    with tarfile.open(folder / "demo.tar") as archive:
        names = frozenset(archive.getnames())
    packages = {
        package["package"]: package["version"]
        for package in manifest["packages"]
        if package["status"].startswith("ii")
    }
    return Built(workshop, packages, names)


def test_packages_are_installed_by_their_conditions(built: Built) -> None:
    assert "less" in built.packages
    assert "ed" not in built.packages
    assert "bc" not in built.packages


def test_a_package_is_pinned_to_the_manifest_s_version(built: Built) -> None:
    assert built.packages["two-versions"] == "1"


def test_the_root_is_made_of_the_snapshot_though_it_is_out_of_date(built: Built) -> None:
    report = built.workshop.report()["fingerprints"]["debootstrap"]
    logs = (built.workshop.store / "logs").glob("*/*.log")
    asked = [log.read_text(errors="replace") for log in logs]

    assert report
    assert any(f"/snapshots/debian-security/{SNAPSHOT} {SUITE}-security" in text for text in asked)


def test_the_sources_are_the_file_and_nothing_else(built: Built) -> None:
    assert built.text("etc/apt/sources.list").startswith("# the mirror of the tests\n")
    assert [name for name in built.names if name.startswith("./etc/apt/sources.list.d/")] == []


def test_hooks_found_python_pip_services_and_settings(built: Built) -> None:
    trial = eval(built.text("opt/trial"))  # noqa: S307 - our own hook has written it

    assert trial["pip"].startswith("pip ")
    assert trial["service"] == "apache2"
    assert trial["retries"] == "7"
    assert not trial["bc"]
    assert not trial["sudo"]


def test_a_virtual_environment_survives_the_build(built: Built) -> None:
    with tarfile.open(built.workshop.folder / "demo.tar") as archive:
        links = {member.name: member.linkname for member in archive if member.issym()}

    assert links["./opt/env/bin/python3"] == "/usr/bin/python3"
    assert "./usr/local/bin/dib-python" not in built.names


def test_sources_are_where_they_were_asked_for(built: Built, wished: Path) -> None:
    assert built.text("opt/note") == "note well\n"
    assert built.text("opt/theme/theme/main.css") == "body {}\n"
    assert built.text("opt/tool/run") == "#!/bin/sh\n"
    listed = built.text("etc/dib-source-repositories").splitlines()
    assert listed == ["/opt/tool", "/opt/theme", "/opt/note"]
    record = (built.workshop.folder / "demo.d/dib-manifests/dib-manifest-git-demo").read_text()
    assert record.startswith(f"tool git /opt/tool file://{wished}/tool ")


@pytest.mark.skipif(os.uname().machine not in {"x86_64", "aarch64"}, reason="other headers")
def test_a_module_is_built_for_the_kernel_with_headers(built: Built) -> None:
    assert [name for name in built.names if "/updates/dkms/hello.ko" in name]


def test_the_elements_are_recorded(built: Built) -> None:
    folder = built.workshop.folder / "demo.d/dib-manifests"
    recorded = (folder / "dib-element-manifest").read_text().split()

    assert {"small", "wishes", *ELEMENTS} <= set(recorded)
    assert recorded == sorted(recorded)
