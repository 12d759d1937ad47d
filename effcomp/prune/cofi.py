"""Structured pruning to a target by learned masks."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from effcomp.core.errors import UserError
from effcomp.finetune.base import TrainingCurve, TrainingSetup
from effcomp.finetune.distill import DistillFinetune
from effcomp.finetune.full import FullFinetune
from effcomp.models.base import Model
from effcomp.models.blocks import counts
from effcomp.prune.base import joined
from effcomp.prune.target import TargetPruner, shrink_to

if TYPE_CHECKING:
    from torch import Tensor

    from effcomp.prune.knapsack import Changes


class Cofi(TargetPruner):
    """Removal of the heads, the blocks of 64 neurons and the whole layers whose masks training closes (Xia et al. 2022,
    "Structured Pruning Learns Compact and Accurate Models", section 3).

    Weights and masks (effcomp.prune.gates) learn together as `recovery` says, for mask_epochs, while the expected cost
    falls to the target over the first half of the steps. Then the shapes with the most open masks within the target
    are cut out (effcomp.prune.knapsack), and the recovery trains what is left.
    """

    id: ClassVar[str] = "prune/cofi"
    mask_epochs: Annotated[float, Field(gt=0)]
    """Passes over the training examples that the masks learn in, before the recovery."""
    mask_learning_rate: Annotated[float, Field(gt=0)]
    """Constant rate of Adam for the masks and the multipliers that hold the target."""

    def check(self, model: Model) -> None:
        if type(self.recovery) not in (FullFinetune, DistillFinetune):
            reason = f"prune={self.name} learns its masks by full or distill"
            raise UserError(f"{reason}, not by finetune@prune.recovery={self.recovery.name}; choose one of them")
        super().check(model)
        assert isinstance(self.recovery, FullFinetune), "the types above"
        if self.recovery.processes > 1:
            raise UserError(f"prune.recovery.processes={self.recovery.processes}: masks are learned by one; give 1")

    def prune(self, setup: TrainingSetup, dense: Path) -> tuple[TrainingSetup, TrainingCurve, float]:
        from effcomp.prune.gates import Gates, LearnMasks
        from effcomp.prune.knapsack import best_shapes

        costs, start = self.costs(setup), time.perf_counter()
        limit, gates = self.limit(costs.total(counts(setup.model.config))), Gates(setup.model)
        masks = LearnMasks(gates, costs, limit, self.mask_learning_rate)
        settings = {"epochs": self.mask_epochs, "patience": None}
        learning = self.recovery.taught_by(dense).model_copy(update=settings)
        with gates.inside(setup.model):
            model, curve = learning.train(
                replace(setup, scratch=setup.scratch / "masks", callbacks=(*setup.callbacks, masks))
            )
        importance = gates.importance()
        shapes = best_shapes([left_open(heads, neurons, costs.block) for heads, neurons in importance], costs, limit)
        shrink_to(model, shapes, importance)
        learned = time.perf_counter() - start
        pruned, rows, took = self.recover(replace(setup, model=model, scratch=setup.scratch / "recovery"), dense)
        steps = [[{**row, "prune_step": step} for row in one] for step, one in ((1, curve), (2, rows))]
        return pruned, joined(*steps), learned + took


def left_open(heads: "Tensor", neurons: "Tensor", block: int) -> "Changes":
    """Return the number of open masks that each shape of a layer loses, a block of neurons as one.

    Args:
        heads, neurons: probability that each is open, (units,).
    """
    from effcomp.prune.knapsack import Changes, left

    blocks = neurons.sort().values.unflatten(0, (-1, block)).mean(dim=1)
    return Changes(left(heads.sort().values), left(blocks), float(heads.sum() + blocks.sum()))
