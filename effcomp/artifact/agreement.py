"""An artifact in float32 answers as its checkpoint does: checked on a few examples whenever one is written.

Weights that are loaded by other rules than the checkpoint's (tied where they differ, left out, transposed), and graphs
that an engine executes differently, would otherwise be measured unnoticed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from effcomp.core.batches import Batch
from effcomp.core.errors import UserError, first_line
from effcomp.models.answers import answer, logits_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

RELATIVE = 1e-3
"""The largest difference of float32 logits, relative to the largest logit: libraries sum in other orders."""


class ReferenceAnswer(NamedTuple):
    """A batch, and the checkpoint's own answer to it."""

    batch: Batch
    logits: NDArray[np.float32]
    """(batch, classes), or (batch, positions, vocabulary)."""


@contextmanager
def as_unsupported(who: str, model: "PreTrainedModel") -> Iterator[None]:
    """Turn whatever a converter or an engine raises for an architecture into one line."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        reason = f"{who} does not take the architecture {model.config.model_type} ({first_line(error)})"
        raise UserError(f"{reason}; choose another runtime") from error


def reference_answers(model: "PreTrainedModel", examples: list[Batch]) -> list[ReferenceAnswer]:
    """Ask a float32 model in eval mode on the CPU.

    Raises:
        UserError: its code in transformers or torch fails. An exception of effcomp's own layers is a defect of effcomp.
    """
    whose = f"this checkpoint of {model.config.model_type}"
    return [ReferenceAnswer(batch, answer(model, batch, whose)) for batch in examples]


def check_padding(model: "PreTrainedModel", references: list[ReferenceAnswer]) -> None:
    """Compare the checkpoint's answer to each padded text with its answer to that text alone.

    Raises:
        UserError: they differ: what it answers depends on the other texts of the batch (FNet mixes padding into every
            token, MobileBERT into the last one).
    """
    for batch, logits in references:
        lengths = batch["attention_mask"].sum(axis=1)
        for row in np.flatnonzero(lengths < batch["attention_mask"].shape[1]):
            inside = batch["attention_mask"][row] == 1
            alone = logits_of(model, {name: ids[row : row + 1, inside] for name, ids in batch.items()})[0]
            padded = logits[row][inside] if logits.ndim == 3 else logits[row]
            difference, largest = float(np.abs(padded - alone).max()), float(np.abs(alone).max())
            if difference > RELATIVE * max(largest, 1.0):
                reason = f"{model.config.model_type} answers otherwise to a padded text than to the same text alone"
                figures = f"logits differ by {difference:.3g}, the largest is {largest:.3g}"
                raise UserError(f"{reason} ({figures}): its answers depend on the batch; give another architecture")


def check_agreement(
    references: list[ReferenceAnswer], answer: Callable[[Batch], NDArray[np.float32]], who: str
) -> None:
    """Compare a float32 model's answers with the checkpoint's own.

    Args:
        answer: from a batch to its logits, in the shape of the reference's.
        who: the name of what answers: `OpenVINO`.

    Raises:
        UserError: they differ, or are not finite.
    """
    for batch, expected in references:
        found, wanted = answer(batch), expected
        if wanted.ndim == 3:  # at a padded position nothing is asked for
            found, wanted = (logits[batch["attention_mask"] == 1] for logits in (found, wanted))
        if not np.isfinite(wanted).all():
            raise UserError(
                "the checkpoint answers with NaN or infinity in float32; give a model that works in float32, "
                "or a smaller finetune.learning_rate where the run trained it"
            )
        if not np.isfinite(found).all():
            raise UserError(f"{who} computes NaN or infinity where this checkpoint does not; choose another runtime")
        difference, largest = float(np.abs(found - wanted).max()), float(np.abs(wanted).max())
        if difference > RELATIVE * max(largest, 1.0):
            reason = f"{who} does not compute what this checkpoint computes: logits differ by {difference:.3g}"
            raise UserError(f"{reason} (the largest is {largest:.3g}); choose another runtime")
