"""Pruning of single weights by their magnitude and the size of what they multiply."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from effcomp.core.errors import UserError
from effcomp.finetune.base import Job
from effcomp.models.base import Model
from effcomp.models.linear import matrix, same_scale
from effcomp.prune.semi_structured import zero_two_of_four
from effcomp.prune.sparse import SparsePruner, matrices

if TYPE_CHECKING:
    from torch import Tensor


class Wanda(SparsePruner):
    """Zeros in the weights of smallest |weight| * ||input||_2 among those of an output (Sun et al. 2023, "A Simple and
    Effective Pruning Approach for Large Language Models", section 3), without training.

    The norm of an input is taken over the tokens of training examples; each transformer layer reads what the pruned
    ones before it compute.
    """

    id: ClassVar[str] = "prune/wanda"
    ratio: Annotated[float, Field(gt=0, lt=1)]
    """Share of each output's weights that becomes zero; the head has none."""
    pattern: Literal["unstructured", "2:4"]
    """`2:4`: two of each four consecutive inputs of an output, the pattern of sparse tensor cores; the ratio is 0.5."""
    samples: Annotated[int, Field(ge=1)]
    """Number of training examples, or blocks of text, that are read; all, where there are fewer."""

    def check(self, model: Model) -> None:
        super().check(model)
        if self.pattern == "2:4" and self.ratio != 0.5:
            raise UserError(f"prune.ratio={self.ratio}: prune.pattern=2:4 takes half of the weights; leave it at 0.5")
        self.check_trained(model, "l1_unstructured")

    def apply(self, job: Job, ratio: float) -> None:
        from effcomp.prune.input_norms import norms_by_block, single_batches

        layers = matrices(job.model)
        for norms in norms_by_block(job.model.to("cpu").eval(), single_batches(job, self.samples)):
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
