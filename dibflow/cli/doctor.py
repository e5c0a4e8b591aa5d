"""``dibflow doctor``: what this host has for building images, and how to get what it lacks."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from dibflow.errors import HostError
from dibflow.host.examination import Finding, Host, State, ThisHost, examine, fixes
from dibflow.host.tools import read_tools
from dibflow.resources import host_tools_file
from dibflow.store.location import store_location

if TYPE_CHECKING:
    # argparse's own name for what add_subparsers gives is generic only for type checkers.
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to those of ``dibflow``; `run` becomes the attribute ``run``."""
    parser = subparsers.add_parser(
        "doctor",
        help="check what this host has for building images, and say how to get the rest",
        description="Check each thing a build needs of this host, by trying it. The exit status is "
        "0 if what every build needs is there, 4 otherwise; a note is for what some builds use.",
    )
    parser.add_argument("--store", default="", metavar="FOLDER", help="where layers will be kept")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Examine this host, print what was found, give the exit status."""
    host = ThisHost()
    listed = host_tools_file()
    findings = examine(
        host,
        tools=read_tools(listed.read_text(encoding="utf-8"), source=str(listed)),
        store=store_location(arguments.store, os.environ, uid=os.geteuid()),
    )
    print(as_json(findings) if arguments.json else as_text(findings, host=host))
    return exit_status(findings)


def exit_status(findings: Sequence[Finding]) -> int:
    """Give 0 if nothing that every build needs is missing, else the status of a HostError."""
    missing = any(finding.state is State.MISSING for finding in findings)
    return HostError.exit_status if missing else 0


def as_json(findings: Sequence[Finding]) -> str:
    """Print findings for programs: ``ready``, and each finding with its fields."""
    return json.dumps(
        {
            "ready": exit_status(findings) == 0,
            "findings": [asdict(finding) | {"state": finding.state.value} for finding in findings],
        },
        indent=2,
    )


def as_text(findings: Sequence[Finding], *, host: Host) -> str:
    """Print findings for people: one line each, below it what is wrong, at the end what to do."""
    return "\n".join(_lines(findings, host))


def _lines(findings: Sequence[Finding], host: Host) -> Iterator[str]:
    name_width = max(len(finding.name) for finding in findings)
    found_width = max(len(finding.found) for finding in findings)
    for finding in findings:
        state, found = finding.state.value, finding.found or "-"
        yield f"{state:<7}  {finding.name:<{name_width}}  {found:<{found_width}}  {finding.purpose}"
        if finding.problem:
            yield f"         {finding.problem}"
            yield f"         fix: {finding.fix}"
    yield ""
    remedies = fixes(host, findings)
    if remedies:
        yield "not ready to build images; what mends it:"
        yield from (f"    {remedy}" for remedy in remedies)
    else:
        yield "ready to build images"
