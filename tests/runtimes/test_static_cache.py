"""Steps with a cache of fixed size write what a growing cache writes, prompts of different lengths among them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from effcomp.models.base import load_checkpoint
from effcomp.runtimes.decoding import decode
from effcomp.runtimes.one_token import use_one_token_attention
from effcomp.runtimes.static_cache import StaticDecoder, probe_shapes, use_cached_blocks
from tests.architectures import write_model

NEW_TOKENS = 20


@pytest.mark.parametrize(("kind", "window"), [("gpt2", 0), ("llama", 0), ("bitnet", 0), ("gptneo", 4), ("gptneo", 64)])
def test_it_writes_what_a_growing_cache_writes(kind: str, window: int, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(f"tiny_{kind}")
    model, _ = load_checkpoint(folder, "causal_lm")
    if window:  # of GPT-Neo's local layers: smaller than the text, or larger
        torch.manual_seed(0)
        model.config.window_size = window
        model = type(model)(model.config)
    check(model.eval())


@pytest.mark.parametrize("kind", ["gptj", "mistral", "gemma3_text"])
def test_masks_are_added_and_windows_kept_as_the_architecture_does(kind: str, tiny_llama: Path, tmp_path: Path) -> None:
    write_model(kind, "causal_lm", tiny_llama, tmp_path)
    model, _ = load_checkpoint(tmp_path, "causal_lm")
    check(model.eval())


def check(model: PreTrainedModel) -> None:
    ids = torch.from_numpy(np.random.default_rng(0).integers(5, 15, (3, 9)))
    mask = torch.ones_like(ids)
    mask[0, :4] = 0
    mask[1, :1] = 0
    expected = decode(model, {"input_ids": ids, "attention_mask": mask}, NEW_TOKENS)

    use_one_token_attention(model)
    use_cached_blocks(model)
    decoder = StaticDecoder(model, probe_shapes(model), rows=3, slots=32)
    with torch.inference_mode():
        answers = [decoder.prefill(ids, mask), *(decoder.step() for _ in range(NEW_TOKENS - 1))]
    tokens, losses = torch.stack(answers, dim=-1)
    assert tokens.long().tolist() == expected.tokens
    assert np.allclose(losses.sum(dim=-1), expected.losses, rtol=1e-4)
