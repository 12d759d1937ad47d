"""The scores that a task's texts get, and the models that compute them: the encoder and the judge."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from effcomp.core.component import Component
from effcomp.core.errors import UserError
from effcomp.core.interval import Interval
from effcomp.core.packages import require
from effcomp.core.statistics import Floats
from effcomp.core.store import Store, file_sha256
from effcomp.metrics.bertscore import bertscore
from effcomp.metrics.coherence import calibrate, coherence
from effcomp.metrics.diversity import distinct_n
from effcomp.metrics.encoder import MINILM, SentenceEncoder, minilm_folder
from effcomp.metrics.exact_match import flexible_match, strict_match
from effcomp.metrics.overlap import bleu, chrf, rouge
from effcomp.metrics.perplexity import own_perplexity, perplexity
from effcomp.metrics.scores import AnyScores, NoScore, Scores
from effcomp.models.base import Model, load_checkpoint
from effcomp.models.folder import CONFIG_FILE

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Share = Literal["strict_match", "flexible_match", "rouge1", "rouge2", "rougeL", "bertscore"]
"""Scores from 0 to 1, higher is better, that a verdict can compare."""
Score = Literal[Share, "bleu", "chrf", "distinct_1", "distinct_2", "perplexity_self", "perplexity_judge", "coherence"]
LIKENESS: tuple[Score, ...] = ("rouge1", "rouge2", "rougeL", "bleu", "chrf", "bertscore")
"""Scores of similarity to a reference, which may be another model's text."""
LIBRARIES: dict[Score, str] = {
    **dict.fromkeys(("rouge1", "rouge2", "rougeL"), "rouge_score"),
    **dict.fromkeys(("bleu", "chrf"), "sacrebleu"),
    "bertscore": "bert_score",
    "coherence": "sentencex",
}
"""Packages of the extra [generation] that a score needs, by import name."""


class TextMetrics(Component):
    """Choice of scores. To add one: a function in effcomp/metrics, a line in SCORES, a test."""

    id: ClassVar[str] = "task/text_metrics"
    scores: Annotated[list[Score], Field(min_length=1)]
    """Scores of the written texts."""
    encoder: Path | None
    """Folder written by save_pretrained, for bertscore and coherence; null: all-MiniLM-L6-v2 from its package."""
    encoder_layer: Annotated[int, Field(ge=0)]
    """Layer whose hidden states BERTScore compares; 0: the embeddings."""
    judge: Model
    """Decoder of perplexity_judge; models are comparable only under one judge."""

    @property
    def needs_encoder(self) -> bool:
        return not {"bertscore", "coherence"}.isdisjoint(self.scores)

    def check(self) -> None:
        """Raise UserError when a library, the encoder or the judge cannot be had; takes no time."""
        for score in self.scores:
            if score in LIBRARIES:
                require(LIBRARIES[score], "effcomp[generation]", f"task.metrics.scores={score}")
        if self.needs_encoder and not (self.encoder_folder() / CONFIG_FILE).is_file():
            raise UserError(f"task.metrics.encoder={self.encoder} has no {CONFIG_FILE}: give an encoder's folder")
        if "perplexity_judge" in self.scores:
            if self.judge.kind != "decoder":
                raise UserError(f"task.metrics.judge: {self.judge.name} is an encoder; a judge predicts the next token")
            self.judge.check("causal_lm", as_it_is=True)

    def encoder_folder(self) -> Path:
        return self.encoder or minilm_folder()

    def identity(self, store: Store) -> dict[str, Any]:
        """Return all that determines the scores of a text."""
        files = sorted(self.encoder_folder().iterdir()) if self.needs_encoder else []
        weights = {file.name: file_sha256(file) for file in files if file.is_file()}
        judge = self.judge.identity(store) if "perplexity_judge" in self.scores else None
        return {"scores": self.scores, "encoder": weights, "encoder_layer": self.encoder_layer, "judge": judge}


