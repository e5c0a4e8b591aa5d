"""Tests of what dibflow sets in Luigi's configuration."""

from __future__ import annotations

import time

import luigi.interface
import pytest

import dibflow.tasks  # noqa: F401 - sets the defaults
from dibflow.tasks import settings

_A_NIGHT_SECONDS = 12 * 3600


def test_the_local_scheduler_still_knows_its_worker_after_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.apply()
    scheduler = luigi.interface._WorkerSchedulerFactory().create_local_scheduler()
    scheduler.add_worker("ours", [])
    scheduler.add_task(worker="ours", task_id="next", family="Hook", params={})
    morning = time.time() + _A_NIGHT_SECONDS
    monkeypatch.setattr(time, "time", lambda: morning)

    scheduler.prune()

    assert scheduler.get_work(worker="ours")["task_id"] == "next"
