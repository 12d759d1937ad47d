"""The run function on every kind of task and model, tiny, through the real code."""

import math
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM

from effcomp.core.errors import UserError
from effcomp.record import (
    GenerationQuality,
    GenerationVersus,
    LanguageQuality,
    LanguageVersus,
    Quality,
    Record,
    settings,
)
from effcomp.record.result import Result
from tests.conftest import DATA, MOVIES, SMALL, compose_parts, run_parts
from tests.tiny_models import GROUPED, write_decoder


def run_tiny(folder: Path, *overrides: str) -> Result:
    small = ["tracking=none", "finetune.epochs=1", f"store={folder}/store", "device=cpu", *SMALL, *overrides]
    return run_parts(compose_parts(*small))


def test_pairs_in_two_languages_are_scored_by_language(tiny_bert: Path, tmp_path: Path) -> None:
    record = run_tiny(
        tmp_path, f"model.path={tiny_bert}", "task=xnli", f"task.data_dir={DATA}/xnli", "task.languages=[en,es]"
    ).record
    assert isinstance(record.quality, Quality)
    assert list(record.quality.per_class) == ["entailment", "neutral", "contradiction"]
    assert {language: group.examples for language, group in record.quality.per_group.items()} == {"en": 12, "es": 12}
    mean = sum(group.accuracy.value for group in record.quality.per_group.values()) / 2
    assert record.quality.group_mean_accuracy == pytest.approx(mean)
    assert record.truth.data.train_examples == 30


def test_a_decoder_classifies_by_its_last_real_token(tiny_gpt2: Path, tmp_path: Path) -> None:
    overrides = [f"model.path={tiny_gpt2}", "model=gpt2", "task=ag_news", f"task.data_dir={DATA}/ag_news"]
    overrides += ["finetune.epochs=25", "finetune.batch_size=8", "finetune.learning_rate=3e-3", "task.max_length=64"]
    record = run_tiny(tmp_path, *overrides, "quant=int8_dynamic").record
    assert isinstance(record.quality, Quality)
    assert record.quality.accuracy.value >= 0.9, "padding would make its last token the same for every topic"
    assert list(record.quality.per_class) == ["World", "Sports", "Business", "Sci/Tech"]


def test_a_model_whose_own_code_fails_is_refused_before_its_training(tiny_gpt2: Path, tmp_path: Path) -> None:
    write_decoder(LlamaForCausalLM, tiny_gpt2, tmp_path / "llama", **GROUPED | {"num_key_value_heads": 3})
    overrides = [f"model.path={tmp_path}/llama", "model=gpt2", "task=sst2", f"task.data_dir={DATA}/sst2"]
    with pytest.raises(UserError, match="this checkpoint of llama fails in transformers"):
        run_tiny(tmp_path, *overrides, "task.max_length=32")


def test_a_decoder_is_scored_by_the_perplexity_of_every_token(tiny_gpt2: Path, tmp_path: Path) -> None:
    overrides = [f"model.path={tiny_gpt2}", "model=gpt2", "task=wikitext2", f"task.data_dir={DATA}/wikitext2"]
    record = run_tiny(tmp_path, *overrides, "task.max_length=32", "quant=int8_scratch").record
    quality, versus = record.quality, record.versus_baseline
    assert isinstance(quality, LanguageQuality)
    assert isinstance(versus, LanguageVersus)
    assert quality.perplexity.value == pytest.approx(math.exp(quality.loss.value))
    text = (DATA / "wikitext2/wiki.test.raw").read_text()
    words = len(text.split())
    total = quality.loss.value * quality.tokens
    assert quality.word_perplexity.value == pytest.approx(math.exp(total / words))
    assert versus.loss_difference.low <= versus.loss_difference.value <= versus.loss_difference.high
    assert abs(versus.loss_difference.value) < 0.05
    assert Record.from_json(record.to_json()) == record


