"""Results of metrics: the full name, and the numbers of every example, for intervals and paired differences."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effcomp.core.interval import Interval
from effcomp.core.statistics import Floats, Ints, accuracy_interval, bca_interval, mean_interval, paired_difference


class NoScore(ValueError):
    """Score that these outputs do not have; the message has the reason."""


@dataclass(frozen=True)
class Scores:
    """Metric that is the mean of one score per example."""

    name: str
    """Full name: includes all that would change the numbers (versions, the encoder, the layer)."""
    per_example: Floats
    """Score of each example, (examples,)."""

    @property
    def value(self) -> float:
        return float(self.per_example.mean())

    def interval(self, seed: int) -> Interval:
        """Return the mean with its interval. Raises ValueError for a single example, which has no interval."""
        return mean_interval(self.per_example, seed)

    def minus(self, baseline: "Scores", seed: int) -> Interval:
        """Return the mean difference to another model's scores of the same examples: the paired bootstrap.

        Raises:
            ValueError: the two are not the same metric, or not of as many examples.
        """
        check_comparable(self.name, baseline.name, len(self.per_example), len(baseline.per_example))
        return mean_interval(self.per_example - baseline.per_example, seed)


@dataclass(frozen=True)
class Matches(Scores):
    """Scores 0 (wrong) and 1 (right), with a classifier's intervals, whose width is above 0 even when all are equal."""

    @property
    def right(self) -> NDArray[np.bool_]:
        return self.per_example.astype(bool)

    def interval(self, seed: int) -> Interval:
        return accuracy_interval(self.right, seed)

    def minus(self, baseline: "Scores", seed: int) -> Interval:
        check_comparable(self.name, baseline.name, len(self.per_example), len(baseline.per_example))
        return paired_difference(baseline.per_example.astype(bool), self.right)


@dataclass(frozen=True)
class CorpusScores:
    """Metric of the whole corpus, such as BLEU: computed from counts that are summed over examples. Its interval comes
    from resampling examples (Koehn 2004, "Statistical Significance Tests for Machine Translation Evaluation").
    """

    name: str
    """Full name, with the library's signature."""
    counts: NDArray[Any]
    """Counts of each example, (examples, counts); for perplexity a sum of losses and a number of tokens."""
    score: Callable[[NDArray[Any]], float]
    """Function from counts summed over examples to the metric."""

    @property
    def value(self) -> float:
        return self.score(self.counts.sum(axis=0))

    def interval(self, seed: int) -> Interval:
        """Return the score with its interval. Raises ValueError for a single example, which has no interval."""
        return over_examples(lambda rows: self.score(self.counts[rows].sum(axis=0)), len(self.counts), seed)

    def minus(self, baseline: "CorpusScores", seed: int) -> Interval:
        """Return the difference to another model's score on the same examples: the paired bootstrap.

        Raises:
            ValueError: the two are not the same metric, or not of as many examples.
        """
        check_comparable(self.name, baseline.name, len(self.counts), len(baseline.counts))

        def difference(rows: Ints) -> float:
            return self.score(self.counts[rows].sum(axis=0)) - self.score(baseline.counts[rows].sum(axis=0))

        return over_examples(difference, len(self.counts), seed)


AnyScores = Scores | CorpusScores


def difference(variant: AnyScores, baseline: AnyScores, seed: int) -> Interval:
    """Return the variant's score minus the baseline's on the same examples.

    Raises:
        ValueError: the two are not the same metric, or not of as many examples.
    """
    match variant, baseline:
        case Scores(), Scores():
            return variant.minus(baseline, seed)
        case CorpusScores(), CorpusScores():
            return variant.minus(baseline, seed)
    raise ValueError(f"{variant.name} cannot be compared with {baseline.name}")


def over_examples(statistic: Callable[[Ints], float], examples: int, seed: int) -> Interval:
    """Return a statistic of the numbers of resampled examples, with its BCa interval."""

    def along(rows: Ints, axis: int) -> Floats:
        return np.asarray(np.apply_along_axis(statistic, axis, rows))

    return bca_interval((np.arange(examples),), along, seed)


def check_comparable(name: str, baseline_name: str, examples: int, baseline_examples: int) -> None:
    if name != baseline_name:
        raise ValueError(f"{name} cannot be compared with {baseline_name}")
    if examples != baseline_examples:
        raise ValueError(f"{examples} examples cannot be paired with {baseline_examples}")


def check_pairs(outputs: Sequence[object], others: Sequence[object], what: str) -> None:
    """Raise ValueError unless there is at least one output, and one of the others for each."""
    if not outputs:
        raise ValueError("there is no output to score")
    if len(outputs) != len(others):
        raise ValueError(f"{len(outputs)} outputs cannot be paired with {len(others)} {what}")


def check_references(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Raise ValueError unless each output has at least one reference."""
    check_pairs(outputs, references, "lists of references")
    for number, of_one in enumerate(references):
        if isinstance(of_one, str) or not of_one:
            raise ValueError(f"the references of example {number} are {of_one!r}: give a list with at least one text")
