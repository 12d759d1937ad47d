"""Lines of a sweep in progress: place, time left, and a row of the table for each configuration that ended."""

import json
import os
from pathlib import Path

import pytest

from effcomp.record import RECORD_FILE
from effcomp.sweep.folder import OUTCOME_FILE, SWEEP_FILE
from effcomp.sweep.lifecycle import common_to_all
from effcomp.sweep.progress import say_begin, say_end, time_left
from tests.conftest import DATA

RECORD = (DATA / "before_ids/record.json").read_text()


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    known = {"name": "", "parent_run": None, "uri": None, "common": ["task=bbc_news"], "configurations": 12}
    (tmp_path / SWEEP_FILE).write_text(json.dumps(known))
    os.utime(tmp_path / SWEEP_FILE, (1000, 1000))
    return tmp_path


def end(sweep: Path, number: int, at: int, file: str = RECORD_FILE, text: str = RECORD) -> Path:
    folder = sweep / str(number)
    folder.mkdir()
    (folder / file).write_text(text)
    os.utime(folder / file, (at, at))
    return folder


def test_the_first_configuration_says_its_place_and_what_varies(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say_begin(sweep, sweep / "0", ["task=bbc_news", "quant=nf4"])
    assert capsys.readouterr().err == "1 of 12: quant=nf4\n"


def test_the_time_left_is_that_of_a_typical_configuration(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    end(sweep, 0, at=2000)  # trained the model
    end(sweep, 1, at=2030)
    end(sweep, 2, at=2060)
    assert time_left(sweep) == 9 * 30
    say_begin(sweep, sweep / "3", ["task=bbc_news", "quant=nf4"])
    assert capsys.readouterr().err == "4 of 12: quant=nf4; about 4 min left\n"


def test_the_first_estimate_leaves_out_the_training_that_the_others_share(sweep: Path) -> None:
    trained = json.loads(RECORD)
    trained["cost"]["finetune_s"] = 900.0
    end(sweep, 0, at=2000, text=json.dumps(trained))
    assert time_left(sweep) == 11 * 100


def test_what_every_configuration_has_varies_in_none() -> None:
    typed = ["tracking.uri=http://127.0.0.1:5000", "quant=none,bf16", "task.data_dir='a b'"]
    assert common_to_all(typed) == (r"tracking.uri=http\://127.0.0.1\:5000", "task.data_dir='a b'")


def test_the_table_grows_by_a_row_for_each_configuration(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    not_logged = end(sweep, 0, at=2000)
    (not_logged / OUTCOME_FILE).write_text('{"status": "not logged"}')
    say_end(sweep, not_logged, ["quant=int8_dynamic"])
    failed = json.dumps({"status": "failed", "reason": "", "overrides": []})
    say_end(sweep, end(sweep, 1, 2030, OUTCOME_FILE, failed), ["quant=" + "a_very_long_name_" * 5])
    headings, first, second = capsys.readouterr().err.splitlines()
    assert headings.split()[:2] == ["configuration", "quality"]
    assert first.startswith("1 of 12  quant=int8_dynamic ")
    assert second.endswith("failed")
    assert max(map(len, (headings, first, second))) <= 100
    say_end(sweep, end(sweep, 3, at=2045), ["quant=int8_dynamic", "runtime=onnxruntime"])
    assert "  quant=int8_dynamic runtime=onnxruntime " in capsys.readouterr().err, "the usual two stay whole"
    say_end(sweep, end(sweep, 2, at=2060), ["quant=int8_dynamic", "prune=none", "runtime=torch", "test_slice=[0,0.5]"])
    assert capsys.readouterr().err.startswith("3 of 12  int8_dynamic none torch [0,0.5] ")
    assert len(first) >= first.index("x ") > headings.index("speed-up"), "cells stand under their headings"
