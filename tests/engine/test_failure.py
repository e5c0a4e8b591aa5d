from __future__ import annotations

from pathlib import Path

from dibflow.engine.failure import hook_failed, last_lines
from dibflow.planning.phases import Phase
from dibflow.planning.plan import Step, StepKind

HOOK = Step(number=1, kind=StepKind.HOOK, phase=Phase.INSTALL, name="10-x", element="app")


def test_the_last_lines_are_the_last_twenty(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))

    assert last_lines(log)[0] == "line 80"
    assert len(last_lines(log)) == 20


def test_a_long_log_is_read_from_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("x" * 1_000_000 + "\nlast\n")

    assert last_lines(log)[-1] == "last"


def test_a_signal_is_named_by_its_number(tmp_path: Path) -> None:
    error = hook_failed(HOOK, status=137, log=tmp_path / "none", store=Path("/s"))

    assert "was ended by signal 9" in error.message
    assert "(nothing)" in error.message


def test_the_way_back_in_is_a_command_to_paste() -> None:
    error = hook_failed(HOOK, status=1, log=Path("/none"), store=Path("/my store"))

    assert f"dibflow shell --store '/my store' {HOOK.key[:12]}" in error.hint
