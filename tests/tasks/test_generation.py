"""Prompts: what the model reads, and what is refused."""

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from effcomp.core.errors import UserError
from effcomp.core.store import Store
from effcomp.metrics.registry import METRICS
from effcomp.tasks.base import Examples
from effcomp.tasks.encoding import encode_prompts
from effcomp.tasks.generation import GenerationTask
from tests.conftest import DATA, compose_parts


def task(*overrides: str) -> GenerationTask:
    found = compose_parts("model=smollm2", *overrides).task
    assert isinstance(found, GenerationTask)
    return found


def test_gsm8k_is_asked_as_the_harness_asks_it_behind_solved_training_problems() -> None:
    splits = task("task=gsm8k_generation", f"task.data_dir={DATA}/gsm8k", "task.shots=2").load()
    prompt = splits.test.texts[0]
    assert prompt.count("Question: ") == 3
    assert prompt.startswith("Question: ")
    assert prompt.endswith("\nAnswer:")
    assert splits.train.texts[1] in prompt
    assert "\n#### " in splits.test.references[0]
    assert splits.test.references[0] not in prompt


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if not metric.share])
def test_a_headline_that_the_verdict_cannot_compare_is_refused(name: str) -> None:
    overrides = ("task=continuation", "task@task.source=wikitext2", f"task.data_dir={DATA}/wikitext2")
    asked = task(*overrides, f"task.metrics.scores=[{name}]", f"task.headline={name}")
    with pytest.raises(UserError, match=f"task.headline={name}: the verdict needs a score between 0 and 1"):
        asked.check()


def test_the_prompts_that_a_size_leaves_are_the_same_at_every_call() -> None:
    drawn = [task("task=gsm8k_generation", f"task.data_dir={DATA}/gsm8k", "task.test_size=5").load() for _ in range(2)]
    assert len(drawn[0].test) == len(drawn[0].test.references) == 5
    assert drawn[0].fingerprint() == drawn[1].fingerprint()


def test_a_continuation_follows_its_prompt_in_the_document() -> None:
    overrides = ["task=continuation", "task@task.source=wikitext2", f"task.data_dir={DATA}/wikitext2"]
    found = task(*overrides, "task.prompt_words=5", "task.reference_words=7", "task.test_size=null")
    documents = [" ".join(text.split()) for text in found.source.load().test.texts]
    splits = found.load()
    assert len(splits.test) == len(documents)
    for prompt, reference, document in zip(splits.test.texts, splits.test.references, documents, strict=True):
        assert document.startswith(f"{prompt} {reference}")
        assert (len(prompt.split()), len(reference.split())) == (5, 7)


def test_too_few_long_documents_are_refused() -> None:
    overrides = ["task=continuation", "task@task.source=wikitext2", f"task.data_dir={DATA}/wikitext2"]
    with pytest.raises(UserError, match=r"task.test_size=300: the data has \d+ prompts"):
        task(*overrides, "task.prompt_words=5", "task.test_size=300").load()
    for size in ("null", "3"):
        with pytest.raises(UserError, match=r"task\.prompt_words=100000 and .* of the test has 100\d+ words"):
            task(*overrides, "task.prompt_words=100000", f"task.test_size={size}").load()


def test_a_prompt_begins_as_a_text_and_an_empty_one_is_that_beginning(tiny_gpt2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_gpt2)
    prompts = encode_prompts(Examples(("the music", "")), tokenizer, 16)
    words = tokenizer("the music")["input_ids"]
    assert prompts.columns["input_ids"].tolist() == [tokenizer.bos_token_id, *words, tokenizer.bos_token_id]
    batch = prompts.batch([0, 1], left=True)
    assert batch["input_ids"][1, -1] == tokenizer.bos_token_id
    assert batch["attention_mask"][1].sum() == 1


def test_a_prompt_is_never_cut(tiny_gpt2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_gpt2)
    with pytest.raises(UserError, match=r"task.max_length=4: a prompt has \d+ tokens"):
        encode_prompts(Examples(("the music helps the director",)), tokenizer, 4)


def test_a_model_must_reach_over_prompt_and_answer() -> None:
    found = task("task=continuation", "task.max_length=200", "task.new_tokens=57")
    found.check_reach(257)
    found.check_reach(None)
    with pytest.raises(UserError, match="this model reads at most 256 tokens in all"):
        found.check_reach(256)


def test_a_headline_that_is_not_computed_is_refused() -> None:
    with pytest.raises(UserError, match=r"task\.headline=rougeL is not computed"):
        task("task=continuation", "task.metrics.scores=[bleu]").check()


@pytest.mark.parametrize(
    ("headline", "reference", "reason"),
    [
        ("rougeL", "фильм хороший", "rouge-score reads the letters a to z"),
        ("flexible_match", "it is eighteen", "the reference 'it is eighteen' has no number after ####"),
        ("coherence", "One sentence.", "the order of these 3 true texts cannot be told from a random one"),
    ],
)
def test_a_headline_that_the_references_cannot_have_is_refused(
    headline: str, reference: str, reason: str, tiny_bert: Path, tmp_path: Path
) -> None:
    scores = f"task.metrics.scores=[bleu,{headline}]"
    asked = task("task=continuation", scores, f"task.headline={headline}", f"task.metrics.encoder={tiny_bert}")
    with pytest.raises(UserError, match=f"task.headline={headline} has no value for these references: {reason}"):
        asked.check_headline(Examples(("a",) * 3, references=(reference,) * 3), Store(tmp_path))


@pytest.mark.parametrize("wrong", ["####18", "#### $18", "so it is 18"])
def test_a_reference_without_its_number_is_refused_with_its_row(wrong: str, tmp_path: Path) -> None:
    right = {"question": "How many?", "answer": "It makes 9 + 9. #### 18"}
    (tmp_path / "train.jsonl").write_text(json.dumps(right) + "\n")
    rows = [right, {**right, "answer": f"It makes 9 + 9. {wrong}"}]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = compose_parts("model=smollm2", "task=gsm8k_generation", f"task.data_dir={tmp_path}").task
    with pytest.raises(UserError, match="row 2 of the test has no number after '#### '"):
        task.load()
