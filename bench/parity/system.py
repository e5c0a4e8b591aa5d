"""What a root says of its packages and enabled services, and a log of the order of its hooks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from bench.parity.tree import Entry

DPKG_STATUS = "var/lib/dpkg/status"
_UNITS = re.compile(r"(?:etc|usr/lib|lib)/systemd/(?:system|user)/.+")
_RUNLEVELS = re.compile(r"etc/rc[0-6S]\.d/[SK]\d\d(.+)")
_RUNNING = re.compile(r"dib-run-parts Running \S*/([a-z-]+\.d/\S+)$")
_IN_PHASE = re.compile(r"[a-z-]+\.d/\S+")


def packages_of(status: str) -> dict[str, str]:
    """Give the state and version of each package by name and architecture, from dpkg's database.

    Source: dpkg-query(1), deb822(5).
    """
    found = {}
    for paragraph in status.split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in paragraph.splitlines()
            if ": " in line and not line.startswith(" ")
        )
        if name := fields.get("Package"):
            architecture = fields.get("Architecture", "")
            found[f"{name}:{architecture}"] = f"{fields.get('Version')} ({fields.get('Status')})"
    return found


def services_of(entries: Mapping[str, Entry]) -> dict[str, str]:
    """Give what is enabled, masked or an alias: links of systemd's units, and of runlevels."""
    return {
        path: entry.target
        for path, entry in entries.items()
        if entry.kind == "symlink" and (_UNITS.fullmatch(path) or _RUNLEVELS.fullmatch(path))
    }


def hooks_in_log(lines: Iterable[str]) -> list[str]:
    """Name the hooks that DIB ran, ``phase.d/name``, in the order of its log."""
    return [match[1] for line in lines if (match := _RUNNING.search(line.rstrip()))]


def hooks_among(titles: Iterable[str]) -> list[str]:
    """Name the hooks among the titles of steps, which acts and environments are as well."""
    return [
        title
        for title in titles
        if _IN_PHASE.fullmatch(title) and not title.endswith("/environment")
    ]
