"""Calibration examples, and second moments of the inputs of linear layers on them.

Imported where a model is encoded: it needs PyTorch.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from transformers import PreTrainedModel

from effcomp.core.batches import Batch
from effcomp.core.errors import UserError
from effcomp.models.moments import Moments, not_finite, summed
from effcomp.models.walk import Walk, by_block
from effcomp.quant.tensors import body_layers

BATCH = 8
"""Samples of a call at most; of a step of learned rounding."""


def moments_by_block(model: PreTrainedModel, samples: Sequence[Batch]) -> Iterator[Moments]:
    """Yield the moments of each transformer layer's linear layers in turn, then of those outside; without the head. See
    effcomp.models.walk.by_block."""
    return by_block(Walk(model, samples), body_layers(model), summed)


def check_finite(moments: Moments, rounding: str) -> None:
    """Raise UserError where the inputs of a layer are not finite."""
    if (name := not_finite(moments)) is not None:
        reason = f"{name}: its inputs hold NaN or infinity on the calibration examples"
        raise UserError(f"quant.rounding={rounding}: {reason}; try quant.rounding=hqq")


def of_one_length(samples: list[Batch]) -> list[Batch]:
    """Return the samples in batches of at most BATCH, each of one length, so that none is padded."""
    by_length: dict[int, list[Batch]] = {}
    for one in samples:
        by_length.setdefault(one["input_ids"].shape[1], []).append(one)
    runs = [group[at : at + BATCH] for group in by_length.values() for at in range(0, len(group), BATCH)]
    return [{name: np.concatenate([one[name] for one in run]) for name in run[0]} for run in runs]


@contextmanager
def without_cache(model: PreTrainedModel) -> Iterator[None]:
    """Let the model keep no keys and values, which a repeated call of a layer would add to."""
    before = getattr(model.config, "use_cache", None)
    model.config.use_cache = False
    try:
        yield
    finally:
        model.config.use_cache = before
