"""Checks of the GPU's memory, and warnings about labels."""

from pathlib import Path

import pytest

from effcomp.core.errors import UserError
from effcomp.core.store import Store
from effcomp.pipeline.checks import check_gpu_memory, count_parameters
from effcomp.pipeline.prepare import prepare
from effcomp.pipeline.run import result_key
from tests.conftest import compose_parts

BILLIONS = 10**9


def test_parameters_are_counted_without_memory_for_them(tmp_path: Path) -> None:
    config = compose_parts("model=bitnet", "model.weights=random").model.config(Store(tmp_path))
    assert count_parameters("causal_lm", config) == pytest.approx(2.41 * BILLIONS, rel=0.01)  # the head is the table


@pytest.mark.parametrize(
    ("finetune", "memory", "reason"),
    [
        ("none", 9.5, r"the float32 baseline of model=bitnet takes 9.6 GB .* and it has 9.5 GB; choose a smaller"),
        ("full", 38, r"finetune=full of model=bitnet takes 38.4 GB .* and it has 38.0 GB; finetune=lora"),
    ],
)
def test_what_cannot_fit_is_refused(finetune: str, memory: float, reason: str) -> None:
    way = compose_parts("model=bitnet", f"finetune={finetune}").finetune
    with pytest.raises(UserError, match=reason):
        check_gpu_memory("bitnet", way, int(2.4 * BILLIONS), int(memory * BILLIONS))
    check_gpu_memory("bitnet", way, int(2.4 * BILLIONS), int((memory + 1) * BILLIONS))


@pytest.mark.parametrize(
    ("trained", "tested", "words"),
    [
        ("bad", "good", "every test example has the label 'good'"),
        ("good", "bad", "1 of 2 test examples have the label 'bad', which no training example has"),
    ],
)
def test_a_test_of_one_label_and_a_label_of_the_test_alone_are_said(
    trained: str, tested: str, words: str, tiny_bert: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, last in (("train", trained), ("test", tested)):
        (tmp_path / f"{name}.csv").write_text(f"text,label\na film,good\nno film,{last}\n")
    table = ["task=table", "task.text=[text]", "task.label=label", "task.max_length=16", f"task.data_dir={tmp_path}"]
    files = ["task.train_files=[train.csv]", "task.test_files=[test.csv]", "task.labels={good:good,bad:bad}"]
    prepare(compose_parts(*table, *files, f"model.path={tiny_bert}", f"store={tmp_path}/store", "tracking=none"))
    assert words in caplog.text


def test_a_result_is_not_reused_for_a_model_of_other_columns(tiny_bert: Path, tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("a,b,label\n" + "".join(f"film {n},film {n},{n % 2}\n" for n in range(8)))
    table = ["task=table", "task.label=label", "task.max_length=16", f"task.data_dir={tmp_path}", "tracking=none"]
    table += ["task.train_files=[all.csv]", "task.test_share=0.5", f"model.path={tiny_bert}", f"store={tmp_path}/store"]
    runs = [prepare(compose_parts(*table, f"task.text=[{column}]", "device=cpu")) for column in ("a", "b")]
    assert runs[0].splits.fingerprint() == runs[1].splits.fingerprint()
    assert result_key(runs[0]) != result_key(runs[1])
