"""Decoders as graphs with a cache: a second call goes on from the first, whatever the architecture."""

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

from effcomp.artifact.architectures import takes_cache
from effcomp.artifact.cached_graph import cached_graph
from effcomp.models.base import load_checkpoint
from tests.architectures import DECODERS, write_model

WITHOUT = {"bloom", "mamba", "openai-gpt"}


@pytest.mark.parametrize("model_type", sorted(set(DECODERS) - WITHOUT))
def test_a_second_call_goes_on_from_the_first(model_type: str, tiny_gpt2: Path, tmp_path: Path) -> None:
    write_model(model_type, "causal_lm", tiny_gpt2, tmp_path)
    model, _ = load_checkpoint(tmp_path, "causal_lm")
    assert takes_cache(model.config, "onnx")
    ids = torch.randint(5, 60, (2, 14), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, :4] = 0  # padding, within a window of 8 of the new tokens
    places = (mask.cumsum(dim=1) - 1).clamp(min=0)
    with torch.no_grad():
        expected = model.eval()(ids, attention_mask=mask, position_ids=places, use_cache=False).logits
        graph = cached_graph(model)
        _, *past = graph(ids[:, :9], mask[:, :9], places[:, :9], torch.arange(9), [])
        logits, *present = graph(ids[:, 9:], mask, places[:, 9:], torch.tensor([4]), past)
    assert torch.allclose(logits[:, 0], expected[:, -1], atol=1e-4)
    assert {one.shape[2] for one in present} == {14}


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_decoders_that_a_graph_cannot_call_with_a_cache_are_known(form: str) -> None:
    with_alibi = AutoConfig.for_model("falcon", alibi=True)
    assert not takes_cache(with_alibi, form)
    assert takes_cache(with_alibi, "safetensors")
    for model_type in WITHOUT:
        assert not takes_cache(AutoConfig.for_model(model_type), form)
