"""Scores of a classifier from its logits, alone and against its baseline."""

import numpy as np
from numpy.typing import NDArray

from effcomp.core import statistics
from effcomp.record import ClassQuality, GroupQuality, Quality, VersusBaseline
from effcomp.tasks.base import Examples

CALIBRATION_BINS = 15


def score(logits: NDArray[np.float32], test: Examples, names: tuple[str, ...], seed: int) -> Quality:
    """Return every quality metric with its interval, overall and by group; logits: (examples, classes), float."""
    import torch
    from torchmetrics.functional import calibration_error, confusion_matrix
    from torchmetrics.functional.classification import (
        multiclass_f1_score,
        multiclass_precision,
        multiclass_recall,
    )

    classes, labels = len(names), test.labels
    scores, true = torch.from_numpy(logits), torch.tensor(labels)
    predicted = scores.argmax(dim=1)
    matrix = confusion_matrix(predicted, true, task="multiclass", num_classes=classes)
    precision, recall, f1 = (
        metric(predicted, true, num_classes=classes, average="none").tolist()
        for metric in (multiclass_precision, multiclass_recall, multiclass_f1_score)
    )
    losses = torch.nn.functional.cross_entropy(scores, true, reduction="none").double().numpy()
    member_of = np.array(test.groups)
    groups = {
        group: score_group(predicted.numpy()[member_of == group], true.numpy()[member_of == group], classes, seed)
        for group in dict.fromkeys(test.groups)
    }
    return Quality(
        examples=len(labels),
        accuracy=statistics.accuracy_interval((predicted == true).numpy(), seed),
        macro_f1=statistics.f1_interval(predicted.numpy(), true.numpy(), classes, seed),
        loss=statistics.mean_interval(losses, seed),
        calibration_error=float(
            calibration_error(
                scores.softmax(dim=1), true, task="multiclass", num_classes=classes, n_bins=CALIBRATION_BINS
            )
        ),
        per_class={
            name: ClassQuality(precision=precision[i], recall=recall[i], f1=f1[i], examples=int((true == i).sum()))
            for i, name in enumerate(names)
        },
        per_group=groups,
        group_mean_accuracy=float(np.mean([group.accuracy.value for group in groups.values()])) if groups else None,
        confusion_matrix=matrix.tolist(),
    )


def score_group(predicted: NDArray[np.int64], true: NDArray[np.int64], classes: int, seed: int) -> GroupQuality:
    return GroupQuality(
        examples=len(true),
        accuracy=statistics.accuracy_interval(predicted == true, seed),
        macro_f1=statistics.f1_interval(predicted, true, classes, seed),
    )


def compare(
    baseline: NDArray[np.float32],
    variant: NDArray[np.float32],
    labels: tuple[int, ...],
    margin: float,
    seed: int,
) -> VersusBaseline:
    """Compare the variant with the baseline on the same examples; both are logits, (examples, classes)."""
    true = np.array(labels)
    before, after = baseline.argmax(axis=1), variant.argmax(axis=1)
    was_right, is_right = before == true, after == true
    difference = statistics.paired_difference(was_right, is_right)
    return VersusBaseline(
        accuracy_difference=difference,
        macro_f1_difference=statistics.f1_difference(before, after, true, baseline.shape[1], seed),
        mcnemar_p=statistics.mcnemar_p(was_right, is_right),
        flipped_share=float((before != after).mean()),
        flipped_to_wrong=int((was_right & ~is_right).sum()),
        flipped_to_right=int((~was_right & is_right).sum()),
        margin=margin,
        verdict=statistics.verdict(difference, margin),
    )
