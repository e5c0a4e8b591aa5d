"""Open builds for tasks: plan a new request, or read one back from the store."""

from __future__ import annotations

import os
from pathlib import Path

from dibflow.engine.build import Build, BuildRequest, Shelf, asked_before, prepare
from dibflow.engine.freshness import SystemClock
from dibflow.errors import StoreError
from dibflow.sandbox import lvm
from dibflow.sandbox.run import NamespaceSandbox
from dibflow.store import lease
from dibflow.store.store import DirectoryStore, RecordKind


def plan_build(request: BuildRequest, *, shelf: Shelf | None = None) -> Build:
    """Plan a request against its store, on this machine, with its clock.

    `shelf` may be shared among requests with the same ``ELEMENTS_PATH``.
    """
    store = DirectoryStore(request.store)
    lease.hold(store.root)
    store.reconcile(before_removal=lvm.forget)
    return prepare(
        request, store=store, sandbox=NamespaceSandbox(), clock=SystemClock(), shelf=shelf
    )


def open_build(store: Path, build_id: str) -> Build:
    """Read a build back that another process has begun. Raises StoreError if it is not there."""
    opened = DirectoryStore(store)
    lease.hold(store)
    record = opened.read(RecordKind.BUILD, build_id)
    if record is None:
        raise StoreError(
            f'opening build {build_id}: the store "{store}" does not have it',
            hint="begin it again with the command that made it",
        )
    request = asked_before(record, store=store, environment=dict(os.environ))
    return prepare(request, store=opened, sandbox=NamespaceSandbox(), clock=SystemClock())
