"""The Record survives JSON, and gives MLflow a flat number for everything measured."""

import json
from pathlib import Path

import pytest

from effcomp.record import Record, numbers
from tests.conftest import DATA

TEXT = (DATA / "records" / "nf4.json").read_text()


def test_a_record_survives_json() -> None:
    record = Record.from_json(TEXT)
    assert json.loads(record.to_json()) == json.loads(TEXT)
    assert Record.from_json(record.to_json()) == record
    assert "\n" not in record.to_json()


def test_an_interval_is_three_metrics_and_its_value_has_the_short_name() -> None:
    assert dict(numbers({"speedup": {"value": 2.0, "low": 1.5, "high": 2.5}}, "speed")) == {
        "speed.speedup": 2.0,
        "speed.speedup.low": 1.5,
        "speed.speedup.high": 2.5,
    }


def test_what_was_not_measured_is_no_metric() -> None:
    metrics = Record.from_json(TEXT).metrics()
    assert "cost.energy_per_sample_j" not in metrics
    assert metrics["cost.weights_bytes"] > 0


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields.pop("speed"),
        lambda fields: fields.update(schema=99),
        lambda fields: fields.update(extra=1),
        lambda fields: fields["quality"].update(accuracy=0.5),
    ],
)
def test_another_shape_is_refused(change, tmp_path: Path) -> None:
    fields = json.loads(TEXT)
    change(fields)
    with pytest.raises(ValueError, match=r"schema|speed|extra|accuracy"):
        Record.from_json(json.dumps(fields))


@pytest.mark.parametrize("schema", [1, 2])
def test_a_record_of_a_schema_before_is_read_and_stays_what_it_was(schema: int) -> None:
    record = Record.from_json((DATA / "records" / f"schema_{schema}.json").read_text())
    assert record.schema_version == schema
    assert record.speed.writing is None
    assert (record.truth.conditions is None) == (schema == 1)
    assert (record.cost.pss_bytes is None) == (schema == 1)
    assert Record.from_json(record.to_json()) == record
