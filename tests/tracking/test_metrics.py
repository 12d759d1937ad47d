"""Names of MLflow metrics: headline numbers, and groups that fold."""

from effcomp.record import Quality, Record
from effcomp.record.quantity import MIB, fields
from effcomp.tracking.metrics import grouped, headlines, metrics
from tests.conftest import records


def test_headline_numbers_come_first_in_the_unit_of_their_name() -> None:
    (record,) = records("nf4")
    found = headlines(record)
    assert list(metrics(record))[: len(found)] == list(found)
    assert found["size_mib"] == record.cost.size.artifact_bytes / MIB
    assert found["latency_ms"] == record.speed.latency_p50_ms.value
    assert isinstance(record.quality, Quality)
    assert found["accuracy"] == record.quality.accuracy.value, "a share"
    assert found["speedup_largest_batch"] == record.speed.by_batch_size[32].speedup.value
    assert "energy_mj" not in found, "unavailable"
    assert len(found) == 10


def test_headline_names_are_few_and_distinct() -> None:
    names = [field.quantity.headline for field in fields(Record) if field.quantity.headline]
    assert len(set(names)) == len(names)
    assert not [name for name in names if "/" in name]


def test_every_other_metric_is_in_one_of_four_groups() -> None:
    (record,) = records("nf4")
    rest = metrics(record).keys() - headlines(record).keys()
    assert {name.partition("/")[0] for name in rest} == {"quality", "speed", "cost", "truth"}
    assert {name.count("/") for name in rest} == {1}
    assert {"speed/by_batch_size.32.speedup.low", "quality/versus_baseline.mcnemar_p", "truth/machine.threads"} <= rest


def test_a_difference_to_the_baseline_stands_beside_the_quality() -> None:
    assert grouped("versus_baseline.accuracy_difference.low") == "quality/versus_baseline.accuracy_difference.low"
