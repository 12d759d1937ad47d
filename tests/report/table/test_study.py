"""The tables of published studies, from records of real runs that are given a line of a study's preset."""

import pytest

from effcomp.record import NotMeasured, Quality, Record
from effcomp.report.sources import find_records
from effcomp.report.table.study import SOURCE, STUDIES, study_tables
from tests.conftest import ROOT, altered, compose_parts, records


def under(preset: str, record: Record) -> Record:
    """The record as if the preset had been run."""
    study = compose_parts(f"+experiment/{preset}").config["study"]
    return record.model_copy(update={"config": {**record.config, "study": study}})


def kept(name: str, quant: str) -> Record:
    """A record of benchmarks/real_data."""
    found = find_records(ROOT / f"benchmarks/real_data/{name}.jsonl")
    return next(record for record in found if record.choices["quant"] == quant)


def test_records_without_a_study_have_no_table() -> None:
    assert study_tables(records("none", "nf4")) == []


def test_ours_stands_beneath_what_the_study_printed_under_its_own_headings() -> None:
    none, nf4 = records("none", "nf4")
    ((caption, frame),) = study_tables([under("gpt2_agnews=fp32", none), under("gpt2_agnews=nf4", nf4)])
    headings = ["Accuracy", "F1-Score", "Size (MB)", "Inference (ms)", "Compression (x)"]
    assert frame.columns.tolist() == ["Model", SOURCE, *headings]
    assert frame["Model"].tolist() == ["Baseline FP32"] * 2 + ["NF4 BitsAndBytes"] * 2
    assert frame.loc[2, headings].tolist() == ["0.9458", "0.9457", "127.86", "56.37", "3.71"]
    assert isinstance(nf4.quality, Quality)
    accuracy, weights = nf4.quality.accuracy, nf4.cost.size.weights_bytes
    assert frame.loc[3, "Accuracy"] == f"{accuracy.value:.3f} [{accuracy.low:.3f}, {accuracy.high:.3f}]"
    assert frame.loc[3, "Size (MB)"] == f"{weights / 2**20:.2f}"
    assert frame[SOURCE].tolist()[:2] == [
        "published: a CUDA GPU",
        f"measured: rotten_tomatoes, {none.truth.machine.device}, {none.truth.machine.threads} threads",
    ]
    assert caption.startswith(STUDIES["gpt2_agnews"].title)


def test_the_float32_model_is_not_compressed() -> None:
    ((_, frame),) = study_tables([under("gpt2_agnews=fp32", records("none")[0])])
    assert float(frame.loc[1, "Compression (x)"]) == pytest.approx(1, abs=0.01)


def test_the_caption_says_where_and_on_what_both_measured() -> None:
    none, nf4 = records("none", "nf4")
    ((caption, _),) = study_tables([under("gpt2_agnews=fp32", none), under("gpt2_agnews=nf4", nf4)])
    truth = none.truth
    data = f"{truth.data.train_examples:,} training and {truth.data.test_examples:,} test examples"
    assert f"Published: {STUDIES['gpt2_agnews'].setting}." in caption
    place = f"{truth.machine.device}, {truth.machine.threads} threads"
    assert f"Measured: minilm on rotten_tomatoes, {data}, {place}." in caption
    assert "Size (MB): stored weights" in caption


def test_lines_that_were_measured_under_other_circumstances_are_told_apart() -> None:
    none, nf4 = records("none", "nf4")
    elsewhere = altered(nf4, {"truth.machine.threads": 16})
    ((caption, _),) = study_tables([under("gpt2_agnews=fp32", none), under("gpt2_agnews=nf4", elsewhere)])
    assert f"Measured: Baseline FP32: minilm on rotten_tomatoes, {none.truth.data.train_examples:,} training" in caption
    assert "Measured: NF4 BitsAndBytes: minilm on rotten_tomatoes" in caption
    assert caption.endswith("where the study gave no number.")


def test_a_study_on_several_devices_has_a_line_for_each() -> None:
    ((_, frame),) = study_tables([under("distilbert_compression=fp32", records("none")[0])])
    assert frame[SOURCE].str.partition(": ")[0].tolist() == ["published"] * 3 + ["measured"]
    assert frame["Memory (MB)"].tolist()[:3] == ["1666.8", "282.9", "280.0"]


def test_what_was_printed_as_a_guess_stays_one() -> None:
    ((caption, frame),) = study_tables([under("resource_efficient=distilbert_sst2", records("none")[0])])
    assert frame.loc[0].tolist() == ["DistilBERT", "published: illustrative", "~90%", "≈ 0.90", "-"]
    assert "illustrative values, as the study itself says" in caption


def test_a_line_that_the_study_did_not_print_says_so() -> None:
    ((_, frame),) = study_tables([under("limited_compute=pruned40_int8", records("nf4")[0])])
    assert frame.loc[0].tolist() == ["Pruned+INT8 (40%)", "published: no number", "-", "-", "-", "-"]
    assert frame.loc[1, "VRAM ↑ (MB)"] == "not measured"


def test_random_weights_have_a_speed_and_no_accuracy() -> None:
    none = records("none")[0]
    changes = {
        "quality": NotMeasured(reason="model.weights=random: the model has learned nothing"),
        "config": {**none.config, "model": {**none.config["model"], "weights": "random"}},
    }
    ((caption, frame),) = study_tables([under("gpt2_agnews=fp32", none.model_copy(update=changes))])
    assert frame.loc[1, ["Accuracy", "F1-Score"]].tolist() == ["not measured"] * 2
    assert float(frame.loc[1, "Inference (ms)"].split()[0]) > 0
    assert "minilm on rotten_tomatoes, random weights," in caption
    assert "Quality was not measured: model.weights=random" in caption


def test_memory_on_a_gpu_is_that_of_its_tensors() -> None:
    cuda = kept("sst2_h100", "nf4")
    ((_, frame),) = study_tables([under("distilbert_compression=nf4", cuda)])
    assert cuda.cost.memory.gpu_allocated_bytes is not None
    assert frame["Memory (MB)"].tolist()[-1] == f"{cuda.cost.memory.gpu_allocated_bytes / 2**20:.1f}"


def test_xnli_has_a_column_for_each_language() -> None:
    ((_, frame),) = study_tables([under("resource_efficient=distilbert_xnli", kept("xnli", "none"))])
    assert frame.loc[0, ["Accuracy, English (%)", "Accuracy, Spanish (%)"]].tolist() == ["78%", "70%"]
    assert "[" in frame.loc[1, "Accuracy, English (%)"]


def test_language_models_are_compared_by_loss_and_perplexity_and_each_study_has_its_table() -> None:
    text = kept("wikitext2_h100", "none")
    found = study_tables([under("distilbert_lm=base", text), under("limited_compute=nf4", records("nf4")[0])])
    assert [caption.partition(".")[0] for caption, _ in found] == [
        "DistilBERT on WikiText and GSM8K",
        "Compression with limited compute: DistilBERT on SST-2",
    ]
    frame = found[0][1]
    assert frame["Perplexity"].tolist()[:2] == ["18764.7", "1313.57"]
    assert frame["Perplexity"][2].startswith(f"{text.quality.perplexity.value:.2f} [")
    fastest = max(speed.throughput_samples_per_s for speed in text.speed.by_batch_size.values())
    assert frame["Throughput (samples/sec)"][2] == f"{fastest:.1f}"