def test_an_encoder_fills_the_same_masks_in_baseline_and_variant(tiny_bert: Path, tmp_path: Path) -> None:
    overrides = [f"model.path={tiny_bert}", "task=gsm8k", f"task.data_dir={DATA}/gsm8k", "task.max_length=32"]
    record = run_tiny(tmp_path, *overrides, "quant=none").record
    assert isinstance(record.quality, LanguageQuality)
    assert record.quality.word_perplexity is None
    assert isinstance(record.versus_baseline, LanguageVersus)
    assert record.versus_baseline.loss_difference.value == 0


def test_an_architecture_without_tokenizer_reads_synthetic_tokens(tmp_path: Path) -> None:
    small = (
        "model.architecture={model_type: gpt2, vocab_size: 300, n_positions: 128, n_embd: 64, n_layer: 1, n_head: 2}"
    )
    overrides = ["model=gpt2", "model.weights=random", small, "task=sst2", f"task.data_dir={DATA}/sst2"]
    record = run_tiny(tmp_path, *overrides).record
    assert record.truth.data.tokens == "synthetic"
    assert not hasattr(record.quality, "accuracy"), "no number that could be mistaken for one"
    assert record.quality.status == "not measured"
    assert record.speed.by_batch_size[4].throughput_tokens_per_s.value > 0
    assert record.truth.finetune_precision == "none"


def test_a_model_is_pruned_recovered_and_quantized_in_one_run(tiny_bert: Path, tmp_path: Path) -> None:
    data = [f"task.data_dir={MOVIES}", "task.test_size=20"]
    recovery = ["finetune@prune.recovery=distill", "prune.recovery.epochs=1"]
    result = run_tiny(tmp_path, f"model.path={tiny_bert}", *data, "prune=structured", *recovery, "quant=int8_dynamic")
    record, cost = result.record, result.record.cost
    assert cost.size.parameters == pytest.approx(cost.size.baseline_parameters - 33_000, rel=0.05), "half of the layers"
    assert cost.size.artifact_bytes < 0.5 * cost.size.baseline_artifact_bytes
    assert cost.training.recovery_s > 0
    assert result.recovery_curve[0]["loss"] > 0
    assert record.truth.kernels.int8_products
    assert settings(record.config)["prune.recovery"] == "distill"


def test_the_same_command_gives_the_same_predictions_in_another_store(tiny_bert: Path, tmp_path: Path) -> None:
    data = [f"model.path={tiny_bert}", f"task.data_dir={MOVIES}", "task.test_size=20", "device.threads=1"]
    outputs = []
    for name in ("first", "second"):
        run_tiny(tmp_path / name, *data, "prune=structured", "quant=int8_dynamic")
        outputs.append(sorted(file.read_bytes() for file in (tmp_path / name).rglob("outputs.safetensors")))
    assert len(outputs[0]) == 2, "of the baseline and of the variant"
    assert outputs[0] == outputs[1]


def test_a_decoder_writes_answers_that_are_judged_and_kept(tiny_gpt2: Path, tmp_path: Path) -> None:
    overrides = [f"model.path={tiny_gpt2}", "model=gpt2", "task=gsm8k_generation", f"task.data_dir={DATA}/gsm8k"]
    overrides += ["task.shots=0", "task.max_length=88", "task.new_tokens=40", "finetune.epochs=60"]
    overrides += ["finetune.batch_size=4", "finetune.learning_rate=3e-3", "quant=int8_scratch"]
    result = run_tiny(tmp_path, *overrides)
    quality, versus, writing = result.record.quality, result.record.versus_baseline, result.record.speed.writing
    assert isinstance(quality, GenerationQuality)
    assert isinstance(versus, GenerationVersus)
    assert quality.examples == len(result.texts) == 6
    assert all(row["variant"].startswith(" It makes ") for row in result.texts), "it has learned how an answer begins"
    assert all(row["reference"].startswith("It makes ") for row in result.texts)
    assert versus.identical_tokens.value > 0.5
    assert writing is not None
    assert writing.prefill_tokens_per_s > 0
    assert Record.from_json(result.record.to_json()) == result.record
