"""Pruning in the pattern that sparse tensor cores compute with."""

from typing import TYPE_CHECKING, ClassVar

from effcomp.finetune.base import TrainingSetup
from effcomp.models.linear import matrix, same_scale
from effcomp.prune.sparse import SparsePruner, matrices

if TYPE_CHECKING:
    from torch import Tensor

GROUP, ZEROS = 4, 2


class SemiStructured24(SparsePruner):
    """Zeros in the 2 weights of smallest magnitude among each 4 consecutive inputs of an output (Mishra et al. 2021,
    "Accelerating Sparse Deep Neural Networks", section 3). Inputs after the last whole 4 stay as they are.
    """

    id: ClassVar[str] = "prune/semi_structured_2_4"

    def apply(self, setup: TrainingSetup, ratio: float) -> None:
        for layer in matrices(setup.model).values():
            with same_scale(layer):
                zero_two_of_four(matrix(layer), matrix(layer).abs())


def zero_two_of_four(weight: "Tensor", scores: "Tensor") -> None:
    """Set the two weights of the lowest scores among each 4 consecutive inputs to zero, in place; both (outputs,
    inputs)."""
    weight[lowest_two_of_four(scores)] = 0


def lowest_two_of_four(scores: "Tensor") -> "Tensor":
    """Return where the two lowest scores of each 4 consecutive inputs are, bool; as the scores (outputs, inputs)."""
    import torch

    whole, found = scores.shape[1] // GROUP * GROUP, torch.zeros_like(scores, dtype=torch.bool)
    lowest = scores[:, :whole].unflatten(1, (-1, GROUP)).argsort(dim=2)[..., :ZEROS]
    found[:, :whole].unflatten(1, (-1, GROUP)).scatter_(2, lowest, True)
    return found
