"""Choice of the scores that a task's texts get, with the encoder and the judge that compute some of them."""

import logging
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from effcomp.core.checksum import contents_sha256
from effcomp.core.code_key import code_key
from effcomp.core.component import Component
from effcomp.core.errors import UserError, first_line
from effcomp.core.packages import require
from effcomp.core.store import Store
from effcomp.metrics.encoder import minilm_folder
from effcomp.metrics.readers import Readers
from effcomp.metrics.registry import METRICS, Outputs
from effcomp.metrics.scores import AnyScores, NoScore
from effcomp.models.base import Model
from effcomp.models.folder import check_folder

for found in iter_modules([str(Path(__file__).parent)]):
    if not found.ispkg and found.name != "choice":
        import_module(f"effcomp.metrics.{found.name}")

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    Score = str
else:
    Score = Literal[tuple(sorted(METRICS))]


class TextMetrics(Component):
    """Choice of scores. To add one: a module in effcomp/metrics with `@score`, and a test."""

    id: ClassVar[str] = "task/text_metrics"
    scores: Annotated[list[Score], Field(min_length=1)]
    """Scores of the written texts."""
    encoder: Path | None
    """Encoder's folder, for bertscore and coherence; null: all-MiniLM-L6-v2 from its package."""
    encoder_layer: Annotated[int, Field(ge=0)]
    """Layer whose hidden states BERTScore compares; 0: the embeddings."""
    judge: Model
    """Decoder of perplexity_judge; models are comparable only under one judge."""

    @property
    def needs_encoder(self) -> bool:
        return any(METRICS[score].embeds for score in self.scores)

    def pinned(self) -> Self:
        """Return the scores with the judge's revision resolved to a commit, where a score needs the judge.

        Raises:
            UserError: there is no such revision, or the Hub cannot be asked.
        """
        return self.model_copy(update={"judge": self.judge.pinned()}) if self.needs_judge else self

    @property
    def needs_judge(self) -> bool:
        return "perplexity_judge" in self.scores

    def check(self) -> None:
        """Raise UserError when a library, the encoder or the judge cannot be had; takes seconds at most."""
        for score in self.scores:
            if (library := METRICS[score].library) is not None:
                require(library, f"task.metrics.scores={score}")
        if self.needs_encoder:
            self.check_encoder()
        if self.needs_judge:
            if self.judge.kind != "decoder":
                raise UserError(f"task.metrics.judge: {self.judge.name} is an encoder; a judge predicts the next token")
            self.judge.check("causal_lm", as_it_is=True)

    def check_encoder(self) -> None:
        """Raise UserError when the encoder cannot be used, or has no such layer."""
        folder = self.encoder_folder()
        config, _ = check_folder(folder, "task.metrics.encoder", weights=True)
        if config.is_encoder_decoder:
            raise UserError(
                f"task.metrics.encoder={folder} is an encoder-decoder ({config.model_type}); give an encoder"
            )
        if "bertscore" in self.scores and self.encoder_layer > config.num_hidden_layers:
            there = f"{folder.name} has the layers 0 to {config.num_hidden_layers}"
            raise UserError(f"task.metrics.encoder_layer={self.encoder_layer}: {there}; give one of these")

    def encoder_folder(self) -> Path:
        return self.encoder or minilm_folder()

    def identity(self, store: Store) -> dict[str, Any]:
        """Return all that determines the scores of a text."""
        files = sorted(self.encoder_folder().iterdir()) if self.needs_encoder else []
        weights = {file.name: contents_sha256(file) for file in files if file.is_file()}
        judge = self.judge.identity(store) if self.needs_judge else None
        code = code_key(*(METRICS[score].compute.__module__ for score in self.scores))
        return {
            "scores": self.scores,
            "code": code,
            "encoder": weights,
            "encoder_layer": self.encoder_layer,
            "judge": judge,
        }

    def readers(self, references: list[str], store: Store) -> Readers:
        """Return the models that compute the scores; references: those of the test."""
        return Readers(self.encoder, self.encoder_layer, self.judge, references, store)


def scored(outputs: Outputs, names: Sequence[str]) -> tuple[dict[str, AnyScores], dict[str, str]]:
    """Return each score by its name, and the reason for each that these outputs do not have. A score that fails is one
    of these: the texts took longer to write than it to compute, and the other scores are right.
    """
    found: dict[str, AnyScores] = {}
    missing: dict[str, str] = {}
    for name in names:
        try:
            found[name] = METRICS[name].compute(outputs)
        except NoScore as error:
            missing[name] = str(error)
        except Exception as error:  # whatever a library, or a score of the user's own, raises
            log.warning("task.metrics.scores: %s failed", name, exc_info=True)
            missing[name] = f"{type(error).__name__}: {first_line(error)}"
    return found, missing
