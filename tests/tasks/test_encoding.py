"""Pairs of texts as token ids."""

from pathlib import Path
from typing import Any

from effcomp.tasks.base import Examples
from effcomp.tasks.encoding import encode


def test_a_special_token_or_a_line_break_stands_between_the_texts_of_a_pair(tiny_bert: Path, tiny_gpt2: Path) -> None:
    from transformers import AutoTokenizer

    def ids(pair: Examples, tokenizer: Any, max_length: int) -> list[int]:
        found: list[int] = encode(pair, tokenizer, max_length).batch([0])["input_ids"][0].tolist()
        return found

    pair = Examples(("a cold film",), (0,), ("a warm film",))
    bert, gpt2 = (AutoTokenizer.from_pretrained(folder) for folder in (tiny_bert, tiny_gpt2))
    assert bert.decode(ids(pair, bert, 32)).count("[SEP]") == 2
    assert gpt2.decode(ids(pair, gpt2, 32)) == "a cold film\na warm film"
    cut = gpt2.decode(ids(pair, gpt2, 8))
    assert "\n" in cut, "a long pair loses the ends of both texts"
