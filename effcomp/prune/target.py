"""Pruning of heads, neurons and layers to a target: a time, a number of bytes, parameters or operations."""

import re
from math import ceil, floor
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from effcomp.core.errors import UserError
from effcomp.core.private.transformers import architecture
from effcomp.finetune.base import TrainingSetup
from effcomp.models.base import Model
from effcomp.models.blocks import counts, dense_counts, shaped_class
from effcomp.models.costs import Costs, block_of, counted
from effcomp.prune.base import PruneAndRecover

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PretrainedConfig, PreTrainedModel

    from effcomp.prune.importance import Importance
    from effcomp.prune.knapsack import LayerShape

COUNTED, MEASURED = ("parameters", "operations"), ("artifact_bytes", "latency_ms", "speedup")
TARGET = re.compile(rf"({'|'.join((*COUNTED, *MEASURED))}):(\d+(\.\d*)?|\.\d+)(e\d+)?")


def known_target(text: str) -> str:
    if TARGET.fullmatch(text) is None or float(text.partition(":")[2]) == 0:
        raise ValueError("give a quantity and its limit, say speedup:3, latency_ms:2.5 or parameters:0.4")
    return text


class TargetPruner(PruneAndRecover):
    """Base class of methods whose heads, neurons and layers compete for the same milliseconds, bytes or parameters.

    For `speedup` and `latency_ms` the cost of a shape is its time on this device and runtime, in this number format, at
    the first of bench.batch_sizes and on the texts that are timed: untrained models of several shapes are written and
    timed beside the float32 baseline, before any training, and the store keeps the table.
    """

    target: Annotated[str, AfterValidator(known_target)]
    """Quantity and its limit: operations:0.5, speedup:3, latency_ms:2.5, artifact_bytes:5e6. `speedup:3`: at least
    three times as fast as the float32 baseline, as the record's speedup; `latency_ms:2.5`: at most that;
    `artifact_bytes:5e6` at most; `parameters:0.4`: of the model without its head, embeddings included;
    `operations:0.3`: of the multiplications of the transformer layers' matrices. Of bytes, parameters and operations a
    number below 1 is a share of those before this pruning; after prune=vocabulary, of those that it left."""

    @property
    def reshapes(self) -> bool:
        return True

    @property
    def quantity(self) -> str:
        return self.target.partition(":")[0]

    @property
    def number(self) -> float:
        return float(self.target.partition(":")[2])

    @property
    def measures(self) -> str | None:
        return self.quantity if self.quantity in MEASURED else None

    def check(self, model: Model) -> None:
        super().check(model)
        self.check_trained(model, "structured")

    def check_config(self, config: "PretrainedConfig") -> None:
        self.check_architecture(config)
        if self.measures is None:
            self.check_costs(config, counted(untrained(config), self.quantity, block(config)))

    def check_costs(self, config: "PretrainedConfig", costs: Costs) -> None:
        least, total = costs.outside + costs.layer, costs.total(counts(config))
        if self.limit(total) >= least:
            return
        if self.quantity == "speedup":
            best = f"the largest possible is {floor(100 / least) / 100:.2f}"
        elif self.number < 1 and self.quantity != "latency_ms":
            best = f"the smallest share possible is {ceil(1000 * least / total) / 1000:.3f}"
        else:
            best = f"the smallest possible is {ceil(1000 * least) / 1000:.3f}"
        shapes = f"one head and {costs.block} neurons in a single layer"
        raise UserError(f"prune.target={self.target} is not reached with {shapes}; {best}")

    def limit(self, total: float) -> float:
        """Return the cost that stays at most; total: cost of the model before pruning. The cost for a speed-up is the
        share of the baseline's time."""
        if self.quantity == "speedup":
            return 1 / self.number
        return self.number * total if self.number < 1 and self.quantity != "latency_ms" else self.number

    def costs(self, setup: TrainingSetup) -> Costs:
        """Return the costs of the shapes that the layers of setup.model can have, in the unit of the target."""
        if self.measures is None:
            return counted(setup.model, self.quantity, block(setup.model.config))
        assert setup.costs is not None, "they were measured before the training"
        return setup.costs


def shrink_to(model: "PreTrainedModel", shapes: "Sequence[LayerShape | None]", importance: "Importance") -> None:
    """Reduce each layer to its shape, in place: its most important units stay; a layer of shape None leaves."""
    from effcomp.models.blocks import shrink
    from effcomp.models.depth import keep_layers
    from effcomp.prune.knapsack import stay

    kept = [
        (stay(heads, shape[0]), stay(neurons, shape[1]))
        for (heads, neurons), shape in zip(importance, shapes, strict=True)
        if shape is not None
    ]
    keep_layers(model, [index for index, shape in enumerate(shapes) if shape is not None])
    shrink(model, kept)


def block(config: "PretrainedConfig") -> int:
    """Return the number of neurons that leave a layer together."""
    return block_of(dense_counts(config)[0][1])


def untrained(config: "PretrainedConfig") -> "PreTrainedModel":
    """Return the model of a config without its head and without memory for its weights."""
    from accelerate import init_empty_weights
    from transformers import AutoModel

    published = architecture(AutoModel, config)
    with init_empty_weights():
        return (shaped_class(published) if hasattr(config, "kept") else published)(config)
