"""Structured pruning: what matters stays, as much as was asked for, and the files get smaller."""

from math import prod
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from effcomp.artifact.folder import Compression, Trained, load_artifact, write_artifact
from effcomp.artifact.safetensors import Safetensors, weights_file
from effcomp.core.errors import UserError
from effcomp.finetune.base import TrainingSetup
from effcomp.models.base import load_checkpoint
from effcomp.models.blocks import counts, dense_counts, layers_with_units
from effcomp.models.heads import Head
from effcomp.models.linear import matrix, unify_linear
from effcomp.pipeline.compose import choices
from effcomp.prune.importance import magnitude, taylor
from effcomp.prune.structured import Structured, share
from effcomp.quant.base import Quant
from effcomp.quant.lowering import TensorLowering, lowering, lowerings
from tests.conftest import DATA, MOVIES, compose_parts
from tests.training import new_setup

CLASSIFIER: Head = "sequence_classification"
QUANTS = [quant for quant in choices("quant", Quant) if "torch" in lowerings(quant)]
CASES: list[tuple[str, Head]] = [
    ("tiny_bert", CLASSIFIER),
    ("tiny_distilbert", CLASSIFIER),
    ("tiny_gpt2", "causal_lm"),
    ("tiny_gptneo", "causal_lm"),
    ("tiny_llama", CLASSIFIER),
    ("tiny_bitnet", "causal_lm"),
]
"""An architecture of each kind, and the head that it is tried with."""
UNCALIBRATED = [quant for quant in QUANTS if quant.name != "ternary" and quant.calibration_samples == 0]


def overrides(fixture: str, head: Head, request: pytest.FixtureRequest) -> list[str]:
    kind = "minilm" if fixture in {"tiny_bert", "tiny_distilbert"} else "gpt2"
    data = [f"task.data_dir={MOVIES}", "task.test_size=20"]
    if head != CLASSIFIER:
        data = ["task=wikitext2", f"task.data_dir={DATA / 'wikitext2'}", "task.max_length=32"]
    return [f"model={kind}", f"model.path={request.getfixturevalue(fixture)}", *data]


def setup_for(fixture: str, head: Head, request: pytest.FixtureRequest, tmp_path: Path) -> TrainingSetup:
    setup = new_setup(compose_parts(*overrides(fixture, head, request)), head, tmp_path / "pruned")
    torch.manual_seed(0)
    with torch.no_grad():  # a tiny new model's layers hardly matter to its loss: these do
        for parameter in setup.model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return setup


def structured(*settings: str) -> Structured:
    prune = compose_parts("prune=structured", *settings).prune
    assert isinstance(prune, Structured)
    return prune


