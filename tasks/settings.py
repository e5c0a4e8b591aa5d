"""What dibflow sets in Luigi's configuration where a person has set nothing.

A user's own ``luigi.cfg`` (or LUIGI_CONFIG_PATH) always wins.
"""

from __future__ import annotations

import logging

import luigi.configuration
from luigi.cmdline_parser import CmdlineParser

from dibflow.errors import DibflowError

_DEFAULTS = {
    # Without these the luigi command ends with status 0 when a task has failed.
    ("retcode", "already_running"): "10",
    ("retcode", "missing_data"): "20",
    ("retcode", "not_run"): "25",
    ("retcode", "task_failed"): "30",
    ("retcode", "scheduling_error"): "35",
    ("retcode", "unhandled_exception"): "40",
    # Two builds of one image on one scheduler: look again soon, not after up to six seconds.
    ("worker", "wait_jitter"): "0.5",
    # The scheduler in this process cannot lose its worker, but after a minute's pause (Ctrl-Z, a
    # suspended machine, a clock that is set) it would think so and give out no more tasks. luigid
    # reads a configuration of its own.
    ("scheduler", "worker_disconnect_delay"): "inf",
}


class WithoutTraceback(logging.Filter):
    """Keep a person's mistake from being logged with a traceback; a bug keeps its own."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, those of a DibflowError as plain text."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, DibflowError):
            record.msg = f"{record.getMessage()}\n{error}"
            record.args = None
            record.exc_info = None
            record.exc_text = None
        return True


def apply() -> None:
    """Set the defaults, and how failures are logged. Called once, when the tasks are imported."""
    configuration = luigi.configuration.get_config()
    for (section, name), value in _DEFAULTS.items():
        if not configuration.has_option(section, name):
            configuration.set(section, name, value)
    logging.getLogger("luigi-interface").addFilter(WithoutTraceback())


def store_setting() -> str:
    """Give ``store`` of the section ``[dibflow]`` in Luigi's configuration; empty if not set."""
    configuration = luigi.configuration.get_config()
    return str(configuration.get("dibflow", "store", ""))


def under_luigi_command() -> bool:
    """Tell whether the luigi command is running us, rather than a program that imports us."""
    return CmdlineParser.get_instance() is not None
