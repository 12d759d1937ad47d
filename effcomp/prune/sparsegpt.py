"""Pruning of single weights with an update of those that stay."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from effcomp.core.errors import UserError
from effcomp.finetune.base import TrainingSetup
from effcomp.models.linear import matrix, same_scale
from effcomp.prune.semi_structured import GROUP, lowest_two_of_four
from effcomp.prune.sparse import CalibratedPruner, matrices

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 128
"""Number of columns among which the zeros are chosen together (section 3.4)."""


class SparseGPT(CalibratedPruner):
    """Zeros in the weights whose removal changes the outputs of their layer least, and an update of the weights that
    stay (Frantar and Alistarh 2023, "SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot", section
    3), without training.

    Outputs may lose unlike shares; each block of 128 inputs loses the same. The update needs the second moments of the
    inputs, which rounding by GPTQ needs too: memory and time grow with the square and the cube of the inputs.
    """

    id: ClassVar[str] = "prune/sparsegpt"

    def apply(self, setup: TrainingSetup, ratio: float) -> None:
        from effcomp.models.moments import not_finite, summed  # heavy libraries: imported where the work begins
        from effcomp.models.walk import Walk, by_block
        from effcomp.prune.input_norms import single_batches

        layers = matrices(setup.model)
        walk = Walk(setup.model.to("cpu").eval(), single_batches(setup, self.samples))
        for moments in by_block(walk, layers, summed):
            if (broken := not_finite(moments)) is not None:
                reason = f"{broken}: its inputs hold NaN or infinity on the training examples"
                raise UserError(f"prune={self.name}: {reason}; use prune=l1_unstructured")
            for name, hessian in moments.items():
                with same_scale(layers[name]):
                    weight = matrix(layers[name])
                    weight.copy_(self.sparse(weight, hessian))

    def sparse(self, weight: "Tensor", hessian: "Tensor") -> "Tensor":
        """Return the weight with zeros.

        Args:
            weight: (outputs, inputs), finite.
            hessian: (inputs, inputs) float64, finite, sum of x x^T over the tokens.
        """
        if self.pattern == "2:4":
            return reconstructed(weight, hessian, GROUP, lowest_two_of_four)
        return reconstructed(weight, hessian, BLOCK, self.lowest)

    def lowest(self, scores: "Tensor") -> "Tensor":
        """Return where the share of the lowest scores is, bool; as the scores (outputs, inputs)."""
        import torch

        found = torch.zeros(scores.numel(), dtype=torch.bool)
        found[scores.flatten().topk(round(self.ratio * scores.numel()), largest=False).indices] = True
        return found.view_as(scores)


def reconstructed(weight: "Tensor", hessian: "Tensor", block: int, lowest: "Callable[[Tensor], Tensor]") -> "Tensor":
    """Return the weight with zeros, float64: column by column the error that the zeros make is spread over the columns
    that are left (Algorithm 1).

    Args:
        weight: (outputs, inputs).
        hessian: (inputs, inputs) float64; all zeros for a layer that was not called, which is pruned by magnitude.
        block: number of columns in which zeros are chosen together, after the updates of the columns before them.
        lowest: chooses the zeros, bool, by the squared error of the outputs that each would cause; both (outputs,
            columns of the block).
    """
    import torch

    from effcomp.models.moments import DAMPENING, inverse_factor

    identity = torch.eye(len(hessian), dtype=torch.float64)
    factor = inverse_factor(hessian + DAMPENING * hessian.diagonal().mean() * identity if hessian.any() else identity)
    left, diagonal = weight.double(), factor.diagonal()
    for start in range(0, weight.shape[1], block):
        columns = slice(start, start + block)
        zero = lowest((left[:, columns] / diagonal[columns]) ** 2)
        for place, gone in enumerate(zero.T, start=start):
            error = left[:, place] * gone / diagonal[place]
            left[:, place:] -= error[:, None] * factor[place, place:]
        left[:, columns][zero] = 0
    return left
