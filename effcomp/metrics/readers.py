"""Models that read texts for a score: the encoder and the judge."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from effcomp.core.interval import Interval
from effcomp.core.store import Store
from effcomp.metrics.coherence import calibrate
from effcomp.metrics.encoder import MINILM, SentenceEncoder, minilm_folder
from effcomp.models.base import Model, load_checkpoint

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Readers:
    """Encoder, scale of the coherence score, and judge, each made when the first score needs it."""

    encoder_path: Path | None
    """Folder of the encoder; None: all-MiniLM-L6-v2 from its package."""
    layer: int
    """Layer whose hidden states BERTScore compares."""
    judge_model: Model
    references: list[str]
    """References of the test, whose mean coherence scores 1."""
    store: Store

    @property
    def folder(self) -> Path:
        return self.encoder_path or minilm_folder()

    @property
    def encoder_name(self) -> str:
        return self.encoder_path.name if self.encoder_path is not None else MINILM

    @cached_property
    def encoder(self) -> SentenceEncoder:
        return SentenceEncoder(self.folder, self.encoder_name)

    @cached_property
    def scale(self) -> Interval:
        return calibrate(self.references, self.encoder, seed=0)

    @cached_property
    def judge(self) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase, str]":
        """Return the judge: the model, its tokenizer, its name."""
        folder = self.judge_model.folder(self.store)
        assert folder is not None, "a judge has weights"
        model, tokenizer = load_checkpoint(folder, "causal_lm")
        assert tokenizer is not None, "a judge has a tokenizer"
        path = self.judge_model.path
        return model.eval(), tokenizer, path.name if path is not None else self.judge_model.name
