"""Splits of examples: drawn subsets, slices of the test, train and test, folds."""

import logging
from collections import Counter
from dataclasses import replace

from effcomp.core.errors import UserError
from effcomp.tasks.base import Examples, Splits

log = logging.getLogger(__name__)

SLICE_SEED = 0
"""Seed of the order that slices of the test are cut from; fixed so that all runs share it."""


def subset(examples: Examples, count: int | None, seed: int) -> Examples:
    """Return `count` of the examples, drawn without replacement; all of them for None."""
    import numpy as np

    if count is None:
        return examples
    return examples.take(np.random.default_rng(seed).permutation(len(examples))[:count].tolist())


def slice_of_test(examples: Examples, ends: tuple[float, float]) -> Examples:
    """Return a part of the test examples: those between two shares of all in a random order that never changes. Slices
    that do not overlap share no example, nor a duplicate of one.
    """
    import numpy as np

    members, _ = distinct(examples)
    order = np.random.default_rng(SLICE_SEED).permutation(len(members))
    first, last = (round(end * len(members)) for end in ends)
    return examples.take(sorted(index for group in order[first:last] for index in members[group]))


def distinct(examples: Examples) -> tuple[list[list[int]], list[int]]:
    """Group the examples so that duplicates stay together; return the groups, and the commonest label of each (0
    without labels).

    Two texts are duplicates when their letters and digits are equal, whatever the case.
    """
    groups: dict[str, list[int]] = {}
    second = examples.pairs or ("",) * len(examples)
    for index, text in enumerate(map("\0".join, zip(examples.texts, second, strict=True))):
        groups.setdefault("".join(filter(str.isalnum, text.casefold())), []).append(index)
    labels = examples.labels or (0,) * len(examples)
    members = list(groups.values())
    return members, [Counter(labels[i] for i in group).most_common(1)[0][0] for group in members]


def stratified_split(examples: Examples, test_size: int, seed: int, source: str) -> tuple[Examples, Examples]:
    """Split once into train and test: seeded, stratified by label where there are labels, duplicates on one side.

    Raises:
        UserError: there are not enough distinct texts for the test split, of all labels or of one.
    """
    from sklearn.model_selection import train_test_split

    members, strata = distinct(examples)
    labels = Counter(strata)
    if not len(labels) <= test_size <= len(members) - len(labels) or min(labels.values()) < 2:
        rarest = f", {min(labels.values())} of the rarest label" if len(labels) > 1 else ""
        raise UserError(
            f"{source} has {len(members)} distinct texts{rarest}: too few for a test split of {test_size}; "
            "give a smaller one, or more texts"
        )
    train, test = train_test_split(members, test_size=test_size, random_state=seed, stratify=strata)
    first, second = (examples.take([i for group in side for i in group]) for side in (train, test))
    if abs(len(second) - test_size) > 0.1 * test_size:
        where = "equal texts stay on one side of the split"
        log.warning("%s: the test has %d of %d examples: %s", source, len(second), len(examples), where)
    return first, second


def fold_split(examples: Examples, folds: int, fold: int) -> tuple[Examples, Examples]:
    """Return train and test of one fold: stratified, duplicates on one side. Every example is tested in exactly one
    fold. The folds do not depend on the run's seed.

    Raises:
        UserError: a label has fewer distinct texts than there are folds.
    """
    from sklearn.model_selection import StratifiedKFold

    members, strata = distinct(examples)
    rarest = min(Counter(strata).values())
    if rarest < folds:
        raise UserError(f"folds={folds}: the rarest label has {rarest} distinct training texts")
    splits = list(StratifiedKFold(folds, shuffle=True, random_state=0).split(strata, strata))
    train, test = (examples.take([i for group in side for i in members[group]]) for side in splits[fold])
    return train, test


def fold_of(splits: Splits, folds: int, fold: int) -> Splits:
    """Return the splits of a cross-validation: one fold of the training examples, or of all where the test is drawn
    from the same rows, is the test.

    Raises:
        UserError: a label has fewer distinct texts than there are folds.
    """
    examples = splits.train.joined(splits.test) if splits.drawn else splits.train
    train, test = fold_split(examples, folds, fold)
    return replace(splits, train=train, test=test)
