"""`effcomp check`: the verdict of each limit and of all, and what is refused before anything is measured."""

import shutil
from pathlib import Path

import pytest

from effcomp.artifact.description import ARTIFACT_FILE
from effcomp.command.check import judge, record_of
from effcomp.core.errors import UserError
from effcomp.core.interval import Interval
from effcomp.record import Record
from effcomp.report.choose.limits import LIMITS, parse_limits
from tests.conftest import DATA, altered, records, run_effcomp


def verdict(record: Record, *limits: str) -> str:
    return judge(record, parse_limits(list(limits), "--require", LIMITS))[0]


def test_a_limit_is_kept_or_broken_by_a_whole_interval_and_else_undecided() -> None:
    (nf4,) = records("nf4")
    speedup, difference = nf4.speed.speedup, Interval(value=-0.01, low=-0.02, high=-0.005)
    losing = altered(nf4, {"versus_baseline.accuracy_difference": difference})
    assert verdict(nf4, f"min_speedup={speedup.low}") == "kept"
    assert verdict(nf4, f"min_speedup={speedup.value}") == "undecided"
    assert verdict(nf4, f"min_speedup={speedup.high + 0.01}") == "broken"
    assert [verdict(losing, f"max_accuracy_drop={points}") for points in (2, 1, 0.4)] == ["kept", "undecided", "broken"]


def test_one_broken_limit_breaks_all_and_an_undecided_one_leaves_it_open() -> None:
    (nf4,) = records("nf4")
    kept, broken = "max_artifact_bytes=1e12", "max_artifact_bytes=1"
    undecided = f"min_speedup={nf4.speed.speedup.value}"
    assert verdict(nf4, kept) == "kept"
    assert verdict(nf4, kept, undecided) == "undecided"
    assert verdict(nf4, undecided, broken, kept) == "broken"


def test_the_baseline_loses_nothing_against_itself() -> None:
    (none,) = records("none")
    assert verdict(none, "max_accuracy_drop=0.5") == "kept"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ["RECORD", "--require", "max_accuracy_drop=little"],
            "max_accuracy_drop=little: little is no number",
        ),
        (["RECORD", "--require", "max_latency=3"], "--require max_latency=3: give any of max_accuracy_drop"),
        (["RECORD", "--require", "max_perplexity_increase=3"], "has no such number"),
        (["SWEEP", "--require", "max_accuracy_drop=1"], "has 2 records"),
        (["nosuch", "--require", "max_accuracy_drop=1"], "nosuch does not exist"),
    ],
)
def test_what_cannot_be_checked_is_refused_before_it_is_measured(words: list[str], reason: str, tmp_path: Path) -> None:
    nf4, none = ((DATA / f"records/{name}.json").read_text().strip() for name in ("nf4", "none"))
    (tmp_path / "record.json").write_text(nf4)
    (tmp_path / "sweep.jsonl").write_text(f"{nf4}\n{none}\n")
    places = {"RECORD": "record.json", "SWEEP": "sweep.jsonl"}
    ran = run_effcomp("check", *(places.get(word, word) for word in words), cwd=tmp_path, module="effcomp")
    assert ran.code == 2
    assert reason in ran.stderr and ran.stderr.count("\n") == 1
    assert not list(tmp_path.glob("multirun/*-*"))


def stored(folder: Path, name: str, record: Record) -> None:
    (folder / f"result/{name}").mkdir(parents=True)
    (folder / f"result/{name}/record.json").write_text(record.to_json() + "\n")


def test_an_artifact_is_measured_as_it_was_in_its_own_store_and_refused_where_that_was_in_several_ways(
    tmp_path: Path,
) -> None:
    (nf4,) = records("nf4")
    artifact = tmp_path / "artifact" / nf4.truth.artifact
    artifact.mkdir(parents=True)
    (artifact / ARTIFACT_FILE).write_text("{}")
    stored(tmp_path, "one", nf4)
    (tmp_path / "result/damaged").mkdir()
    (tmp_path / "result/damaged/record.json").write_text("{")
    record, place = record_of(str(artifact))
    assert (record, place) == (nf4, [f"store={tmp_path}"])
    other = nf4.model_copy(update={"config": nf4.config | {"choices": nf4.choices | {"runtime": "compile"}}})
    stored(tmp_path, "two", other)
    with pytest.raises(UserError, match=r"was measured as runtime=compile .*; runtime=torch .*: give the folder"):
        record_of(str(artifact))


def test_a_measurement_that_fails_is_no_wrong_command(tiny: list[str], tiny_bert: Path, tmp_path: Path) -> None:
    """The feed-forward layer of its last block computes infinity in float16."""
    from safetensors.torch import load_file, save_file

    ran = run_effcomp(*tiny, "tracking=none", "device.emulated=true", "quant=fp16", cwd=tmp_path)
    assert ran.code == 0, ran.stderr
    folder = shutil.copytree(tiny_bert, tmp_path / "wide")
    tensors = load_file(folder / "model.safetensors")
    tensors["encoder.layer.1.output.dense.weight"].fill_(3e4)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (run,) = {file.parent for file in tmp_path.glob("multirun/2*/*/record.json")}
    words = ["--require", "max_artifact_bytes=1e9", "--with", f"model.path={folder}"]
    checked = run_effcomp("check", str(run), *words, cwd=tmp_path, module="effcomp")
    assert (checked.code, checked.stdout) == (4, "")
    assert "error: nothing was decided: quant=fp16 on runtime=torch computes NaN or infinity" in checked.stderr
