"""A multirun: one parent run, a child for each configuration, refused ones named, one report; what interrupts it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pandas as pd
import psutil
import pytest

from effcomp.record import Record
from effcomp.sweep.folder import SweepDescription
from effcomp.sweep.summary import summary_of
from tests.conftest import run_effcomp, start_effcomp


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, tiny: list[str]):
    folder = tmp_path_factory.mktemp("sweep")
    return folder, run_effcomp("-m", *tiny, "quant=none,int8_dynamic", "device.threads=1,4096", cwd=folder)


def test_what_can_run_runs_and_what_cannot_is_named(swept) -> None:
    _, ran = swept
    assert ran.code == 2, "two configurations cannot work"
    records = [Record.from_json(line) for line in ran.stdout.splitlines()]
    assert [(record.choices["quant"], record.truth.machine.threads) for record in records] == [
        ("none", 1),
        ("int8_dynamic", 1),
    ]
    assert "left out: " in ran.stderr
    assert "quant=int8_dynamic device.threads=4096: refused: device.threads=4096: this process" in ran.stderr


def test_the_configurations_share_one_fine_tuning(swept) -> None:
    folder, _ = swept
    assert len([path for path in (folder / "multirun/store/checkpoint").iterdir() if path.is_dir()]) == 1


def test_every_configuration_is_compared_on_the_same_examples(swept) -> None:
    _, ran = swept
    truths = [Record.from_json(line).truth for line in ran.stdout.splitlines()]
    assert len({truth.data.fingerprint for truth in truths}) == 1
    assert len({truth.baseline_artifact for truth in truths}) == 1


def test_the_report_is_written_and_the_way_to_it_is_printed(swept) -> None:
    folder, ran = swept
    report, *_ = sorted(folder.glob("multirun/*/*/results"))
    written = {file.name for file in report.iterdir()}
    assert written >= {
        "index.html",
        "comparison_table.md",
        "comparison_table.csv",
        "performance_comparison.png",
        "efficiency_comparison.png",
        "quality_speed.png",
    }
    assert "none (baseline)" in ran.stderr
    assert "results/index.html" in ran.stderr
    assert "make ui" in ran.stderr
    assert "http://127.0.0.1:5000/#/experiments/1?workflowType=machine_learning" in ran.stderr
    assert f"effcomp recommend {report.parent.relative_to(folder)} max_accuracy_drop=1" in ran.stderr
    assert "quant=none,int8_dynamic" in (more := ran.stderr[ran.stderr.index("20 test examples decide little") :])
    assert "'fold=range(5)'" in more


def test_the_winner_comes_with_its_folder_and_the_ways_to_load_and_to_serve_it(swept) -> None:
    folder, _ = swept
    goal = ["multirun", "max_accuracy_drop=50", "minimize=artifact_bytes"]
    ran = run_effcomp("recommend", *goal, cwd=folder, module="effcomp")
    assert ran.code == 0, ran.stderr
    run = re.findall(r"^record +(multirun/.+)/record\.json$", ran.stdout, flags=re.MULTILINE)[0]
    assert f'effcomp.load("{run}")' in ran.stdout
    assert f"models:/{(folder / run / 'model_id.txt').read_text()}" in ran.stdout


def test_mlflow_holds_a_parent_with_a_child_for_each_configuration(swept) -> None:
    folder, ran = swept
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("effcomp").experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}, (
        "a refused configuration does not make the sweep a failure"
    )
    (parent,) = [run for run in runs if run.data.tags["kind"] == "sweep"]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) == 2
    child = next(run for run in children if run.data.tags["quant"] == "int8_dynamic")
    record = Record.from_json(ran.stdout.splitlines()[1])
    assert "refused: device.threads=4096: this process" in parent.data.tags["mlflow.note.content"]
    assert child.data.metrics["quality/accuracy"] == record.quality.accuracy.value
    assert child.data.metrics["speed/by_batch_size.4.speedup.low"] == record.speed.by_batch_size[4].speedup.low
    assert child.data.metrics["cost/size.artifact_bytes"] == record.cost.size.artifact_bytes
    table = pd.read_csv(next(folder.glob("multirun/*/*/results/comparison_table.csv")))
    assert child.data.metrics["speed/latency_p50_ms"] == record.speed.latency_p50_ms.value
    assert child.data.metrics["latency_ms"] == pytest.approx(table["latency p50, ms"][1])
    assert parent.data.metrics["best/latency_ms"] == pytest.approx(table["latency p50, ms"].min())
    assert (child.data.params["quant"], child.data.params["quant.granularity"]) == ("int8_dynamic", "per_channel")
    assert {file.path for file in client.list_artifacts(child.info.run_id)} == {
        "record.json",
        "series.json",
        "times.npz",
        "confusion_matrix.json",
        "confusion_matrix.png",
    }
    assert len(client.get_metric_history(child.info.run_id, "training/loss")) >= 1
    assert Path(client.download_artifacts(parent.info.run_id, "results/index.html", str(folder))).is_file()


def test_a_sweep_that_is_run_again_measures_nothing_again_and_skips_what_is_no_configuration(
    swept, tiny: list[str]
) -> None:
    folder, first = swept
    choices = ["device.threads=1", "quant=none,int8_dynamic,int8_static", "prune.ratio=0.3,0.5"]
    again = run_effcomp("-m", *tiny, *choices, cwd=folder)
    assert again.code == 0, again.stderr
    records = [[Record.from_json(line) for line in ran.stdout.splitlines()] for ran in (first, again)]
    assert [record.truth.time for record in records[0]] == [record.truth.time for record in records[1]]
    assert records[0][0].quality == records[1][0].quality
    left_out = [line for line in again.stderr.splitlines() if line.startswith("left out: ")]
    assert [line.partition(": skipped: ")[0].removeprefix("left out: ") for line in left_out] == [
        "quant=none prune.ratio=0.5",
        "quant=int8_dynamic prune.ratio=0.5",
        "quant=int8_static prune.ratio=0.3",
        "quant=int8_static prune.ratio=0.5",
    ]
    assert "the same configuration as number 0" in left_out[0]
    assert "does not run on runtime=torch" in left_out[2]


def test_folds_are_averaged_in_the_report(tiny: list[str], tmp_path: Path) -> None:
    ran = run_effcomp("-m", *tiny, "tracking=none", "folds=2", "fold=range(2)", cwd=tmp_path)
    assert ran.code == 0, ran.stderr
    truths = [Record.from_json(line).truth for line in ran.stdout.splitlines()]
    assert truths[0].data.test_examples == truths[1].data.train_examples
    assert truths[0].data.fingerprint != truths[1].data.fingerprint
    assert "means over seeds or folds" in ran.stderr
    (means,) = tmp_path.glob("multirun/*/*/results/further_tables.md")
    assert "| 2 folds |" in means.read_text()
    assert "Means over seeds or folds" in (means.parent / "index.html").read_text()


def job_process(parent: psutil.Process, logged: str, folder: Path) -> psutil.Process:
    """The process that runs the configurations, once one of them has logged these words: the child
    that the sweep forked last, after a spare one."""
    end = time.monotonic() + 120
    while not any(logged in file.read_text() for file in folder.glob("multirun/*/*/*/run.log")):
        assert time.monotonic() < end, f"nothing logged {logged!r}"
        time.sleep(0.05)
    return parent.children()[-1]


def test_a_configuration_that_is_killed_is_recorded_and_the_others_go_on(tiny: list[str], tmp_path: Path) -> None:
    sweep = start_effcomp("-m", *tiny, "device.threads=1", "quant=none,int8_scratch", cwd=tmp_path)
    job_process(psutil.Process(sweep.pid), "fine-tuning", tmp_path).kill()
    assert sweep.wait(180) == 1
    (outcome,) = tmp_path.glob("multirun/*/*/*/outcome.json")
    assert json.loads(outcome.read_text())["status"] == "failed"
    assert "killed by signal 9 (out of memory?)" in json.loads(outcome.read_text())["reason"]
    (record,) = tmp_path.glob("multirun/2*/*/*/record.json")
    assert Record.read(record).choices["quant"] == "int8_scratch"


def test_a_configuration_whose_outputs_are_not_finite_fails_in_one_line_and_the_others_go_on(
    tiny: list[str], tiny_bert: Path, tmp_path: Path
) -> None:
    """The feed-forward layer of its last block computes some 1e6: fine in float32, infinite in float16."""
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_bert, tmp_path / "wide")
    tensors = load_file(folder / "model.safetensors")
    tensors["encoder.layer.1.output.dense.weight"].fill_(3e4)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    wide = [*tiny, f"model.path={folder}", "finetune.train_samples=16", "tracking=none"]
    ran = run_effcomp("-m", *wide, "device.emulated=true", "quant=fp16,none", cwd=tmp_path)
    assert ran.code == 1, ran.stderr
    (record,) = [Record.from_json(line) for line in ran.stdout.splitlines()]
    assert record.choices["quant"] == "none"
    (said,) = [line for line in ran.stderr.splitlines() if line.startswith("left out: ")]
    assert "quant=fp16" in said
    assert "failed: quant=fp16 on runtime=torch computes NaN or infinity, first in bert.encoder.layer.1.output" in said
    assert "Traceback" not in ran.stderr


def test_a_sweep_ended_by_ctrl_c_leaves_no_process_and_its_run_is_closed(tiny: list[str], tmp_path: Path) -> None:
    """One that is killed: tests/faults/test_run_again.py."""
    endless = [*tiny, "device.threads=1", "bench.turns=100000"]  # no processor measures them before it is stopped
    sweep = start_effcomp("-m", *endless, "quant=none,int8_scratch", cwd=tmp_path)
    child = job_process(psutil.Process(sweep.pid), "measuring", tmp_path)
    time.sleep(1)
    processes = [child, *child.children(recursive=True)]
    os.kill(sweep.pid, signal.SIGINT)
    assert sweep.wait(60) == 130
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert not alive
    again = run_effcomp("-m", *tiny, "device.threads=1", "quant=none", cwd=tmp_path)
    assert again.code == 0, again.stderr
    assert "fine-tuned before" in again.stderr, again.stderr
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("effcomp").experiment_id])
    assert {run.info.status for run in runs if run.data.tags["kind"] == "sweep"} == {"FINISHED", "FAILED"}


def test_a_sweep_without_a_report_is_closed_without_the_import_that_an_interrupt_may_have_cut(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from effcomp.sweep.summary import summary_of"
    code += "; assert summary_of(Path(sys.argv[1])) is None; print('matplotlib' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_a_sweep_without_a_record_is_summed_up_by_its_reasons(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    SweepDescription("quant=fp8", None, None, common=("quant=fp8",), configurations=1).write(tmp_path)
    outcome = {"overrides": ["quant=fp8", "seed=1"], "status": "refused", "reason": "it runs nowhere"}
    (tmp_path / "0/outcome.json").write_text(json.dumps(outcome))
    summary = summary_of(tmp_path)
    assert summary is not None and summary.results is None
    assert summary.description == "No configuration came through.\n\n- left out: seed=1: refused: it runs nowhere"
