"""Means over seeds and folds, from records of real runs that are given other seeds and folds."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from effcomp.core.interval import Interval
from effcomp.core.statistics import repeated_interval
from effcomp.record import Quality, Record
from effcomp.report.table.columns import HOLM
from effcomp.report.table.repeats import repeats_table
from tests.conftest import altered, records


def repeat(record: Record, accuracy: float, **changes: int) -> Record:
    assert isinstance(record.quality, Quality)
    found = record.quality.model_copy(update={"accuracy": Interval(value=accuracy, low=accuracy, high=accuracy)})
    return record.model_copy(update={"quality": found, "config": {**record.config, **changes}})


def test_nothing_is_averaged_where_nothing_was_repeated() -> None:
    assert repeats_table(records("none", "nf4")) is None


def test_seeds_are_averaged_for_each_configuration() -> None:
    none, nf4 = records("none", "nf4")
    repeated = [repeat(none, value, seed=seed) for seed, value in enumerate([0.80, 0.82, 0.87])]
    frame = repeats_table([*repeated, repeat(nf4, 0.70, seed=0), repeat(nf4, 0.72, seed=1)])
    assert frame is not None
    assert frame["configuration"].tolist() == ["none (baseline)", "nf4"]
    assert frame["over"].tolist() == ["3 seeds", "2 seeds"]
    low, high = ttest_1samp([80, 82, 87], 0).confidence_interval()
    assert frame["accuracy, %"][0] == f"83.0 [{low:.1f}, {high:.1f}]"
    assert frame["accuracy difference, points"][0] == "-", "a baseline has no difference from itself"
    assert HOLM not in frame, "a mean of p-values says nothing"


def test_runs_of_two_machines_are_no_repeats() -> None:
    none = records("none")[0]
    other = altered(repeat(none, 0.9, seed=1), {"truth.machine.device": "another processor"})
    assert repeats_table([repeat(none, 0.8, seed=0), other]) is None


def test_a_repeat_that_was_measured_twice_counts_once() -> None:
    none = records("none")[0]
    assert repeats_table([repeat(none, 0.8, seed=0), repeat(none, 0.9, seed=0)]) is None


def test_folds_have_a_wider_interval_than_seeds() -> None:
    none = records("none")[0]
    values = [0.80, 0.82, 0.87]
    frame = repeats_table([repeat(none, value, fold=fold) for fold, value in enumerate(values)])
    assert frame is not None
    share = none.truth.data.test_examples / none.truth.data.train_examples
    expected = repeated_interval(np.array(values) * 100, share)
    assert frame["over"][0] == "3 folds"
    assert frame["accuracy, %"][0] == f"83 [{expected.low:.0f}, {expected.high:.0f}]"
    assert expected.low < repeated_interval(np.array(values) * 100, 0.0).low


def test_the_correction_for_folds_covers_what_the_plain_interval_does_not() -> None:
    """Simulated: the folds' results share a part of their variance, as overlapping training sets make it."""
    generator, covered = np.random.default_rng(0), {0.0: 0, 0.25: 0}
    for _ in range(400):
        shared = generator.normal(0, 0.5)
        values = shared + generator.normal(0, 1, 5)
        for share in covered:
            interval = repeated_interval(values, share)
            covered[share] += interval.low <= 0 <= interval.high
    assert covered[0.25] / 400 == pytest.approx(0.95, abs=0.03)
    assert covered[0.0] < covered[0.25]
