"""A failure that nobody expected is one line, and its traceback stays in the log."""

from pathlib import Path

import pytest

from effcomp.core.failure import failure_line
from effcomp.core.process import ProcessFailed


def fail() -> None:
    raise ValueError("no such axis\nand much more")


def test_a_failure_is_told_in_one_line_and_its_traceback_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ValueError) as failed:
        fail()
    line = f"ValueError: no such axis ({__name__}, line 12); the traceback is in {tmp_path}/run/run.log"
    assert failure_line(failed.value, tmp_path / "run") == line
    assert "in fail" in (tmp_path / "run/run.log").read_text()
    failure_line(ProcessFailed("KeyError: 3 (torch, line 1)", "its own trace"), tmp_path / "run")
    assert (tmp_path / "run/run.log").read_text().splitlines()[-1] == "its own trace"


def test_a_traceback_that_no_log_takes_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").write_text("a file, where the folder was")
    with pytest.raises(ValueError) as failed:
        fail()
    assert failure_line(failed.value, tmp_path / "run").endswith("; the traceback is above")
    assert "in fail" in capsys.readouterr().err
