"""Greedy decoding: the tokens are transformers' own, in batches of any lengths, and end where they should."""

import math
from pathlib import Path

import pytest
import torch
import torch._dynamo.utils
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from effcomp.core.batches import Ragged, pack
from effcomp.models.base import load_checkpoint
from effcomp.runtimes.decoding import Ending, decode
from effcomp.runtimes.torch import Compiled, TorchModel

TEXTS = ["the music", "a warm film with a script to match", "the", "it helps that the director is a musician"]
NEW_TOKENS = 12


def prompts_of(tokenizer: PreTrainedTokenizerBase) -> Ragged:
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    columns = {"input_ids": ids, "attention_mask": [[1] * len(one) for one in ids]}
    return pack(columns, {"input_ids": tokenizer.eos_token_id, "attention_mask": 0})


def tensors(prompts: Ragged, rows: list[int]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(ids) for name, ids in prompts.batch(rows, left=True).items()}


@pytest.mark.parametrize("kind", ["gpt2", "llama", "gptneo", "bitnet"])
def test_a_batch_of_different_lengths_gives_what_transformers_gives_each_alone(
    kind: str, request: pytest.FixtureRequest
) -> None:
    model, tokenizer = load_checkpoint(request.getfixturevalue(f"tiny_{kind}"), "causal_lm")
    assert tokenizer is not None
    prompts = prompts_of(tokenizer)
    together = decode(model.eval(), tensors(prompts, [0, 1, 2, 3]), NEW_TOKENS)
    for row in range(len(TEXTS)):
        alone = tensors(prompts, [row])
        options = {"max_new_tokens": NEW_TOKENS, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
        expected = model.generate(**alone, **options)[0, alone["input_ids"].shape[1] :]
        assert together.tokens[row] == expected.tolist()
    assert len(together.step_ns) == NEW_TOKENS


def test_the_losses_are_those_of_the_written_tokens_read_at_once(tiny_llama: Path) -> None:
    model, tokenizer = load_checkpoint(tiny_llama, "causal_lm")
    assert tokenizer is not None
    prompts = prompts_of(tokenizer)
    decoded = decode(model.eval(), tensors(prompts, [1]), NEW_TOKENS)
    prompt = tensors(prompts, [1])["input_ids"]
    whole = torch.cat([prompt, torch.tensor([decoded.tokens[0]])], dim=1)
    with torch.inference_mode():
        logits = model(whole).logits[0, prompt.shape[1] - 1 : -1]
    expected = torch.nn.functional.cross_entropy(logits, whole[0, prompt.shape[1] :], reduction="sum")
    assert math.isclose(decoded.losses[0], float(expected), rel_tol=1e-4)


def test_each_text_ends_where_it_ends_and_the_batch_with_its_last(tiny_gpt2: Path) -> None:
    model, tokenizer = load_checkpoint(tiny_gpt2, "causal_lm")
    assert tokenizer is not None
    prompts = prompts_of(tokenizer)
    free = decode(model.eval(), tensors(prompts, [0, 1]), NEW_TOKENS)
    ended = decode(model, tensors(prompts, [0, 1]), NEW_TOKENS, lambda tokens: tokens[-1] == free.tokens[0][2])
    assert ended.tokens[0] == free.tokens[0][: free.tokens[0].index(free.tokens[0][2]) + 1]
    assert len(ended.step_ns) == max(map(len, ended.tokens))


def test_it_ends_with_the_end_of_text_or_a_stop_string_that_two_tokens_make(tiny_gpt2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_gpt2)
    ended = Ending(tokenizer, ["Question:"])
    tokens = tokenizer("and so on. Question: how")["input_ids"]
    first = next(count for count in range(1, len(tokens) + 1) if ended(tokens[:count]))
    assert tokenizer.decode(tokens[:first]).endswith("Question:")
    assert ended([tokenizer.eos_token_id])
    assert not Ending(tokenizer, [])(tokens)


def test_compiled_a_prompt_and_all_tokens_behind_it_are_two_translations(tiny_gptneo: Path) -> None:
    """One for the prompt, which is that of the timed call, and one for a token, however long the cache is."""
    model, tokenizer = load_checkpoint(tiny_gptneo, "causal_lm")
    assert tokenizer is not None
    prompts = prompts_of(tokenizer)
    eager = TorchModel(model.eval(), "causal_lm", "cpu")
    compiled = Compiled(name="compile").loaded(torch.compile(model, dynamic=True), "causal_lm", "cpu")
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled(prompts.batch([2, 3], left=True))
    for rows in ([0, 1, 2, 3], [1, 3]):
        batch = prompts.batch(rows, left=True)
        assert compiled.decode(batch, NEW_TOKENS).tokens == eager.decode(batch, NEW_TOKENS).tokens
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2
