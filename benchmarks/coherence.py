"""Does the semantic coherence score put texts in the right order?

    python benchmarks/coherence.py          (ten minutes on one core)

BBC News articles that the scale does not come from: as they are, spoilt in known ways, and with words replaced by
random ones at rising rates; and what SmolLM2 wrote in ever coarser number formats (the Records of metrics_study.jsonl).
Writes coherence.json and coherence.png.
"""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir
from matplotlib.figure import Figure
from numpy.typing import NDArray

from effcomp.core import machine
from effcomp.core.device import Device
from effcomp.core.statistics import Floats
from effcomp.metrics.coherence import calibrate, coherence, sentences
from effcomp.metrics.encoder import MINILM, SentenceEncoder, minilm_folder
from effcomp.metrics.scores import Scores
from effcomp.pipeline.compose import build
from effcomp.record import GenerationQuality, GenerationVersus
from effcomp.report.sources import find_records
from effcomp.tasks.splits import subset

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FORMATS = ("bf16", "int8_scratch", "nf4", "int4", "int3", "ternary")
ARTICLES = 400
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


def models() -> dict[str, dict[str, dict[str, float]]]:
    """The scores of SmolLM2's continuations by number format, and their differences from float32's."""
    found = {}
    for record in find_records(HERE / "metrics_study.jsonl"):
        quality, versus = record.quality, record.versus_baseline
        assert isinstance(quality, GenerationQuality) and isinstance(versus, GenerationVersus), "its task writes texts"
        score = quality.scores["coherence"].model_dump(exclude={"metric"})
        found[record.choices["quant"]] = {"score": score, "less_float32": versus.differences["coherence"].model_dump()}
    return {name: found[name] for name in ("none", *FORMATS)}


def main() -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        parts = build(compose("config", overrides=["task=bbc_news_lm"]))
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

    written = models()
    result = {
        "command": "python benchmarks/coherence.py",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": machine.device_name(Device(name="cpu", kind="cpu", threads=None).resolved()),
        "libraries": machine.library_versions(),
        "articles": {"texts": ARTICLES, "scale": scale.model_dump(), "variants": articles},
        "words_replaced": {"texts": ARTICLES, "variants": noisy},
        "models": {"variants": written},
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    titles = (f"{ARTICLES} BBC News articles", "the same, words replaced", "what SmolLM2 wrote, by number format")
    figure(dict(zip(titles, (articles, noisy, written), strict=True))).savefig(Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
