"""The Record survives JSON, and gives MLflow a flat number for everything measured."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effcomp.core.class_paths import with_ids
from effcomp.record import Record, numbers
from tests.conftest import DATA

TEXT = (DATA / "records" / "nf4.json").read_text()


def without_none(value: Any) -> Any:
    """The value without the fields that are None, which a record of an older version may not have."""
    if isinstance(value, dict):
        return {name: without_none(inner) for name, inner in value.items() if inner is not None}
    return [without_none(inner) for inner in value] if isinstance(value, list) else value


def test_a_record_survives_json() -> None:
    record = Record.from_json(TEXT)
    fields = json.loads(TEXT)
    expected = fields | {"config": with_ids(fields["config"])}
    assert without_none(json.loads(record.to_json())) == without_none(expected)
    assert Record.from_json(record.to_json()) == record
    assert "\n" not in record.to_json()


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
INTERVALS = st.fixed_dictionaries({"value": NUMBERS, "low": NUMBERS, "high": NUMBERS})


def others(value: Any) -> st.SearchStrategy[Any]:
    """Values of the same shape: other numbers and texts, lists of other lengths."""
    if isinstance(value, dict) and value.keys() == {"value", "low", "high"}:
        return INTERVALS
    if isinstance(value, dict):
        return st.fixed_dictionaries({name: others(inner) for name, inner in value.items()})
    if isinstance(value, list):
        return st.lists(others(value[0]), max_size=3) if value else st.just([])
    if isinstance(value, bool) or value is None:
        return st.just(value)
    if isinstance(value, int | float):
        return NUMBERS if isinstance(value, float) else st.integers(0, 2**53)
    return st.text(max_size=20)


PARTS = {name: others(part) for name, part in json.loads(TEXT).items() if name not in {"schema", "config", "truth"}}


@given(st.fixed_dictionaries(PARTS))
def test_any_record_survives_json(parts: dict[str, Any]) -> None:
    fields = json.loads(TEXT)
    parts["quality"]["status"] = fields["quality"]["status"]
    parts["versus_baseline"] = {**parts["versus_baseline"], **fixed(fields["versus_baseline"])}
    record = Record.from_json(json.dumps(fields | parts))
    assert Record.from_json(record.to_json()) == record
    assert "\n" not in record.to_json()
    assert all(isinstance(number, float) for number in record.metrics().values())


def fixed(fields: dict[str, Any]) -> dict[str, str]:
    """The words of which only a few are allowed."""
    return {name: value for name, value in fields.items() if isinstance(value, str)}


CUTS = st.integers(0, len(TEXT) - 2).map(lambda end: TEXT[:end])


@given(CUTS | st.text(max_size=100))
def test_what_is_no_record_is_a_value_error_of_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"^.+$"):
        Record.from_json(text)


def test_an_interval_is_three_metrics_and_its_value_has_the_short_name() -> None:
    assert dict(numbers({"speedup": {"value": 2.0, "low": 1.5, "high": 2.5}}, "speed")) == {
        "speed.speedup": 2.0,
        "speed.speedup.low": 1.5,
        "speed.speedup.high": 2.5,
    }


def test_what_was_not_measured_is_no_metric() -> None:
    metrics = Record.from_json(TEXT).metrics()
    assert "cost.energy.energy_per_sample_j" not in metrics
    assert metrics["cost.size.weights_bytes"] > 0


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
