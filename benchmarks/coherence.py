"""Does the semantic coherence score put texts in the right order?

    python benchmarks/coherence.py          (half an hour on one core)

BBC News articles that the scale does not come from: as they are, spoilt in known ways, and with words replaced by
random ones at rising rates; and continuations of their first 60 words by SmolLM2, in float32 and quantised to
fewer and fewer bits. Writes coherence.json and coherence.png.
"""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from hydra import compose, initialize_config_dir
from matplotlib.figure import Figure
from numpy.typing import NDArray

from effcomp import stages
from effcomp.compose import build
from effcomp.compress.artifact import load_artifact
from effcomp.device import Device
from effcomp.measure import machine
from effcomp.metrics.coherence import calibrate, coherence, sentences
from effcomp.metrics.encoder import MINILM, SentenceEncoder, minilm_folder
from effcomp.metrics.scores import Scores
from effcomp.statistics import Floats
from effcomp.store import Store
from effcomp.tasks.base import subset

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ROOT = Path(__file__).resolve().parent.parent
ARTICLES, CONTINUATIONS = 400, 100
PROMPT_WORDS, NEW_TOKENS = 60, 256
FORMATS = ("none", "int4", "int3", "ternary")
REPLACED = (0.2, 0.4, 0.6)
SEED = 0


class Remembering(SentenceEncoder):
    """The encoder, which runs each sentence once: most stand in several variants."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder, name)
        self.known: dict[str, Floats] = {}

    def __call__(self, sentences: Sequence[str]) -> Floats:
        unknown = list(dict.fromkeys(sentence for sentence in sentences if sentence not in self.known))
        if unknown:
            self.known |= dict(zip(unknown, super().__call__(unknown), strict=True))
        return np.array([self.known[sentence] for sentence in sentences])


def spoilt(text: list[str], generator: np.random.Generator) -> dict[str, list[str]]:
    """A text, as its sentences, and spoilt versions of it; in the order that the scores should fall in."""
    shuffled = generator.permutation(text).tolist()
    words = [sentence.rstrip(".!?\"'").split() for sentence in text]
    all_words = iter(generator.permutation([word for of_one in words for word in of_one]).tolist())
    return {
        "true text": text,
        "words shuffled within sentences": [sentence_of(generator.permutation(of_one).tolist()) for of_one in words],
        "sentences shuffled": shuffled,
        "words shuffled over the text": [sentence_of([next(all_words) for _ in of_one]) for of_one in words],
        "one sentence repeated": [text[0]] * len(text),
    }


def replaced(text: list[str], share: float, vocabulary: NDArray[np.str_], generator: np.random.Generator) -> str:
    """The text, as its sentences, with a share of its words replaced by words drawn from the vocabulary."""
    words = [[w if generator.random() > share else str(generator.choice(vocabulary)) for w in s.split()] for s in text]
    return " ".join(sentence_of(" ".join(of_one).rstrip(".!?\"'").split()) for of_one in words)


def sentence_of(words: Sequence[str]) -> str:
    joined = " ".join(words)
    return joined[:1].upper() + joined[1:] + "."


def artifact(format_name: str) -> Path:
    """SmolLM2 as it comes, in this number format."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        overrides = ["model=smollm2", "task=bbc_news_lm", "finetune=none", "device=cpu", f"quant={format_name}"]
        parts = build(compose("config", overrides=overrides))
    store, device = Store(ROOT / "multirun/store"), parts.device.resolved()
    splits = parts.task.load()
    trained = stages.checkpoint(store, parts.model, parts.task, splits, "causal_lm", parts.finetune, device, SEED)
    form = parts.runtime.format
    return stages.artifact(store, trained, "causal_lm", parts.prune, parts.quant, form, [], device).path


def continuations(folder: Path, prompts: Sequence[str]) -> list[str]:
    """What the model of an artifact writes after each prompt, sampled (top-p 0.9), NEW_TOKENS tokens."""
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = load_artifact(folder)
    torch.manual_seed(SEED)
    inputs = tokenizer(list(prompts), return_tensors="pt", padding=True)
    with torch.inference_mode():
        tokens = model.generate(
            **inputs,
            max_new_tokens=NEW_TOKENS,
            min_new_tokens=NEW_TOKENS,
            do_sample=True,
            top_p=0.9,
            pad_token_id=tokenizer.pad_token_id,
        )
    written: list[str] = tokenizer.batch_decode(tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return written


def true_continuations(tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str]) -> dict[str, str]:
    """By its prompt, the text that follows, of NEW_TOKENS tokens; of the texts that are long enough."""
    found = {}
    for text in texts:
        words = text.split()
        tokens = tokenizer(" ".join(words[PROMPT_WORDS:]))["input_ids"][:NEW_TOKENS]
        if len(tokens) == NEW_TOKENS:
            found[" ".join(words[:PROMPT_WORDS])] = tokenizer.decode(tokens)
    return found


