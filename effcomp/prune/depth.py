"""Pruning of whole transformer layers: each saves its share of the time at any batch size."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from effcomp.core.errors import UserError
from effcomp.finetune.base import TrainingSetup
from effcomp.models.base import Model
from effcomp.prune.base import Pruner

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class Depth(Pruner):
    """Removal of the least important layers; the result is a shorter model of the same architecture."""

    id: ClassVar[str] = "prune/depth"
    ratio: Annotated[float, Field(gt=0, lt=1)]
    """Share of the layers that is removed, rounded to whole layers."""
    importance: Literal["loss", "block_influence"]
    """`loss` removes one layer at a time, by the loss without it; `block_influence` all in one pass. The loss is that
    of training examples; the layers that change their input least have the least influence."""
    samples: Annotated[int, Field(ge=1)]
    """Number of training examples, or blocks of text, that are read; all, where there are fewer."""

    def check(self, model: Model) -> None:
        super().check(model)
        self.check_trained(model, "structured")

    def check_config(self, config: "PretrainedConfig") -> None:
        self.check_architecture(config)
        layers = config.num_hidden_layers
        if not 0 < removed(layers, self.ratio) < layers:
            share = 1 / layers
            raise UserError(
                f"prune.ratio={self.ratio} removes {removed(layers, self.ratio)} of {layers} layers; give "
                f"{share:.2f} for one of them, or more, and leave at least one"
            )

    def apply(self, setup: TrainingSetup, ratio: float) -> None:
        from effcomp.models.depth import keep_layers  # heavy libraries: imported where the work begins
        from effcomp.prune.layer_importance import least_influence, least_loss

        layers = setup.model.config.num_hidden_layers
        chosen = least_loss if self.importance == "loss" else least_influence
        gone = chosen(setup, self.samples, removed(layers, self.ratio))
        keep_layers(setup.model, [index for index in range(layers) if index not in gone])


def removed(layers: int, ratio: float) -> int:
    """Return the number of layers to remove: the share of all layers, rounded."""
    return round(layers * ratio)
