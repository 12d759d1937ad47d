"""Structured pruning to a target, by the change of the loss that each part makes."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from effcomp.finetune.base import TrainingCurve, TrainingSetup
from effcomp.models.blocks import counts
from effcomp.prune.base import Pruner
from effcomp.prune.target import TargetPruner, shrink_to


class Budget(TargetPruner, Pruner):
    """Removal of the heads, the blocks of 64 neurons and the whole layers that the loss needs least for what they cost,
    until a target holds.

    All shapes of all layers are compared (effcomp.prune.knapsack), so that layers end in different shapes.
    """

    id: ClassVar[str] = "prune/budget"
    samples: Annotated[int, Field(ge=1)]
    """Training examples, or blocks of text, that the change of the loss is estimated on; all, where there are fewer. It
    is estimated without each head and neuron to first order (effcomp.prune.importance), without each layer exactly."""
    steps: Annotated[int, Field(ge=1)]
    """Number of steps; 1: all at once. After step i of n (1 - i / n)^3 of what is to leave is still there; the whole
    recovery, with all its epochs, follows each step."""

    @property
    def ratios(self) -> list[float]:
        """Return the share of what is still to leave that leaves in each step."""
        return [1 - (1 - 1 / (self.steps - i)) ** 3 for i in range(self.steps)]

    def prune(self, setup: TrainingSetup, dense: Path) -> tuple[TrainingSetup, TrainingCurve, float]:
        present = self.costs(setup).total(counts(setup.model.config))
        limit = self.limit(present)  # a share is of the model before all steps
        absolute = self.target if self.quantity == "speedup" else f"{self.quantity}:{limit}"
        return super(Budget, self.model_copy(update={"target": absolute})).prune(setup, dense)

    def apply(self, setup: TrainingSetup, ratio: float) -> None:
        from effcomp.prune.importance import taylor
        from effcomp.prune.knapsack import best_shapes, changes
        from effcomp.prune.layer_importance import loss_changes

        costs, importance = self.costs(setup), taylor(setup, self.samples)
        present = costs.total(counts(setup.model.config))
        limit = present - ratio * max(0.0, present - self.limit(present))
        whole = loss_changes(setup, self.samples)
        layers = [changes(*one, costs.block) for one in zip(importance, whole, strict=True)]
        shrink_to(setup.model, best_shapes(layers, costs, limit), importance)