def summary(variants: dict[str, Scores]) -> dict[str, dict[str, dict[str, float]]]:
    """Each variant's score, and its difference from the variant above it on the same texts."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    above = None
    for name, scores in variants.items():
        found[name] = {"score": scores.interval(SEED).model_dump()}
        if above is not None:
            found[name]["less_the_one_above"] = scores.minus(above, SEED).model_dump()
        above = scores
        print(name, found[name], file=sys.stderr, flush=True)
    return found


def figure(panels: dict[str, dict[str, dict[str, dict[str, float]]]]) -> Figure:
    drawn = Figure(figsize=(15, 3.2), dpi=150, layout="constrained")
    for axes, (title, variants) in zip(drawn.subplots(1, len(panels)), panels.items(), strict=True):
        for row, one in enumerate(variants.values()):
            score = one["score"]
            axes.plot([score["low"], score["high"]], [row, row], color="C0", linewidth=2)
            axes.plot(score["value"], row, "o", color="C0")
        axes.set_yticks(range(len(variants)), list(variants))
        axes.invert_yaxis()
        for at in (0, 1):
            axes.axvline(at, color="grey", linestyle=":", linewidth=1)
        axes.set_xlabel("semantic coherence score, 95 % interval")
        axes.set_title(title, fontsize=10)
    return drawn


def main() -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        parts = build(compose("config", overrides=["model=smollm2", "task=bbc_news_lm"]))
    splits = parts.task.load()
    encoder, generator = Remembering(minilm_folder(), MINILM), np.random.default_rng(SEED)

    train, test = (subset(split, ARTICLES, SEED).texts for split in (splits.train, splits.test))
    scale = calibrate(train, encoder, SEED)
    rows = [spoilt(sentences(text, "en"), generator) for text in test]
    articles = summary({name: coherence([" ".join(row[name]) for row in rows], scale, encoder) for name in rows[0]})

    vocabulary = np.array([word for text in train for word in text.split()])
    noisy = summary(
        {"true text": coherence([" ".join(row["true text"]) for row in rows], scale, encoder)}
        | {
            f"{share:.0%} of words replaced": coherence(
                [replaced(row["true text"], share, vocabulary, generator) for row in rows], scale, encoder
            )
            for share in REPLACED
        }
    )

    tokenizer = parts.model.tokenizer(Store(ROOT / "multirun/store"))
    assert tokenizer is not None, "it comes with its weights"
    short_scale = calibrate(list(true_continuations(tokenizer, train).values()), encoder, SEED)
    true = dict(list(true_continuations(tokenizer, test).items())[:CONTINUATIONS])
    written = {"true continuation": list(true.values())} | {
        f"SmolLM2, {'float32' if name == 'none' else name}": continuations(artifact(name), list(true))
        for name in FORMATS
    }
    models = summary({name: coherence(texts, short_scale, encoder) for name, texts in written.items()})

    result = {
        "command": "python benchmarks/coherence.py",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": machine.device_name(Device(name="cpu", kind="cpu", threads=None).resolved()),
        "libraries": machine.library_versions(),
        "articles": {"texts": ARTICLES, "scale": scale.model_dump(), "variants": articles},
        "words_replaced": {"texts": ARTICLES, "variants": noisy},
        "continuations": {
            "texts": len(true),
            "prompt_words": PROMPT_WORDS,
            "new_tokens": NEW_TOKENS,
            "scale": short_scale.model_dump(),
            "variants": models,
            "first_of_each": {name: texts[0] for name, texts in written.items()},
        },
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    titles = (
        f"{ARTICLES} BBC News articles",
        "the same, words replaced",
        f"{len(true)} continuations of their beginnings",
    )
    figure(dict(zip(titles, (articles, noisy, models), strict=True))).savefig(Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
