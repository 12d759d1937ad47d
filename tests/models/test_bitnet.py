"""BitNet: the function of transformers' own quantized layers, trainable, and unpacked from the published format."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, BitNetConfig, BitNetForCausalLM, BitNetQuantConfig
from transformers.integrations.bitnet import AutoBitLinear, pack_weights, replace_with_bitnet_linear

from effcomp.artifact.folder import load_artifact
from effcomp.finetune.base import read_curve
from effcomp.models.base import load_checkpoint
from effcomp.models.bitnet import CLASSES, BitLinear, TernaryLinear, ternary, unpack_folder
from tests.conftest import MOVIES, compose_parts
from tests.small_artifacts import write_small
from tests.tiny_models import BITNET
from tests.training import train

INPUTS = {"input_ids": torch.arange(24).reshape(2, 12), "attention_mask": torch.ones(2, 12, dtype=torch.long)}


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.inference_mode(), torch.compiler.set_stance("force_eager"):
        found: torch.Tensor = model.eval()(**INPUTS).logits
    return found


def theirs(tiny_bitnet: Path) -> torch.nn.Module:
    """transformers' own layers that quantize masters at each call."""
    model = BitNetForCausalLM(BitNetConfig.from_pretrained(tiny_bitnet))
    state = load_file(tiny_bitnet / "model.safetensors")
    replace_with_bitnet_linear(model, ["lm_head"], BitNetQuantConfig(**{**BITNET, "quantization_mode": "online"}))
    model.to_empty(device="cpu").load_state_dict(state, strict=False)
    model.tie_weights()
    fresh = BitNetForCausalLM(BitNetConfig.from_pretrained(tiny_bitnet))
    model.model.rotary_emb = fresh.model.rotary_emb
    return model


def test_logits_and_gradients_are_those_of_transformers_own_layers(tiny_bitnet: Path) -> None:
    ours, reference = load_checkpoint(tiny_bitnet, "causal_lm")[0], theirs(tiny_bitnet)
    assert isinstance(ours.model.layers[0].mlp.up_proj, BitLinear)
    assert torch.allclose(logits(ours), logits(reference), atol=1e-5)
    with torch.compiler.set_stance("force_eager"):
        for model in (ours, reference):
            model(**INPUTS, labels=INPUTS["input_ids"]).loss.backward()
    expected = {name: parameter.grad for name, parameter in reference.named_parameters()}
    for name, parameter in ours.named_parameters():
        assert parameter.grad.abs().max() > 0, f"the gradient reaches the masters of {name}"
        assert torch.allclose(parameter.grad, expected[name], atol=1e-5), name


def test_the_packed_model_says_what_transformers_makes_of_it(tiny_bitnet: Path, tmp_path: Path) -> None:
    tensors, config = load_file(tiny_bitnet / "model.safetensors"), BitNetConfig.from_pretrained(tiny_bitnet)
    for name in [name for name in tensors if "_proj" in name]:
        scale = tensors[name].abs().mean()
        tensors[name] = pack_weights((tensors[name] / scale).round().clamp(-1, 1))
        tensors[f"{name}_scale"] = scale.reshape(1)
    packed, unpacked = tmp_path / "packed", tmp_path / "unpacked"
    packed.mkdir()
    unpacked.mkdir()
    save_file(tensors, packed / "model.safetensors", metadata={"format": "pt"})
    config.quantization_config = {**BITNET, "quantization_mode": "offline"}
    config.save_pretrained(packed)
    AutoTokenizer.from_pretrained(tiny_bitnet).save_pretrained(packed)
    unpack_folder(packed, unpacked)
    ours, tokenizer = load_checkpoint(unpacked, "causal_lm")
    assert tokenizer is not None
    with torch.compiler.set_stance("force_eager"):
        reference = BitNetForCausalLM.from_pretrained(packed, dtype="float32")
        assert isinstance(reference.model.layers[0].mlp.up_proj, AutoBitLinear)
    assert torch.allclose(logits(ours), logits(reference), atol=1e-4)
    assert torch.allclose(logits(ours), logits(load_checkpoint(tiny_bitnet, "causal_lm")[0]), atol=1e-4)


def test_the_packed_model_of_another_kind_is_an_error(tiny_bitnet: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not packed as autobitlinear, offline"):
        unpack_folder(tiny_bitnet, tmp_path)


def test_it_learns_through_its_rounding(tiny_bitnet: Path, tmp_path: Path) -> None:
    parts = compose_parts(
        "model=bitnet",
        f"model.path={tiny_bitnet}",
        f"task.data_dir={MOVIES}",
        "task.test_size=20",
        "finetune.epochs=40",
        "finetune.learning_rate=2e-3",
        "finetune.batch_size=16",
    )
    train(parts, "sequence_classification", tmp_path / "checkpoint")
    curve = read_curve(tmp_path / "checkpoint")
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"]
    model, _ = load_checkpoint(tmp_path / "checkpoint", "sequence_classification")
    layer = model.model.layers[0].mlp.up_proj
    assert isinstance(layer, BitLinear)
    assert layer.weight.unique().numel() > 3, "masters are float"
    assert ternary(layer.weight).unique().numel() == 3


@pytest.mark.parametrize(
    ("quant", "tolerance"),
    [("none", 1e-5), ("nf4", 0.05), ("int8_bnb", 0.05), ("int8_dynamic", 0.10), ("ternary", 0.05)],
)
def test_its_artifact_is_ternary_in_every_format(
    quant: str, tolerance: float, tiny_bitnet: Path, tmp_path: Path
) -> None:
    """Three values of a block are exact in 4 and 8 bit: only the activations differ."""
    expected = logits(load_checkpoint(tiny_bitnet, "causal_lm")[0])
    loaded = load_artifact(write_small(tiny_bitnet, tmp_path / "artifact", "causal_lm", quant))
    assert isinstance(loaded, CLASSES["causal_lm"])
    if quant == "none":
        layer = loaded.model.layers[0].mlp.up_proj
        assert isinstance(layer, TernaryLinear)
        assert layer.weight.unique().numel() == 3
    assert (logits(loaded) - expected).abs().max() <= tolerance * float(expected.max() - expected.min())
