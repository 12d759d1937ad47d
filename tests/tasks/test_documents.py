"""Documents, and the blocks that they are packed into."""

from pathlib import Path

from transformers import AutoTokenizer

from effcomp.tasks.base import Examples, Task
from effcomp.tasks.encoding import IGNORED, blocks, encode_blocks, text_size
from tests.conftest import DATA, compose_parts


def task(*overrides: str) -> Task:
    return compose_parts(*overrides).task


def test_wikitext_is_cut_where_an_article_begins_and_not_at_its_sections() -> None:
    splits = task("task=wikitext2", f"task.data_dir={DATA}/wikitext2").load()
    assert (len(splits.train), len(splits.test)) == (6, 4)
    assert splits.test.texts[0].startswith("= Portrait 0 =\n")
    assert "= = History = =" in splits.test.texts[0]


def test_gsm8k_joins_question_and_answer() -> None:
    text = task("task=gsm8k", f"task.data_dir={DATA}/gsm8k").load().test.texts[0]
    assert text.startswith("A farm sells")
    assert text.endswith("#### 6")


def test_a_decoder_predicts_every_token_of_the_text_once(tiny_gpt2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_gpt2)
    documents = Examples(("the music helps", "a warm film with a script to match"))
    end = tokenizer.eos_token_id
    stream = [token for text in documents.texts for token in (*tokenizer(text)["input_ids"], end)]
    packed = blocks(documents, tokenizer, 5, "causal_lm")
    assert [token for block in packed for token in block[1:]] == stream
    assert all(block[0] == end and len(block) <= 5 for block in packed)
    labels = encode_blocks(documents, tokenizer, 5, "causal_lm", 0).columns["labels"]
    assert (labels != IGNORED).sum() == len(stream)


def test_an_encoder_has_the_same_masks_for_the_same_seed(tiny_bert: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    documents = Examples(tuple(["a warm and funny film from start to finish"] * 10))
    first, again, other = (encode_blocks(documents, tokenizer, 32, "masked_lm", seed) for seed in (0, 0, 1))
    assert (first.columns["input_ids"] == again.columns["input_ids"]).all()
    assert (first.columns["input_ids"] != other.columns["input_ids"]).any()
    masked = first.columns["input_ids"] == tokenizer.mask_token_id
    assert (masked == (first.columns["labels"] != IGNORED)).all()
    assert 0.12 < masked.mean() < 0.18
    assert tokenizer.cls_token_id not in first.columns["labels"]


def test_words_and_bytes_are_of_the_text() -> None:
    size = text_size(Examples(("zwei Wörter", "one")))
    assert (size.words, size.utf8_bytes) == (3, 15)


def test_documents_with_windows_line_ends_and_a_byte_order_mark_are_the_same(tmp_path: Path) -> None:
    for name in ("wiki.train.tokens", "wiki.test.raw"):
        content = (DATA / "wikitext2" / name).read_bytes()
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    plain = compose_parts("task=wikitext2", f"task.data_dir={DATA}/wikitext2").task.load()
    windows = compose_parts("task=wikitext2", f"task.data_dir={tmp_path}").task.load()
    assert len(plain.test) > 1
    assert windows.fingerprint() == plain.fingerprint()
