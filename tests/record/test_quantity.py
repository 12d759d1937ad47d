"""A number is declared once: a field with a Quantity is a column, an objective, a metric and documented."""

import json
from typing import Annotated

import pytest

from effcomp.core.interval import Interval
from effcomp.docs.record import describe
from effcomp.record import Cost, Load, Record
from effcomp.record.quantity import MIB, Quantity, exact, fields
from effcomp.report.objectives import comparable, objectives
from effcomp.report.rows import NamedRecord
from effcomp.report.table.columns import columns
from tests.conftest import DATA, records


class WiderLoad(Load):
    """A group of the Record with one measured number more."""

    warmup_ms: Annotated[
        Interval, Quantity("warm-up", "s", scale=0.001, digits=1, better="lower", objective=True, column=True)
    ]
    """Time of the warm-up."""


class WiderCost(Cost):
    """Its section."""

    load: WiderLoad
    """With the warm-up."""


class WiderRecord(Record):
    """Its Record."""

    cost: WiderCost
    """With the warm-up."""


@pytest.fixture
def wider() -> Record:
    fields = json.loads((DATA / "records/nf4.json").read_text())
    fields["cost"]["load"]["warmup_ms"] = {"value": 2000.0, "low": 1900.0, "high": 2100.0}
    return WiderRecord.from_json(json.dumps(fields))


def test_a_new_number_is_a_column(wider: Record) -> None:
    (column,) = [column for column in columns([wider]) if column.heading == "warm-up, s"]
    assert column.text(NamedRecord("nf4", wider)) == "2.0 [1.9, 2.1]"
    assert column.value(NamedRecord("nf4", wider)) == 2.0


def test_a_new_number_is_an_objective_and_a_limit(wider: Record) -> None:
    objective = objectives(WiderRecord)["warmup_ms"]
    (value,) = comparable(objective, [wider])
    assert value is not None
    assert (value.low, value.value, value.high) == (1900.0, 2000.0, 2100.0)
    assert (objective.label, objective.direction) == ("warm-up, s", "minimize")


def test_a_new_number_is_a_metric_and_documented(wider: Record) -> None:
    assert wider.metrics()["cost.load.warmup_ms"] == 2000.0
    assert "| `warmup_ms` | Interval | Time of the warm-up. | warm-up, s; lower is better; objective |" in describe(
        WiderRecord
    )


def test_a_probe_is_a_number_by_its_name() -> None:
    fields = json.loads((DATA / "records/nf4.json").read_text())
    fields["cost"]["probes"] = {"kv_cache_bytes": 3.0 * MIB}
    record = Record.from_json(json.dumps(fields))
    assert record.metrics()["cost.probes.kv_cache_bytes"] == 3.0 * MIB
    (column,) = [column for column in columns([record]) if column.heading == "KV cache, MiB"]
    assert column.text(NamedRecord("nf4", record)) == "3.00"
    assert objectives(Record)["kv_cache_bytes"].value(record) == exact(3.0 * MIB)
    assert "| `probes.kv_cache_bytes` | float | Bytes of keys and values " in describe(Record)


def test_a_number_of_another_kind_of_record_is_none() -> None:
    by_name = {field.name: field for field in fields(Record)}
    (record,) = records("nf4")
    assert by_name["perplexity"].of(record) is None
    assert by_name["energy_per_sample_j"].of(record) is None, "a reason is not a number"
    assert by_name["gpu_allocated_bytes"].of(record) is None


def test_a_number_that_is_measured_at_several_batch_sizes_is_read_where_it_says() -> None:
    by_name = {field.name: field for field in fields(Record)}
    (record,) = records("nf4")
    speeds = record.speed.by_batch_size
    throughput, floor = by_name["throughput_samples_per_s"].of(record), speeds[1].floor
    assert throughput is not None
    assert floor is not None
    assert throughput.value == speeds[32].throughput_samples_per_s
    share = by_name["share"].of(record)
    assert share is not None
    assert share.value == floor.share
