"""Adapters: on a float base, and on one in 4 or 8 bit."""

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

from effcomp.core.errors import UserError
from effcomp.core.store import Store
from effcomp.finetune.base import read_curve
from effcomp.finetune.lora import LoraFinetune
from effcomp.models.base import load_checkpoint
from effcomp.models.heads import published_class
from effcomp.pipeline.checks import check
from tests.architectures import ARCHITECTURES
from tests.conftest import DATA, MOVIES, compose_parts
from tests.training import train

HEAD = "sequence_classification"
LEARN = ["finetune.epochs=40", "finetune.learning_rate=5e-3", "finetune.batch_size=16"]


EVALUATED = ["finetune.patience=50", "finetune.checkpoint_steps=10"]
"""Evaluations between the steps of training, which must not disturb it."""


@pytest.mark.parametrize("name", ["lora", "qlora", "int8"])
def test_it_learns_and_leaves_a_plain_model(name: str, tiny_bert: Path, tmp_path: Path) -> None:
    small = [f"model.path={tiny_bert}", f"task.data_dir={MOVIES}", "task.test_size=20"]
    parts = compose_parts(*small, f"finetune={name}", *LEARN, *EVALUATED)
    train(parts, HEAD, tmp_path / "checkpoint")
    model, _ = load_checkpoint(tmp_path / "checkpoint", HEAD)
    before = parts.model.build(HEAD, ("negative", "positive"), 0, Store(tmp_path / "store"), as_it_is=False)
    old, new = dict(before.named_parameters()), dict(model.named_parameters())
    assert {name: p.shape for name, p in new.items()} == {name: p.shape for name, p in old.items()}
    words = "bert.embeddings.word_embeddings.weight"
    assert torch.equal(new[words], old[words]), "only the linear layers have adapters"
    moved = "bert.encoder.layer.0.intermediate.dense.weight"
    change = (new[moved] - old[moved]).detach()
    rank = int((torch.linalg.svdvals(change) > 1e-4).sum())
    if name == "lora":
        assert 1 <= rank <= 16, "what was learned has the rank of the adapters"
    else:
        assert rank > 16, "the rest is what quantization took from the base"
    curve = read_curve(tmp_path / "checkpoint")
    losses = [row["loss"] for row in curve if "loss" in row]
    assert losses[-1] < 0.75 * losses[0]


@pytest.mark.parametrize("name", ["lora", "qlora"])
def test_a_classifier_of_two_layers_is_trained_in_full(name: str, tiny_distilbert: Path, tmp_path: Path) -> None:
    parts = compose_parts(f"model.path={tiny_distilbert}", f"finetune={name}")
    assert isinstance(parts.finetune, LoraFinetune)
    model = parts.model.build(HEAD, ("a", "b"), 0, Store(tmp_path), as_it_is=False)
    adapted = parts.finetune.adapt(model, HEAD, "cpu")
    learning = {name for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    heads = {name for name in learning if "classifier" in name}
    assert all("lora" not in name for name in heads)
    assert {name.split(".modules_to_save")[0].rpartition(".")[2] for name in heads} == {"pre_classifier", "classifier"}
    assert any("lora" in name for name in learning - heads)
    assert all(one.requires_grad for one in parts.finetune.merge(adapted).parameters()), "it may be trained once more"


@pytest.mark.parametrize("model_type", ["deberta-v2", "modernbert", "xlnet"])
def test_a_head_of_any_name_is_trained_in_full(model_type: str) -> None:
    finetune = compose_parts("finetune=lora").finetune
    assert isinstance(finetune, LoraFinetune)
    config = AutoConfig.for_model(model_type, **ARCHITECTURES[model_type])
    model = published_class(HEAD, config)(config)
    body = {name for name, _ in model.base_model.named_parameters(prefix=model.base_model_prefix)}
    head = {name for name, _ in model.named_parameters()} - body
    learning = {name for name, one in finetune.adapt(model, HEAD, "cpu").named_parameters() if one.requires_grad}
    in_full = {name.replace(".modules_to_save.default", "") for name in learning if "lora" not in name}
    assert {name.removeprefix("base_model.model.") for name in in_full} == head


def test_the_checkpoint_says_what_the_trained_model_said(tiny_bert: Path, tmp_path: Path) -> None:
    """Merging into the 4-bit weights again would round the adapters; into what they stand for it does not."""
    from effcomp.finetune.quantized import QloraFinetune

    parts = compose_parts(f"model.path={tiny_bert}", "finetune=qlora")
    assert isinstance(parts.finetune, QloraFinetune)
    model = parts.model.build(HEAD, ("a", "b"), 0, Store(tmp_path), as_it_is=False)
    adapted = parts.finetune.adapt(model, HEAD, "cpu").eval()
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    inputs = {"input_ids": torch.arange(5, 29).reshape(2, 12), "attention_mask": torch.ones(2, 12, dtype=torch.long)}
    with torch.inference_mode():
        said = adapted(**inputs).logits
        merged = parts.finetune.merge(adapted).eval()(**inputs).logits
    assert torch.allclose(said, merged, atol=1e-4), (said, merged)


def test_a_decoder_learns_language_with_a_4_bit_base_and_gradient_checkpointing(
    tiny_gpt2: Path, tmp_path: Path
) -> None:
    parts = compose_parts(
        "model=gpt2",
        f"model.path={tiny_gpt2}",
        "task=wikitext2",
        f"task.data_dir={DATA / 'wikitext2'}",
        "finetune=qlora",
        "finetune.gradient_checkpointing=true",
        *LEARN,
    )
    train(parts, "causal_lm", tmp_path / "checkpoint")
    curve = read_curve(tmp_path / "checkpoint")
    assert curve[-1]["loss"] < curve[0]["loss"] - 0.5


def test_adapters_on_ternary_weights_are_refused_at_once(tiny_bitnet: Path) -> None:
    parts = compose_parts("model=bitnet", f"model.path={tiny_bitnet}", "finetune=qlora")
    with pytest.raises(UserError, match=r"finetune=qlora does not train model=bitnet.*use finetune=full"):
        check(parts)
