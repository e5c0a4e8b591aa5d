"""Tests of the command line of ``dibflow boot``."""

from pathlib import Path

import pytest

from dibflow.cli.main import main


def test_an_image_that_is_not_there_is_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["boot", str(tmp_path / "demo.qcow2")]) == 2
    assert "there is no image" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--wait-for", "("], "no regular expression"),
        (["--seed", "/no/such/folder"], 'there is no folder "/no/such/folder"'),
    ],
)
def test_a_mistake_is_told_before_anything_runs(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["boot", "demo.raw", *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [["--timeout", "0"], ["--forward", "22"], ["--forward", "0:22"], ["--accel", "hvf"]]
)
def test_options_that_make_no_sense_are_refused(options: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["boot", "demo.raw", *options])

    assert ended.value.code == 2
