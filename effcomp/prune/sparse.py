"""Base class of pruners that set single weights to zero and keep the shape of the matrices."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from effcomp.core.errors import Skipped, UserError
from effcomp.models.base import Model
from effcomp.prune.base import Pruner
from effcomp.quant.tensors import body_layers

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel


class SparsePruner(Pruner):
    """Zeros in the matrices of every linear layer but the head's: neither time nor memory falls on dense kernels, and
    the record says so. Training leaves them at zero."""

    def check(self, model: Model) -> None:
        super().check(model)
        if not self.recovery.keeps_zeros:
            raise Skipped(
                f"finetune@prune.recovery={self.recovery.name} adds matrices without zeros to those of "
                f"prune={self.name}; "
                "use finetune@prune.recovery=full or distill"
            )

    def masks(self, model: "PreTrainedModel") -> "dict[str, Tensor]":
        return {f"{name}.weight": layer.weight.detach() != 0 for name, layer in matrices(model).items()}  # type: ignore[operator]


class CalibratedPruner(SparsePruner):
    """Base class of sparse pruners that read training examples and need no training: each transformer layer reads what
    the pruned ones before it compute."""

    ratio: Annotated[float, Field(gt=0, lt=1)]
    """Share of each layer's weights that becomes zero; the head has none."""
    pattern: Literal["unstructured", "2:4"]
    """`2:4`: two of four consecutive inputs, the pattern of sparse tensor cores; the ratio is 0.5."""
    samples: Annotated[int, Field(ge=1)]
    """Number of training examples, or blocks of text, that are read; all, where there are fewer."""

    def check(self, model: Model) -> None:
        super().check(model)
        if self.pattern == "2:4" and self.ratio != 0.5:
            raise UserError(f"prune.ratio={self.ratio}: prune.pattern=2:4 takes half of the weights; leave it at 0.5")
        self.check_trained(model, "l1_unstructured")


def matrices(model: "nn.Module") -> "dict[str, nn.Module]":
    """Return every nn.Linear and Conv1D by its name, without those of the head."""
    from transformers.pytorch_utils import Conv1D

    linear = body_layers(model)
    return {name: one for name, one in model.named_modules() if name in linear or isinstance(one, Conv1D)}
