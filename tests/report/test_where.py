"""--where: the records that are reported."""

import pytest

from effcomp.core.errors import UserError
from effcomp.report.sources import RecordWithCurves, find
from effcomp.report.where import matching, parse_where
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def found() -> list[RecordWithCurves]:
    return find([str(ROOT / "benchmarks/cpu/minilm_sst2.jsonl")])


def kept(found: list[RecordWithCurves], *items: str) -> set[str]:
    records = [one.record for one in matching(found, parse_where(list(items)))]
    return {f"{record.choices['quant']} on {record.choices['runtime']}" for record in records}


def test_a_choice_keeps_the_records_that_have_it(found: list[RecordWithCurves]) -> None:
    assert kept(found, "runtime=openvino", "quant=bf16,int4") == {"bf16 on openvino", "int4 on openvino"}


def test_a_setting_is_named_as_it_is_typed(found: list[RecordWithCurves]) -> None:
    assert kept(found, "quant.activations=float32") == {"int8_scratch on torch"}
    assert len(kept(found, "fold=null")) == len(kept(found))


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        (["quantt=nf4"], "quantt: no record has it; there are: .*quant,.*runtime"),
        (["quant=nf5"], "nf5: no record has it; there are: .*nf4"),
        (["quant=nf4", "runtime=openvino"], "no record has all of these"),
        (["nf4"], "write KEY=VALUE"),
        (["quant="], "write KEY=VALUE"),
    ],
)
def test_what_no_record_has_is_refused_with_what_there_is(
    found: list[RecordWithCurves], items: list[str], reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        matching(found, parse_where(items))
