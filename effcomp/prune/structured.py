"""Structured pruning: whole attention heads and feed-forward neurons are removed from a model that stays dense."""

from math import floor
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from effcomp.core.errors import Skipped, UserError
from effcomp.finetune.base import TrainingSetup
from effcomp.models.base import Model
from effcomp.models.blocks import dense_counts, shrink
from effcomp.models.costs import block_of
from effcomp.prune.base import GradualPruner

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig


class Structured(GradualPruner):
    """Removal of the least important heads and neurons, so that parameters, bytes and time fall.

    `ratio` is the share of the heads, and of the neurons, of the architecture as published. Where attention is
    grouped, a key/value head goes with all of its query heads. The number of neurons kept in a layer is the nearest
    multiple of 64, and at least 64, where the published one is a multiple.
    """

    id: ClassVar[str] = "prune/structured"
    ratio: Annotated[float, Field(ge=0, lt=1)]
    """Share of the heads, and of the neurons, that is removed at the end."""
    importance: Literal["magnitude", "taylor"]
    """`taylor`: first-order change of the loss; `magnitude`: L1 norm of the weights, without data. The module is
    effcomp.prune.importance."""
    scope: Literal["layer", "global"]
    """Take the share from each layer, or rank all layers together. Then each one's importance is divided by its L2 norm
    (Michel et al. 2019, section 4.1), and each keeps at least one head and 64 neurons."""
    samples: Annotated[int, Field(ge=1)]
    """Number of training examples, or blocks of text, that `taylor` reads; all, where there are fewer."""

    @property
    def reshapes(self) -> bool:
        return True

    def check(self, model: Model) -> None:
        super().check(model)
        if model.weights == "random" and self.importance == "taylor":
            raise Skipped(
                "prune.importance=taylor needs a trained model; with model.weights=random: prune.importance=magnitude"
            )

    def check_config(self, config: "PretrainedConfig") -> None:
        self.check_architecture(config, "; use prune=l1_unstructured")
        heads = [layer[0] for layer in dense_counts(config)]
        together, least = (sum(heads), len(heads)) if self.scope == "global" else (heads[0], 1)
        if share(together, self.ratio) < least:
            largest = floor(1000 * (1 - (least - 0.5) / together)) / 1000
            kind = "key/value heads" if hasattr(config, "num_key_value_heads") else "heads"
            raise UserError(
                f"prune.ratio={self.ratio} leaves a layer with no head: each of the {len(heads)} layers has "
                f"{heads[0]} {kind}; the largest ratio possible is {largest}"
            )

    def apply(self, setup: TrainingSetup, ratio: float) -> None:
        # Their libraries are heavy: imported where the work begins.
        from effcomp.prune.importance import magnitude, taylor

        scores = magnitude(setup.model) if self.importance == "magnitude" else taylor(setup, self.samples)
        dense = dense_counts(setup.model.config)
        steps = (1, block_of(dense[0][1]))
        heads, neurons = (
            self.chosen([layer[kind] for layer in scores], dense[0][kind], ratio, step)
            for kind, step in enumerate(steps)
        )
        shrink(setup.model, list(zip(heads, neurons, strict=True)))

    def chosen(self, scores: "list[Tensor]", total: int, ratio: float, step: int) -> list[list[int]]:
        """Return the kept units of each layer: a multiple of `step`, at least one `step`.

        Args:
            scores: importance of the remaining units, (units,), for each layer.
            total: number of units in each layer of the published architecture.
        """
        import torch

        if self.scope == "layer":
            sizes = [max(step, share(total, ratio, step))] * len(scores)
        else:
            relative = [layer / layer.norm().clamp(min=torch.finfo(layer.dtype).tiny) for layer in scores]
            ranked = [layer.sort(descending=True).values for layer in relative]
            free = torch.cat([layer[step:] for layer in ranked])  # the best of each layer stay in any case
            places = share(total * len(scores), ratio) - step * len(scores)
            threshold = free.topk(min(places, len(free))).values[-1] if places > 0 else torch.inf
            sizes = [step * round((step + int((layer[step:] >= threshold).sum())) / step) for layer in ranked]
        return [
            sorted(layer.topk(min(size, len(layer))).indices.tolist())
            for layer, size in zip(scores, sizes, strict=True)
        ]


def share(total: int, ratio: float, step: int = 1) -> int:
    """Return the number of units kept: the multiple of `step` nearest to (1 - ratio) * total, the larger of two."""
    return step * floor((1 - ratio) * total / step + 0.5)
