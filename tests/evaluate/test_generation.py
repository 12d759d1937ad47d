"""Texts of a model are scored alone, and against those that its baseline wrote after the same prompts."""

from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from effcomp.core.store import Store
from effcomp.evaluate.generation import Asked, judge_texts
from effcomp.measure.generated_texts import GeneratedTexts
from effcomp.record import GenerationQuality, GenerationVersus, NotMeasured
from effcomp.tasks.base import Examples
from effcomp.tasks.generation import GenerationTask
from tests.conftest import DATA, compose_parts

PROMPTS = ("the music", "a warm film", "it helps that", "the director")
REFERENCES = (
    "helps the film. It is warm. It is the music that helps.",
    "with a script to match. The script is warm. The film is a match.",
    "the director is a musician. The music is warm. The film is music.",
    "helps the music. The music helps the director. The film is warm.",
)
SCORES = "[rouge1,rougeL,bleu,chrf,bertscore,distinct_1,perplexity_self,perplexity_judge]"


@pytest.fixture(scope="module")
def task(tiny_gpt2: Path, tiny_bert: Path) -> GenerationTask:
    """With a judge and an encoder of two layers."""
    overrides = ["task@task.source=wikitext2", f"task.data_dir={DATA}/wikitext2", f"task.metrics.scores={SCORES}"]
    overrides += [f"task.metrics.judge.path={tiny_gpt2}", f"task.metrics.encoder={tiny_bert}"]
    found = compose_parts("model=smollm2", "task=continuation", *overrides, "task.metrics.encoder_layer=2").task
    assert isinstance(found, GenerationTask)
    found.check()
    return found


Judged = tuple[GenerationQuality, GenerationVersus | NotMeasured, list[dict[str, str]]]


def judged(task: GenerationTask, vocabulary: Path, store: Path, baseline: list[str], variant: list[str]) -> Judged:
    """As if two models had written these texts, and been fairly sure."""
    tokenizer = AutoTokenizer.from_pretrained(vocabulary)

    def written(texts: list[str]) -> GeneratedTexts:
        tokens = [[*tokenizer(text)["input_ids"], tokenizer.eos_token_id] for text in texts]
        losses = np.array([0.5 * len(of_one) for of_one in tokens])
        return GeneratedTexts(tokens, losses, [True] * len(tokens), 4, 100.0, 10.0)

    test = Examples(PROMPTS, references=REFERENCES)
    return judge_texts(Asked(task, test, tokenizer, Store(store)), written(baseline), written(variant), 0.005, seed=0)


def test_the_same_texts_differ_in_nothing(task: GenerationTask, tiny_gpt2: Path, tmp_path: Path) -> None:
    texts = list(REFERENCES)
    quality, versus, rows = judged(task, tiny_gpt2, tmp_path, texts, texts)
    assert isinstance(versus, GenerationVersus)
    assert quality.scores["rougeL"].value == versus.likeness["rougeL"].value == 1
    assert quality.scores["bleu"].value == pytest.approx(100)
    assert quality.scores["perplexity_self"].value == pytest.approx(np.exp(0.5))
    assert set(versus.differences) == set(quality.scores)
    assert all(difference.value == 0 for difference in versus.differences.values())
    assert versus.identical_tokens.value == versus.identical_share.value == 1
    assert versus.verdict == "not worse"
    assert rows[0] == {"prompt": PROMPTS[0], "reference": texts[0], "baseline": texts[0], "variant": texts[0]}


def test_worse_texts_are_worse_and_the_names_say_what_was_computed(
    task: GenerationTask, tiny_gpt2: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    quality, versus, _ = judged(task, tiny_gpt2, tmp_path, list(REFERENCES), ["the the the the"] * 4)
    assert isinstance(versus, GenerationVersus)
    assert versus.differences["rougeL"].high < 0
    assert versus.verdict == "worse"
    assert versus.identical_share.value == 0
    assert versus.first_divergence_tokens.value < 2
    assert quality.scores["distinct_1"].value == 0.25
    assert quality.scores["bertscore"].metric.startswith(f"BERTScore F ({tiny_bert.name}, layer 2, bert-score ")
    assert quality.scores["perplexity_judge"].metric == f"perplexity under {tiny_gpt2.name}"


def test_empty_texts_are_counted_and_have_no_perplexity(task: GenerationTask, tiny_gpt2: Path, tmp_path: Path) -> None:
    quality, versus, _ = judged(task, tiny_gpt2, tmp_path, list(REFERENCES), ["", " ", "", "\n"])
    assert isinstance(versus, GenerationVersus)
    assert quality.empty == 4
    assert quality.scores["rougeL"].value == quality.scores["bertscore"].value == 0
    assert quality.without_score.keys() <= {"perplexity_judge"}
    assert versus.verdict == "worse"


def test_a_score_that_fails_leaves_the_others_and_without_the_headline_there_is_no_verdict(
    task: GenerationTask, tiny_gpt2: Path, tmp_path: Path
) -> None:
    names = {"scores": ["bertscore", "rougeL"], "encoder_layer": 9}
    broken = task.model_copy(update={"metrics": task.metrics.model_copy(update=names)})
    quality, versus, rows = judged(broken, tiny_gpt2, tmp_path, list(REFERENCES), list(REFERENCES))
    assert quality.scores.keys() == {"rougeL"}
    assert "has the layers 0 to 2, not 9" in quality.without_score["bertscore"]
    assert isinstance(versus, GenerationVersus)

    headless = broken.model_copy(update={"headline": "bertscore"})
    quality, versus, rows = judged(headless, tiny_gpt2, tmp_path, list(REFERENCES), list(REFERENCES))
    assert isinstance(versus, NotMeasured)
    assert versus.reason.startswith("task.headline=bertscore has no value: ValueError: ")
    assert quality.scores.keys() == {"rougeL"}
    assert len(rows) == 4


def test_a_text_is_read_up_to_its_stop_string(tiny_gpt2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_gpt2)
    tokens = tokenizer(" 18\nQuestion: how")["input_ids"]
    written = GeneratedTexts([tokens, [tokenizer.eos_token_id]], np.zeros(2), [True, True], 1, 1.0, None)
    assert written.texts(tokenizer, ["Question:", "####"]) == [" 18\n", ""]


def test_what_was_written_comes_back_from_its_file(tmp_path: Path) -> None:
    written = GeneratedTexts([[1, 2, 3], [4]], np.array([0.5, 0.25]), [True, False], 8, 100.0, None)
    written.save(tmp_path / "written.safetensors")
    read = GeneratedTexts.load(tmp_path / "written.safetensors")
    assert read.tokens == written.tokens
    assert read.losses.tolist() == [0.5, 0.25]
    assert (read.ended, read.batch_size, read.prefill_tokens_per_s, read.decode_tokens_per_s) == (
        [True, False],
        8,
        100.0,
        None,
    )
