"""Preparation of a Run from components: resolve the device, load the data, check both against the model."""

import logging
import math
from collections import Counter
from dataclasses import replace
from itertools import zip_longest

from effcomp.core.errors import UserError
from effcomp.core.store import Store
from effcomp.models.heads import HEADS
from effcomp.pipeline.checks import check_fit
from effcomp.pipeline.compose import Components
from effcomp.pipeline.stage import Run
from effcomp.tasks.base import Examples, Splits
from effcomp.tasks.splits import fold_of, slice_of_test

log = logging.getLogger(__name__)


def prepare(components: Components) -> Run:
    """Load the data and resolve the device.

    Raises:
        UserError: model, data, settings and GPU do not fit one another.
    """
    splits = components.task.load()
    if components.fold is not None:
        splits = fold_of(splits, components.folds, components.fold)
    if components.test_slice is not None:
        splits = replace(splits, test=sliced(splits.test, components.test_slice))
    store, model = Store(components.store), components.model
    head = HEADS[components.task.problem, model.kind]
    if splits.label_names and not components.finetune.trains and model.weights == "pretrained":
        model.check_trained(head, store)
        splits = splits.with_labels(model.labels_order(splits.label_names, store))
    run = Run(components, store, components.device.resolved(), head, splits)
    check_fit(run)
    if components.finetune.trains:
        warn_of_repeated(splits)
        warn_of_unlearned(splits)
    warn_of_one_label(splits)
    return run


def warn_of_repeated(splits: Splits) -> None:
    """Log a warning where texts of test examples are those of a training example."""
    train, test = (zip_longest(part.texts, part.pairs) for part in (splits.train, splits.test))
    known = set(train)
    if seen := sum(example in known for example in test):
        total = len(splits.test)
        log.warning("%d of %d test examples stand in the training data too; they make quality look better", seen, total)


def warn_of_unlearned(splits: Splits) -> None:
    """Log a warning for each label that test examples have and no training example has."""
    counts = Counter(splits.test.labels)
    for label in sorted(set(counts) - set(splits.train.labels)):
        of_all, name = f"{counts[label]} of {len(splits.test)} test examples", splits.label_names[label]
        log.warning("%s have the label %r, which no training example has: it is not learned", of_all, name)


def warn_of_one_label(splits: Splits) -> None:
    """Log a warning where all test examples have the same label."""
    if splits.label_names and len(found := set(splits.test.labels)) == 1:
        name = splits.label_names[found.pop()]
        log.warning("every test example has the label %r: a model that always answers it makes no mistake", name)


def sliced(test: Examples, ends: tuple[float, float]) -> Examples:
    """Return the slice of the test examples.

    Raises:
        UserError: it has fewer than two.
    """
    part = slice_of_test(test, ends)
    if len(part) < 2:
        asked = f"test_slice=[{ends[0]:g},{ends[1]:g}]"
        least = math.ceil(2 / (ends[1] - ends[0]))
        raise UserError(
            f"{asked} has {len(part)} of {len(test)} test examples, and an interval needs 2: give at least {least} "
            "test examples that differ (task.test_size, task.test_share, task.test_files), or a wider test_slice"
        )
    return part
