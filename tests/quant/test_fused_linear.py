"""Weights that become bfloat16 inside the kernels are those that the format's own layers compute with."""

from pathlib import Path

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit

from effcomp.artifact.folder import Compression, Trained, load_artifact, write_artifact
from effcomp.models.base import load_checkpoint
from effcomp.quant.bnb import decode_four_bit_fused, encode_four_bit
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


@pytest.mark.parametrize("name", ["nf4", "fp4"])
def test_the_last_block_of_a_matrix_may_be_part_of_one(name: str) -> None:
    quant = compose_parts(f"quant={name}", "quant.block_size=128", "quant.double_quant=false").quant
    torch.manual_seed(0)
    layer = torch.nn.Linear(24, 20)  # 3.75 blocks
    layer.weight.data *= 2.0 ** torch.arange(20)[:, None]
    tensors = encode_four_bit(quant, torch.nn.Sequential(layer))
    found = decode_four_bit_fused(quant, torch.nn.Sequential(torch.nn.Linear(24, 20, device="meta")), tensors)
    assert isinstance(found[0], FusedLinear)
    codes, state = quantize_4bit(layer.weight.detach(), blocksize=128, quant_type=name)
    assert torch.allclose(found[0].weight().float(), dequantize_4bit(codes, state).float(), rtol=0.02)


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
