"""Structured pruning to a budget: heads and neurons of all layers compete for the same parameters."""

import re
from math import ceil
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import AfterValidator, Field

from effcomp.core.errors import UserError
from effcomp.finetune.base import Job
from effcomp.models.base import Model
from effcomp.prune.base import Pruner

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedModel

TARGET = re.compile(r"(parameters|operations):(0?\.\d+)")


def known_target(text: str) -> str:
    if TARGET.fullmatch(text) is None or float(text.partition(":")[2]) == 0:
        raise ValueError("give what is limited and the share that stays, say parameters:0.4 or operations:0.3")
    return text


class Budget(Pruner):
    """Removal of the heads, and of the blocks of 64 neurons, that the loss needs least for each weight that they take.

    All of them stand in one ranking, by their importance over their cost (a knapsack filled greedily, as of channels in
    Shen et al. 2022, "Structural Pruning via Latency-Saliency Knapsack"), and the last leave until the target holds, so
    that layers end in different shapes. Each layer keeps a head and a block of neurons.
    """

    id: ClassVar[str] = "prune/budget"
    target: Annotated[str, AfterValidator(known_target)]
    """Quantity and the share of it that stays at most. `parameters:0.4`: of the model without its head, embeddings
    included; `operations:0.3`: of the multiplications of the transformer layers' matrices."""
    samples: Annotated[int, Field(ge=1)]
    """Number of training examples, or blocks of text, on which the first-order change of the loss without each head
    and neuron is estimated (effcomp.prune.importance); all, where there are fewer."""

    @property
    def reshapes(self) -> bool:
        return True

    @property
    def quantity(self) -> str:
        return self.target.partition(":")[0]

    @property
    def share(self) -> float:
        return float(self.target.partition(":")[2])

    def check(self, model: Model) -> None:
        super().check(model)
        self.check_trained(model, "structured")

    def check_config(self, config: "PretrainedConfig") -> None:
        from accelerate import init_empty_weights
        from transformers import AutoModel

        from effcomp.prune.knapsack import total_cost, unit_costs

        self.check_architecture(config)
        with init_empty_weights():
            model = AutoModel.from_config(config)
        total = total_cost(model, self.quantity)
        costs = unit_costs(model, self.quantity)
        least = total - sum(cost.each * (cost.units - cost.step) for layer in costs for cost in layer)
        if self.share * total < least:
            smallest = ceil(1000 * least / total) / 1000
            reason = "leaves a layer with no head or no neurons; the smallest share possible is"
            raise UserError(f"prune.target={self.target} {reason} {smallest:.3f}")

    def apply(self, job: Job, ratio: float) -> None:
        from effcomp.models.blocks import shrink
        from effcomp.prune.importance import taylor
        from effcomp.prune.knapsack import best_units, total_cost, unit_costs

        total, costs = total_cost(job.model.base_model, self.quantity), unit_costs(job.model, self.quantity)
        shrink(job.model, best_units(taylor(job, self.samples), costs, (1 - self.share) * total))

    def masks(self, model: "PreTrainedModel") -> "dict[str, Tensor]":
        return {}
