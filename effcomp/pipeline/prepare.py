"""Preparation of a Run from components: resolve the device, load the data, check both against the model."""

import logging
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from typing import TYPE_CHECKING

from effcomp.core.device import Device
from effcomp.core.errors import UserError
from effcomp.core.store import Store
from effcomp.models.heads import HEADS, Head
from effcomp.pipeline.checks import check_fit
from effcomp.pipeline.compose import Components
from effcomp.prune.base import NoPrune
from effcomp.quant.floats import Float
from effcomp.runtimes.torch import Torch
from effcomp.tasks.base import Examples, Splits, test_slice

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """Configuration ready to be computed. Each stage is a function of a Run and of the previous stage's result."""

    components: Components
    store: Store
    device: Device
    """Device, resolved: not `auto`."""
    head: Head
    splits: Splits

    @cached_property
    def tokenizer(self) -> "PreTrainedTokenizerBase | None":
        """Tokenizer of the artifact: the model's own, or with fewer tokens; None for an architecture alone.

        Raises:
            UserError: pruning cannot take tokens from the model's own.
        """
        parts = self.components
        return parts.prune.remapped(parts.model.tokenizer(self.store), self.splits.train)

    def baseline(self) -> "Run":
        """Return the run of the float32 baseline: the same trained model, not pruned, in eager PyTorch."""
        parts = replace(
            self.components,
            prune=NoPrune(name="none"),
            quant=Float(name="none", dtype="float32"),
            runtime=Torch(name="torch"),
        )
        return replace(self, components=parts)


def prepare(components: Components) -> Run:
    """Load the data and resolve the device.

    Raises:
        UserError: model, data, settings and GPU do not fit one another.
    """
    splits = components.task.load()
    if components.fold is not None:
        splits = splits.fold(components.folds, components.fold)
    if components.test_slice is not None:
        splits = replace(splits, test=sliced(splits.test, components.test_slice))
    if components.finetune.trains and (seen := trained_on(splits)):
        total = len(splits.test)
        log.warning("%d of %d test examples stand in the training data too; they make quality look better", seen, total)
    store, model = Store(components.store), components.model
    head = HEADS[components.task.problem, model.kind]
    run = Run(components, store, components.device.resolved(), head, splits)
    check_fit(run)
    if splits.label_names and not components.finetune.trains and model.weights == "pretrained":
        return replace(run, splits=splits.with_labels(model.labels_order(splits.label_names, store)))
    return run


def trained_on(splits: Splits) -> int:
    """Return the number of test examples whose texts are those of a training example."""
    train, test = (zip_longest(part.texts, part.pairs) for part in (splits.train, splits.test))
    known = set(train)
    return sum(example in known for example in test)


def sliced(test: Examples, ends: tuple[float, float]) -> Examples:
    """Return the slice of the test examples.

    Raises:
        UserError: it has fewer than two.
    """
    part = test_slice(test, ends)
    if len(part) < 2:
        asked = f"test_slice=[{ends[0]:g},{ends[1]:g}]"
        raise UserError(
            f"{asked} has {len(part)} of {len(test)} test examples, and an interval needs 2: give a wider one"
        )
    return part
