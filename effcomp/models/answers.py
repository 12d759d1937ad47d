"""A model's own answers, as transformers computes them."""

import traceback
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from effcomp.core.batches import Batch
from effcomp.core.errors import UserError, first_line

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def logits_of(model: "PreTrainedModel", batch: Batch) -> NDArray[np.float32]:
    """Return the logits of a batch as transformers computes them on the CPU."""
    import torch

    with torch.no_grad():
        found: NDArray[np.float32] = model(
            **{name: torch.from_numpy(ids) for name, ids in batch.items()}
        ).logits.numpy()
    return found


def answer(model: "PreTrainedModel", batch: Batch, whose: str) -> NDArray[np.float32]:
    """Return the logits of a batch.

    Args:
        model: in eval mode on the CPU.
        whose: the subject of the message: `finetune.teacher=FOLDER`.

    Raises:
        UserError: its code in transformers or torch fails. An exception of effcomp's own layers is a defect of effcomp.
    """
    try:
        return logits_of(model, batch)
    except Exception as error:
        frame, _ = list(traceback.walk_tb(error.__traceback__))[-1]
        if isinstance(error, MemoryError) or frame.f_globals["__name__"].startswith("effcomp."):
            raise
        raise UserError(
            f"{whose} fails in transformers ({first_line(error)}); give a model that answers there"
        ) from error
