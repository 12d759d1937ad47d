"""Pruning of single weights by their magnitude and the size of what they multiply."""

from typing import TYPE_CHECKING, ClassVar

from effcomp.finetune.base import TrainingSetup
from effcomp.models.linear import matrix, same_scale
from effcomp.prune.semi_structured import zero_two_of_four
from effcomp.prune.sparse import CalibratedPruner, matrices

if TYPE_CHECKING:
    from torch import Tensor


class Wanda(CalibratedPruner):
    """Zeros in the weights of smallest |weight| * ||input||_2 among those of an output (Sun et al. 2023, "A Simple and
    Effective Pruning Approach for Large Language Models", section 3), without training.

    The norm of an input is taken over the tokens of training examples. Each output loses the same share.
    """

    id: ClassVar[str] = "prune/wanda"

    def apply(self, setup: TrainingSetup, ratio: float) -> None:
        from effcomp.prune.input_norms import norms_by_block, single_batches

        layers = matrices(setup.model)
        for norms in norms_by_block(setup.model.to("cpu").eval(), single_batches(setup, self.samples)):
            for name, norm in norms.items():
                with same_scale(layers[name]):
                    weight = matrix(layers[name])
                    self.zero(weight, weight.abs() * norm)

    def zero(self, weight: "Tensor", scores: "Tensor") -> None:
        """Set the weights of the lowest scores to zero, in place; both (outputs, inputs)."""
        if self.pattern == "2:4":
            zero_two_of_four(weight, scores)
        else:
            count = round(self.ratio * weight.shape[1])
            weight.scatter_(1, scores.topk(count, dim=1, largest=False).indices, 0)
