"""Base class of number formats."""

from typing import TYPE_CHECKING

from effcomp.core.batches import Batch
from effcomp.core.component import Component
from effcomp.core.errors import Skipped
from effcomp.record.cost import LayerMap

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from effcomp.quant.rounding.fake_quant import FakeQuant


class Quant(Component):
    """Base class of number formats: a light, validated config that says how weights are stored.

    A runtime executes a format through a lowering (effcomp.quant.lowering), which stands in the same module. To add a
    format: a module with the class and its lowerings, and conf/quant/<name>.yaml. The tests of every format find it by
    itself.
    """

    @property
    def calibration_samples(self) -> int:
        """Number of training examples that the format is fitted to."""
        return 0

    @property
    def rounds(self) -> bool:
        """Tell whether `round_layers` changes the model."""
        return type(self).round_layers is not Quant.round_layers

    def check(self, *, changes: bool) -> None:
        """Raise UserError when the format needs what is not there; takes no time.

        Args:
            changes: the model is fine-tuned or pruned before.
        """

    def check_config(self, config: "PretrainedConfig") -> None:
        """Raise Skipped when the format's codes cannot be chosen for a model of this architecture; most can."""

    def check_shapes(self, model: "PreTrainedModel") -> None:
        """Raise UserError when a model of these shapes, on the meta device, cannot be stored as the settings ask."""

    def start(self) -> None:
        """Make what the products need besides PyTorch, before an artifact is loaded and timed; most need nothing."""

    def round_layers(self, model: "PreTrainedModel", samples: list[Batch]) -> LayerMap | None:
        """Choose the codes of the model's layers before it is encoded, in place; return the choices of each layer, for
        a format that gives layers different widths.

        Args:
            model: float32 and in eval mode, its linear layers nn.Linear.
            samples: `calibration_samples` training examples, each a batch of one.

        Raises:
            UserError: no codes can be fitted to these samples.
        """

    def check_training(self, runtime: str) -> None:
        """Raise Skipped where no model can be trained with the roundings that this runtime will store; most formats
        have none to train with."""
        trained = "int8_dynamic, int8_scratch, int4, int3, int2 or ternary"
        raise Skipped(f"finetune=qat does not train for quant={self.name}; choose quant={trained}")

    def other_grid(self, runtime: str) -> Skipped:
        """Return the refusal of a runtime that rounds on another grid than finetune=qat trains for."""
        reason = f"rounds quant={self.name} on a grid of its own, which finetune=qat does not train for"
        return Skipped(f"runtime={runtime} {reason}; use runtime=torch")

    def fake_quant(self, model: "PreTrainedModel") -> "dict[str, FakeQuant]":
        """Return what the format rounds in each linear layer and embedding table, by name, to train with it.

        Args:
            model: float32, its linear layers nn.Linear.
        """
        return {}
