"""Weights that become bfloat16 inside the kernels are those that the format's own layers compute with."""

from pathlib import Path

import pytest
import torch

from effcomp.artifact.folder import Compression, Trained, load_artifact, write_artifact
from effcomp.models.base import load_checkpoint
from effcomp.quant.fused_linear import FusedLinear
from effcomp.quant.lowering import TensorLowering, lowering
from tests.conftest import compose_parts

FORMATS = ("int8_scratch", "int8_bnb", "nf4", "fp4", "int4", "int2")


@pytest.mark.parametrize("name", FORMATS)
def test_the_fused_model_says_what_the_artifact_says(name: str, tiny_gpt2: Path, tmp_path: Path) -> None:
    parts = compose_parts("model=gpt2", f"quant={name}")
    model, tokenizer = load_checkpoint(tiny_gpt2, "causal_lm")
    write_artifact(
        Trained(model, tokenizer, "causal_lm"),
        Compression(parts.prune, parts.quant, parts.runtime.file_format),
        [],
        [],
        tmp_path,
    )
    ids = torch.arange(1, 25)[None]
    with torch.inference_mode():
        expected = load_artifact(tmp_path)(ids).logits.float()
        fused = load_artifact(tmp_path, "cuda_graphs")
        found = fused(ids).logits.float()
    weights = [layer.weight() for layer in fused.modules() if isinstance(layer, FusedLinear)]
    assert weights
    compute_dtype = lowering(parts.quant, "cuda_graphs", TensorLowering).compute_dtype
    assert {weight.dtype for weight in weights} == {getattr(torch, compute_dtype)}
    assert (found - expected).abs().max() < 0.03 * expected.abs().max()


@pytest.mark.parametrize("name", ["none", "bf16", "fp16", "int3"])
def test_a_format_without_codes_is_decoded_as_ever(name: str, tiny_gpt2: Path, tmp_path: Path) -> None:
    parts = compose_parts("model=gpt2", f"quant={name}")
    model, tokenizer = load_checkpoint(tiny_gpt2, "causal_lm")
    write_artifact(
        Trained(model, tokenizer, "causal_lm"),
        Compression(parts.prune, parts.quant, parts.runtime.file_format),
        [],
        [],
        tmp_path,
    )
    one, other = (dict(load_artifact(tmp_path, name).named_parameters()) for name in ("torch", "cuda_graphs"))
    assert all(torch.equal(one[key], other[key]) for key in one)