@pytest.mark.parametrize(
    ("fixture", "head"),
    [
        ("tiny_bert", CLASSIFIER),
        ("tiny_bert", "masked_lm"),
        ("tiny_distilbert", CLASSIFIER),
        ("tiny_gpt2", "causal_lm"),
        ("tiny_gptneo", "causal_lm"),
        ("tiny_llama", CLASSIFIER),
        ("tiny_bitnet", "causal_lm"),
    ],
)
def test_taylor_finds_the_units_that_change_nothing(
    fixture: str, head: Head, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    setup = setup_for(fixture, head, request, tmp_path)
    weights = {name: parameter.clone() for name, parameter in setup.model.named_parameters()}
    with torch.no_grad():  # large weights that make it, and nothing that reads it
        for (layer, both), totals in zip(layers_with_units(setup.model), dense_counts(setup.model.config), strict=True):
            for units, total in zip(both, totals, strict=True):
                matrix(layer.get_submodule(units.makers[0])).unflatten(0, (units.fused, total, -1))[:, 0] *= 10
                matrix(layer.get_submodule(units.reader)).unflatten(1, (total, -1))[:, 0] = 0
    found = taylor(setup, 40)
    assert all((scores[0] == 0) and (scores[1:] > 0).any() for layer in found for scores in layer)
    if "bitnet" not in fixture:
        assert all(scores.argmax() == 0 for layer in magnitude(setup.model) for scores in layer), "it is fooled"
    assert weights.keys() == dict(setup.model.named_parameters()).keys()
    structured("prune.samples=40").apply(setup, 0.5)
    neurons = dense_counts(setup.model.config)[0][1]
    assert counts(setup.model.config) == [[1, neurons // 2]] * 2


def test_global_takes_more_from_a_layer_where_few_units_matter(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    setup = setup_for("tiny_bert", CLASSIFIER, request, tmp_path)
    first, second = setup.model.bert.encoder.layer
    with torch.no_grad():
        first.intermediate.dense.weight[20:] *= 0.01
        first.output.dense.weight[:, 20:] *= 0.01
    structured("prune.scope=global", "prune.importance=magnitude").apply(setup, 0.25)
    (_, fewer), (_, more) = counts(setup.model.config)
    assert (fewer, more) == (64, 128)
    assert (first.output.dense.in_features, second.output.dense.in_features) == (fewer, more)


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.6])
def test_the_neurons_left_are_a_multiple_of_64_and_a_head_stays(
    ratio: float, scope: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    setup = setup_for("tiny_llama", "causal_lm", request, tmp_path)
    structured(f"prune.scope={scope}", "prune.importance=magnitude").apply(setup, ratio)
    left = counts(setup.model.config)
    assert all(heads >= 1 and neurons in (64, 128) for heads, neurons in left)
    assert sum(neurons for _, neurons in left) == pytest.approx((1 - ratio) * 256, abs=64)
    of_both = round((1 - ratio) * 4) if scope == "global" else 2 * round((1 - ratio) * 2)
    assert sum(heads for heads, _ in left) == of_both


def test_pruned_twice_at_the_same_ratio_is_pruned_once(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    setup = setup_for("tiny_bert", CLASSIFIER, request, tmp_path)
    prune = structured("prune.importance=magnitude")
    prune.apply(setup, 0.5)
    once = {name: weight.clone() for name, weight in setup.model.state_dict().items()}
    prune.apply(setup, 0.5)
    assert all(torch.equal(weight, once[name]) for name, weight in setup.model.state_dict().items())


@pytest.mark.parametrize("fixture", ["tiny_gpt2", "tiny_bitnet"])
@pytest.mark.parametrize("quant", UNCALIBRATED, ids=lambda quant: quant.name)
def test_every_number_format_stores_what_is_left(
    quant: Quant, fixture: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    head: Head = "causal_lm"
    setup = setup_for(fixture, head, request, tmp_path)
    prune, sizes = structured("prune.importance=magnitude"), {}
    inputs = {"input_ids": torch.arange(5, 29).reshape(2, 12), "attention_mask": torch.ones(2, 12, dtype=torch.long)}
    for folder in ("dense", "pruned"):
        (tmp_path / folder).mkdir()
        if folder == "pruned":
            prune.write(setup, tmp_path / "dense", tmp_path / folder)
        else:
            setup.model.save_pretrained(tmp_path / folder)
        model, _ = load_checkpoint(tmp_path / folder, head)
        (tmp_path / f"{folder} artifact").mkdir()
        write_artifact(
            Trained(model, None, head),
            Compression(prune, quant, Safetensors()),
            [],
            [],
            tmp_path / f"{folder} artifact",
        )
        sizes[folder] = weights_file(tmp_path / f"{folder} artifact").stat().st_size
    assert sizes["pruned"] < 0.9 * sizes["dense"]
    with torch.inference_mode():
        expected = model.eval()(**inputs).logits
        logits = load_artifact(tmp_path / "pruned artifact")(**inputs).logits.float()
    tolerance = lowering(quant, "torch", TensorLowering).tolerance
    assert (logits - expected).abs().max() <= tolerance * (expected.max() - expected.min())


@pytest.mark.parametrize("fixture", ["tiny_distilbert", "tiny_gptneo", "tiny_llama"])
def test_half_of_the_layers_matrices_is_gone_from_the_folder(
    fixture: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    setup = setup_for(fixture, CLASSIFIER, request, tmp_path)
    layers = [prod(p.shape) for layer, _ in layers_with_units(setup.model) for p in layer.parameters() if p.ndim == 2]
    total = sum(parameter.numel() for parameter in setup.model.parameters())
    (tmp_path / "pruned").mkdir()
    structured("prune.samples=40").write(setup, tmp_path, tmp_path / "pruned")
    tensors = load_file(tmp_path / "pruned/model.safetensors")
    left = [tensor.numel() for name, tensor in tensors.items() if ".0." in name or ".1." in name if tensor.ndim == 2]
    assert sum(left) == sum(layers) / 2
    assert sum(parameter.numel() for parameter in setup.model.parameters()) <= total - sum(layers) / 2


def test_a_quantized_base_learns_on_what_is_left(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    prune = structured("finetune@prune.recovery=qlora", "prune.recovery.epochs=1", "prune.steps=2", "prune.samples=40")
    setup = setup_for("tiny_gpt2", "causal_lm", request, tmp_path)
    (tmp_path / "pruned").mkdir()
    prune.write(setup, tmp_path, tmp_path / "pruned")
    model, _ = load_checkpoint(tmp_path / "pruned", "causal_lm")
    assert counts(model.config) == [[1, 128]] * 2
    unify_linear(model)
    assert model.transformer.h[0].attn.c_attn.weight.shape == (96, 64)


def test_an_architecture_alone_is_pruned_by_the_magnitude_of_its_random_weights(tmp_path: Path) -> None:
    small = "{model_type: gpt2, vocab_size: 300, n_positions: 128, n_embd: 64, n_layer: 1, n_head: 2}"
    settings = ["model=gpt2", "model.weights=random", f"model.architecture={small}", "prune=structured"]
    settings.append("prune.importance=magnitude")
    configured = compose_parts(*settings, f"task.data_dir={MOVIES}", "task.test_size=20")
    setup = new_setup(configured, CLASSIFIER, tmp_path / "pruned")
    (tmp_path / "pruned").mkdir()
    configured.prune.check(configured.model)
    configured.prune.write(setup, tmp_path, tmp_path / "pruned")
    model, tokenizer = load_checkpoint(tmp_path / "pruned", CLASSIFIER)
    assert (counts(model.config), tokenizer) == ([[1, 128]], None)


def test_what_it_cannot_prune_is_refused() -> None:
    from transformers import AutoConfig

    def refusal(ratio: float, config: dict, *settings: str) -> str:
        with pytest.raises(UserError) as refused:
            structured(f"prune.ratio={ratio}", *settings).check_config(AutoConfig.for_model(**config))
        return str(refused.value)

    bert = {"model_type": "bert", "num_attention_heads": 12}
    llama = {"model_type": "llama", "num_attention_heads": 12, "num_key_value_heads": 3, "hidden_size": 96}
    llama["num_hidden_layers"] = 2
    assert refusal(0.99, bert).endswith("each of the 12 layers has 12 heads; the largest ratio possible is 0.958")
    assert refusal(0.9, llama).endswith("has 3 key/value heads; the largest ratio possible is 0.833")
    assert "the largest ratio possible is 0.75" in refusal(0.9, llama, "prune.scope=global")
    structured("prune.ratio=0.958").check_config(AutoConfig.for_model(**bert))
    structured("prune.ratio=0.75", "prune.scope=global").check_config(AutoConfig.for_model(**llama))
    assert "it knows: bert, distilbert, gpt2, gpt_neo, llama, bitnet" in refusal(0.5, {"model_type": "albert"})


PRUNE = compose_parts("prune=structured").prune
SCORES = st.lists(st.lists(st.floats(0, 1e6, width=32), min_size=12, max_size=12), min_size=1, max_size=4)


@given(SCORES, st.floats(0, 0.9), st.sampled_from(["layer", "global"]))
def test_the_units_that_stay_are_those_of_the_highest_importance(
    rows: list[list[float]], ratio: float, scope: str
) -> None:
    assert isinstance(PRUNE, Structured)
    scores = [torch.tensor(row) for row in rows]
    kept = PRUNE.model_copy(update={"scope": scope}).chosen(scores, 12, ratio, 1)
    for layer, units in zip(scores, kept, strict=True):
        assert units == sorted(set(units))
        assert len(units) >= 1
        gone = sorted(set(range(12)) - set(units))
        assert not gone or layer[gone].max() <= layer[units].min()
        if scope == "layer":
            assert len(units) == max(1, share(12, ratio))


@given(st.integers(1, 4096), st.floats(0, 1, exclude_max=True), st.sampled_from([1, 64]))
def test_a_share_is_the_nearest_multiple(total: int, ratio: float, step: int) -> None:
    assert share(total, ratio, step) % step == 0
    assert abs(share(total, ratio, step) - (1 - ratio) * total) <= step / 2 * (1 + 1e-9)
