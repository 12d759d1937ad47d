"""Records of older schemas are read in the shape of the current one, with every number that they hold."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from effcomp.record import Record
from effcomp.record.upgrade import HOLDS_A_REPEAT_SINCE, NESTED_SINCE
from tests.conftest import DATA, ROOT

OLDER = [DATA / "records" / f"schema_{schema}.json" for schema in (1, 2, 3, 4)]
PUBLISHED = sorted((ROOT / "benchmarks").rglob("*.jsonl"))


def leaves(value: Any) -> Iterator[str]:
    """Every value that is no container and not None, as JSON."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)
    elif value is not None:
        yield json.dumps(value)


@pytest.mark.parametrize("file", [*OLDER, *PUBLISHED], ids=lambda file: file.name)
def test_no_value_is_lost_or_added(file: Path) -> None:
    for line in file.read_text().splitlines():
        before, after = json.loads(line), json.loads(Record.from_json(line).to_json())
        assert after["schema"] == max(NESTED_SINCE, before["schema"])
        for section in ("quality", "versus_baseline", "speed", "cost", "truth"):
            assert sorted(leaves(after[section])) == sorted(leaves(before[section]))


@pytest.mark.parametrize("file", OLDER, ids=lambda file: file.name)
def test_flat_costs_and_circumstances_stand_in_their_groups(file: Path) -> None:
    flat, record = json.loads(file.read_text()), Record.read(file)
    assert record.schema_version == NESTED_SINCE < HOLDS_A_REPEAT_SINCE, "its intervals stay those of the true value"
    assert record.cost.size.artifact_bytes == flat["cost"]["artifact_bytes"]
    assert record.cost.memory.peak_rss_bytes == flat["cost"]["peak_rss_bytes"]
    assert record.cost.load.load_time_ms == flat["cost"]["load_time_ms"]
    assert record.truth.machine.device == flat["truth"]["device"]
    assert record.truth.data.fingerprint == flat["truth"]["data_fingerprint"]
    assert [kernel.name for kernel in record.truth.kernels.executed] == [
        one["name"] for one in flat["truth"]["kernels"]
    ]


@pytest.mark.parametrize("schema", [1, 2, 3, 4])
def test_what_a_schema_did_not_have_is_none(schema: int) -> None:
    record = Record.read(DATA / "records" / f"schema_{schema}.json")
    assert record.speed.writing is None
    assert (record.truth.conditions is None) == (schema == 1)
    assert (record.cost.memory.pss_bytes is None) == (schema == 1)
    assert Record.from_json(record.to_json()) == record


@pytest.mark.parametrize("section", ["cost", "truth"])
@pytest.mark.parametrize("change", [{"unknown": 1}, None])
def test_a_damaged_section_of_an_old_record_is_refused_in_one_line(section: str, change: dict[str, int] | None) -> None:
    fields = json.loads(OLDER[-1].read_text())
    fields[section] = {**fields[section], **change} if change is not None else "lost"
    with pytest.raises(ValueError, match=rf"^{section}.*$"):
        Record.from_json(json.dumps(fields))
