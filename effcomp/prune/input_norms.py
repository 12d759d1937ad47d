"""Norms of what the matrices of a model read on training examples."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from effcomp.core.batches import Batch
from effcomp.finetune.base import TrainingSetup
from effcomp.finetune.rows import drawn_rows
from effcomp.models.walk import Walk, by_block, watched
from effcomp.prune.sparse import matrices

Norms = dict[str, Tensor]
"""L2 norm of each input of a matrix over all tokens, (inputs,) float32, by the name of its layer."""


def single_batches(setup: TrainingSetup, samples: int) -> list[Batch]:
    """Return training examples, each a batch of one without its labels.

    Args:
        samples: maximum number of examples, drawn with the run's seed, or of blocks of documents.
    """
    return [
        {name: np.array([ids], dtype=np.int64) for name, ids in row.items() if name != "labels"}
        for row in drawn_rows(setup, samples)
    ]


def norms_by_block(model: PreTrainedModel, samples: Sequence[Batch]) -> Iterator[Norms]:
    """Yield the norms of each transformer layer's matrices in turn, then of those outside; without the head. See
    effcomp.models.walk.by_block. A matrix that is not called has norms of 1.

    Args:
        model: in eval mode, on the CPU.
        samples: each a batch of one, without padding.
    """
    for sums in by_block(Walk(model, samples), matrices(model), squared):
        yield {name: norms(one) for name, one in sums.items()}


def norms(squares: Tensor | float) -> Tensor:
    """Return the roots of the sums of squares; 1 where nothing was summed."""
    return squares.sqrt().float() if isinstance(squares, Tensor) else torch.ones(1)


@contextmanager
def squared(layers: dict[str, nn.Module]) -> Iterator[dict[str, Tensor | float]]:
    """Sum the squares of each input of these layers in the calls that are made inside; 0.0 for one without calls."""
    sums: dict[str, Tensor | float] = dict.fromkeys(layers, 0.0)

    def add(name: str, tokens: Tensor) -> None:
        sums[name] = sums[name] + tokens.double().square().sum(dim=0)

    with watched(layers, add):
        yield sums