class Readers:
    """Encoder, scale of the coherence score, and judge, each made when the first score needs it."""

    def __init__(self, metrics: TextMetrics, references: list[str], store: Store) -> None:
        """Keep the settings; references: those of the test, whose mean coherence scores 1."""
        self.metrics, self.references, self.store = metrics, references, store

    @property
    def encoder_name(self) -> str:
        return self.metrics.encoder.name if self.metrics.encoder is not None else MINILM

    @cached_property
    def encoder(self) -> SentenceEncoder:
        return SentenceEncoder(self.metrics.encoder_folder(), self.encoder_name)

    @cached_property
    def scale(self) -> Interval:
        return calibrate(self.references, self.encoder, seed=0)

    @cached_property
    def judge(self) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase, str]":
        """Return the judge: the model, its tokenizer, its name."""
        folder = self.metrics.judge.folder(self.store)
        assert folder is not None, "a judge has weights"
        model, tokenizer = load_checkpoint(folder, "causal_lm")
        assert tokenizer is not None, "a judge has a tokenizer"
        path = self.metrics.judge.path
        return model.eval(), tokenizer, path.name if path is not None else self.metrics.judge.name


class Outputs:
    """Texts that a model wrote, with the inputs of all scores."""

    def __init__(
        self, prompts: list[str], texts: list[str], references: list[str], losses: Floats, readers: Readers
    ) -> None:
        """Keep the texts; losses: (texts, 2), the summed loss of each text's tokens under the model itself, in nats,
        and their number.
        """
        self.prompts, self.texts, self.references, self.losses = prompts, texts, references, losses
        self.readers = readers

    @property
    def listed(self) -> list[list[str]]:
        """Return one reference a text, in a list of its own, as the metrics take them."""
        return [[reference] for reference in self.references]

    @cached_property
    def rouge(self) -> dict[str, Scores]:
        return rouge(self.texts, self.listed)

    def likeness_to(self, texts: list[str]) -> "Outputs":
        """Return the same texts with other references."""
        return Outputs(self.prompts, self.texts, texts, self.losses, self.readers)


def bertscore_of(outputs: Outputs) -> Scores:
    readers = outputs.readers
    folder, layer = readers.metrics.encoder_folder(), readers.metrics.encoder_layer
    return bertscore(outputs.texts, outputs.listed, folder, readers.encoder_name, layer)


SCORES: dict[Score, Callable[[Outputs], AnyScores]] = {
    "strict_match": lambda outputs: strict_match(outputs.texts, outputs.references),
    "flexible_match": lambda outputs: flexible_match(outputs.texts, outputs.references),
    "rouge1": lambda outputs: outputs.rouge["rouge1"],
    "rouge2": lambda outputs: outputs.rouge["rouge2"],
    "rougeL": lambda outputs: outputs.rouge["rougeL"],
    "bleu": lambda outputs: bleu(outputs.texts, outputs.listed),
    "chrf": lambda outputs: chrf(outputs.texts, outputs.listed),
    "bertscore": bertscore_of,
    "distinct_1": lambda outputs: distinct_n(outputs.texts, 1),
    "distinct_2": lambda outputs: distinct_n(outputs.texts, 2),
    "perplexity_self": lambda outputs: own_perplexity(outputs.losses),
    "perplexity_judge": lambda outputs: perplexity(outputs.prompts, outputs.texts, *outputs.readers.judge),
    "coherence": lambda outputs: coherence(outputs.texts, outputs.readers.scale, outputs.readers.encoder),
}


def scored(outputs: Outputs, names: "list[Score]") -> "tuple[dict[Score, AnyScores], dict[Score, str]]":
    """Return each score by its name, and the reason for each that these outputs do not have."""
    found: dict[Score, AnyScores] = {}
    missing: dict[Score, str] = {}
    for name in names:
        try:
            found[name] = SCORES[name](outputs)
        except NoScore as error:
            missing[name] = str(error)
    return found, missing
