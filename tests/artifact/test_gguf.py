"""GGUF files hold our models' weights in llama.cpp's types, and models that llama.cpp does not compute are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from gguf import GGMLQuantizationType, GGUFReader, dequantize

from effcomp.artifact.gguf import mean_squares
from effcomp.artifact.gguf_tensors import SUPPORTED, check, interleave
from effcomp.core.errors import Skipped, UserError
from effcomp.models.base import load_checkpoint
from effcomp.models.blocks import shrink
from effcomp.quant.ggml import quantize
from tests.runtimes.test_engines import batch
from tests.small_artifacts import write_small
from tests.tiny_models import GROUPED

LLAMA = {**GROUPED, "vocab_size": 300, "hidden_size": 64}


def test_a_tensor_is_stored_as_its_type_says(tiny_llama: Path, tmp_path: Path) -> None:
    settings = ("quant.type=q4_k_m", "quant.samples=0")
    folder = write_small(tiny_llama, tmp_path / "gguf", "causal_lm", "gguf", "llama_cpp", settings)
    stored = {one.name: one for one in GGUFReader(folder / "model.gguf").tensors}
    # Rows of 64 and 128 do not fill Q4_K's blocks of 256: llama.cpp takes Q5_0 then, and Q8_0 for Q6_K.
    assert stored["blk.0.attn_q.weight"].tensor_type == GGMLQuantizationType.Q5_0
    assert stored["token_embd.weight"].tensor_type == GGMLQuantizationType.Q8_0
    assert stored["blk.0.attn_norm.weight"].tensor_type == GGMLQuantizationType.F32
    model, _ = load_checkpoint(tiny_llama, "causal_lm")
    query = stored["blk.0.attn_q.weight"]
    written = interleave(model.model.layers[0].self_attn.q_proj.weight.detach(), 16).numpy()
    assert dequantize(query.data, query.tensor_type) == pytest.approx(written, abs=0.01)


def test_a_file_is_taken_as_it_is_for_the_model_that_it_was_made_from(
    tiny_llama: Path, tiny_gpt2: Path, tmp_path: Path
) -> None:
    settings = ("quant.type=q8_0", "quant.samples=0")
    made = write_small(tiny_llama, tmp_path / "made", "causal_lm", "gguf", "llama_cpp", settings) / "model.gguf"
    taken = write_small(tiny_llama, tmp_path / "taken", "causal_lm", "checkpoint", "llama_cpp", (f"quant.path={made}",))
    assert (taken / "model.gguf").read_bytes() == made.read_bytes()
    with pytest.raises(UserError, match=r"made/model\.gguf: .*; give the float model that it was made from"):
        write_small(tiny_gpt2, tmp_path / "other", "causal_lm", "checkpoint", "llama_cpp", (f"quant.path={made}",))
    for number, kept in enumerate((6, 200, made.stat().st_size - 100)):
        (cut := tmp_path / "cut.gguf").write_bytes(made.read_bytes()[:kept])
        settings, folder = (f"quant.path={cut}",), tmp_path / f"cut {number}"
        with pytest.raises(UserError, match=r"cut\.gguf is damaged \(.*\); fetch or write it again"):
            write_small(tiny_llama, folder, "causal_lm", "checkpoint", "llama_cpp", settings)


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_K", "Q2_K", "IQ4_NL"])
def test_rounding_by_importance_costs_less_where_it_matters(kind: str) -> None:
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((32, 512), dtype=np.float32)
    importance = np.exp(3 * generator.standard_normal(512)).astype(np.float32)
    format_of = GGMLQuantizationType[kind]

    def cost(weights: "np.ndarray[Any, Any] | None") -> float:
        return float((((dequantize(quantize(rows, format_of, weights), format_of) - rows) ** 2) * importance).sum())

    assert cost(importance) < cost(None) < 0.5 * float((rows**2 * importance).sum())


@pytest.mark.parametrize("kind", ["TQ1_0", "TQ2_0"])
def test_ternary_weights_are_stored_without_loss(kind: str) -> None:
    rows = np.random.default_rng(0).integers(-1, 2, (8, 512)).astype(np.float32) * 0.125
    format_of = GGMLQuantizationType[kind]
    assert (dequantize(quantize(rows, format_of, None), format_of) == rows).all()


def test_importance_is_the_mean_square_of_each_input(tiny_gpt2: Path) -> None:
    import torch

    model, _ = load_checkpoint(tiny_gpt2, "causal_lm")
    from effcomp.models.linear import unify_linear

    unify_linear(model)
    samples = [{"input_ids": batch(1, size)["input_ids"]} for size in (4, 12)]
    found = mean_squares(model, SUPPORTED["gpt2"], samples)
    first = torch.cat([model.transformer.h[0].ln_1(embedded(model, one["input_ids"])) for one in samples], dim=1)
    assert found["blk.0.attn_qkv.weight"] == pytest.approx(first.square().mean(dim=(0, 1)).detach().numpy(), rel=1e-4)
    assert set(found) == {f"blk.{layer}.{role}.weight" for layer in (0, 1) for role in ROLES}


ROLES = ("attn_qkv", "attn_output", "ffn_up", "ffn_down")


def embedded(model: Any, ids: "np.ndarray[Any, Any]") -> Any:
    import torch

    tokens = torch.from_numpy(ids)
    return model.transformer.wte(tokens) + model.transformer.wpe(torch.arange(tokens.shape[1]))


@pytest.mark.parametrize(
    ("config", "head", "reason"),
    [
        (transformers.GPTNeoConfig(), "causal_lm", "does not compute gpt_neo"),
        (transformers.BitNetConfig(**LLAMA), "causal_lm", "does not compute bitnet"),
        (transformers.BertConfig(), "masked_lm", "no head that fills masks"),
        (transformers.LlamaConfig(**LLAMA, hidden_act="relu"), "causal_lm", "without relu"),
        (transformers.MistralConfig(**LLAMA, sliding_window=16), "causal_lm", "window of 16"),
        (transformers.BertConfig(kept=[[11, 8]] * 12), "sequence_classification", "without removed heads"),
    ],
)
def test_what_llama_cpp_does_not_compute_is_refused_in_one_line(config: Any, head: Any, reason: str) -> None:
    with pytest.raises(Skipped, match=reason) as refused:
        check(config, head)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", ["Mistral", "Qwen2", "Qwen3", "Gemma"])
def test_other_decoders_say_what_transformers_says(kind: str, tiny_gpt2: Path, tmp_path: Path) -> None:
    from tests.runtimes.test_llama_cpp import load_gguf, write_gguf
    from tests.tiny_models import write_decoder

    own = {"Mistral": {"sliding_window": None}, "Qwen3": {"head_dim": 16}, "Gemma": {"head_dim": 16}}.get(kind, {})
    source = tmp_path / "model"
    model = write_decoder(getattr(transformers, f"{kind}ForCausalLM"), tiny_gpt2, source, **GROUPED, **own)
    found = load_gguf(write_gguf(source, tmp_path / "gguf", "causal_lm"))(batch(1, 20))
    expected = logits_of(model, batch(1, 20)["input_ids"])
    assert found[0] == pytest.approx(expected, abs=2e-3 * float(np.abs(expected).max()))


def test_a_llama_with_layers_of_different_shapes_runs(tiny_llama: Path, tmp_path: Path) -> None:
    from tests.runtimes.test_llama_cpp import load_gguf, write_gguf

    model, tokenizer = load_checkpoint(tiny_llama, "causal_lm")
    assert tokenizer is not None
    shrink(model, [([1], range(100)), ([0, 1], range(28, 128))])
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    found = load_gguf(write_gguf(tmp_path / "model", tmp_path / "gguf", "causal_lm"))(batch(1, 20))
    assert found[0] == pytest.approx(logits_of(model, batch(1, 20)["input_ids"]), abs=1e-4)


def logits_of(model: Any, ids: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """At the last position."""
    import torch

    with torch.inference_mode():
        found: np.ndarray[Any, Any] = model.eval()(torch.from_numpy(ids)).logits[0, -1].numpy()
    return found
