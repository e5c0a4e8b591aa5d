"""Packages, services and hooks, read from what a build leaves."""

from __future__ import annotations

from bench.parity.system import hooks_among, hooks_in_log, packages_of, services_of
from bench.parity.tree import Entry

STATUS = """\
Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2
Description: a shell
 Package: not this one

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
"""


def test_packages_have_version_and_state() -> None:
    assert packages_of(STATUS) == {
        "bash:amd64": "5.2 (install ok installed)",
        "gone:all": "1 (deinstall ok config-files)",
    }


def test_services_are_the_links_of_units_and_of_runlevels() -> None:
    link = Entry(kind="symlink", mode=0o777, owner=(0, 0), target="somewhere")
    file = Entry(kind="file", mode=0o644, owner=(0, 0))
    wanted = "etc/systemd/system/multi-user.target.wants/cron.service"

    found = services_of(
        {
            wanted: link,
            "etc/systemd/system/own.service": file,
            "etc/rc2.d/S01cron": link,
            "etc/rc.local": link,
            "usr/bin/sh": link,
        }
    )

    assert found == {wanted: "somewhere", "etc/rc2.d/S01cron": "somewhere"}


def test_hooks_of_dib_stand_in_its_log() -> None:
    log = [
        "2026-11-25 08:00:00.000 | dib-run-parts Sourcing environment file /t/environment.d/10-x\n",
        "2026-11-25 08:00:01.000 | dib-run-parts Running /tmp/dib/hooks/root.d/08-debootstrap\n",
        "2026-11-25 08:00:02.000 | dib-run-parts 08-debootstrap completed\n",
        "2026-11-25 08:00:03.000 | dib-run-parts Running /tmp/in_target.d/install.d/01-x\n",
    ]

    assert hooks_in_log(log) == ["root.d/08-debootstrap", "install.d/01-x"]


def test_hooks_of_dibflow_are_neither_acts_nor_environments() -> None:
    titles = ["prepare-root", "root.d/environment", "root.d/08-debootstrap", "output tar"]

    assert hooks_among(titles) == ["root.d/08-debootstrap"]
