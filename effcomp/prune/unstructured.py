"""Magnitude pruning of single weights."""

from contextlib import ExitStack
from typing import ClassVar, Literal

from effcomp.finetune.base import TrainingSetup
from effcomp.models.linear import same_scale
from effcomp.prune.base import GradualPruner
from effcomp.prune.sparse import SparsePruner, matrices


class L1Unstructured(SparsePruner, GradualPruner):
    """Zeros in the weights of smallest magnitude (Han et al. 2015, "Learning both Weights and Connections for Efficient
    Neural Networks", section 3).

    `ratio` is the share of the weights of the linear layers without the head.
    """

    id: ClassVar[str] = "prune/l1_unstructured"
    scope: Literal["global", "layer"]
    """Rank all weights together, or those of each layer alone."""

    def apply(self, setup: TrainingSetup, ratio: float) -> None:
        from torch.nn.utils import prune

        layers = matrices(setup.model).values()
        with ExitStack() as scales:
            for layer in layers:
                scales.enter_context(same_scale(layer))
            if self.scope == "global":
                prune.global_unstructured(
                    [(layer, "weight") for layer in layers], pruning_method=prune.L1Unstructured, amount=ratio
                )
            else:
                for layer in layers:
                    prune.l1_unstructured(layer, "weight", amount=ratio)
            for layer in layers:
                prune.remove(layer, "weight")
