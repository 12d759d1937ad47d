"""The table, the names and the verdicts, from records of real runs."""

import pytest

from effcomp.core.interval import Interval
from effcomp.record import Record, VersusBaseline
from effcomp.report.objectives import OBJECTIVES, comparable
from effcomp.report.page.render import plot_data
from effcomp.report.rows import NamedRecord, rows, spread
from effcomp.report.sources import find_records
from effcomp.report.table.comparison import compare, to_markdown
from effcomp.report.words import doubts, verdict
from tests.conftest import ROOT, altered, records


def with_speedup(record: Record, low: float, value: float, high: float) -> NamedRecord:
    speed = record.speed.model_copy(update={"speedup": Interval(value=value, low=low, high=high)})
    return NamedRecord("nf4", record.model_copy(update={"speed": speed}))


def test_every_row_has_every_cell_and_the_baseline_is_named() -> None:
    frame = compare(records("none", "nf4")).texts()
    assert frame["configuration"].tolist() == ["none (baseline)", "nf4"]
    assert frame.map(lambda cell: isinstance(cell, str) and cell != "").all().all()
    assert frame["verdict"].tolist()[0] == "-"
    for heading in (
        "accuracy, %",
        "accuracy difference, points",
        "latency p50, ms",
        "speed-up, batch 32",
        "artifact, MiB",
    ):
        assert heading in frame.columns


def test_decoders_that_were_timed_token_by_token_have_both_times_with_their_speedups() -> None:
    found = find_records(ROOT / "benchmarks/metrics_study.jsonl")
    frame, first = compare(found).texts(), found[0].speed.generation
    assert first is not None
    decode, *_ = comparable(OBJECTIVES["decode_ms_per_token"], found)
    assert decode is not None
    assert frame["decode, ms a token"][0] == spread(decode, 2).partition(" ")[0]
    assert frame["speed-up, decode"][0] == f"{spread(first.decode_speedup, 2)} x"
    assert frame["speed-up, prefill"][0] == f"{spread(first.prefill_speedup, 2)} x"
    for row in rows(found)[1:]:
        assert row.record.speed.generation is not None
        assert f", in decoding {spread(row.record.speed.generation.decode_speedup, 2)} times, " in verdict(row)
    assert "speed-up, decode" not in compare(records("none", "nf4")).texts()


def test_a_table_that_is_not_for_a_terminal_has_every_interval() -> None:
    nf4 = records("nf4")[0]
    comparison, (latency,) = compare([nf4]), comparable(OBJECTIVES["latency_p50_ms"], [nf4])
    assert latency is not None
    assert comparison.texts()["latency p50, ms"][0] == spread(latency, 2).partition(" ")[0]
    every = comparison.texts(every_interval=True)
    assert every["latency p50, ms"][0] == spread(latency, 2)
    assert every["load, ms"][0] == f"{nf4.cost.load.load_time_ms:.0f}", "there is none"


def test_latency_times_speedup_is_one_reference_and_the_plot_has_the_same_latency() -> None:
    comparison = compare(find_records(ROOT / "benchmarks/cpu/minilm_sst2.jsonl"))
    (column,) = [column for column in comparison.columns if column.heading == "latency p50, ms"]
    latencies = [column.value(row) for row in comparison.rows]
    speedups = [row.record.speed.speedup.value for row in comparison.rows]
    assert latencies == pytest.approx([latencies[0] * speedups[0] / speedup for speedup in speedups])
    plotted = [point["at"]["latency_p50_ms"][0] for point in plot_data(comparison.rows)["points"]]
    assert latencies == pytest.approx(plotted, rel=1e-5)
    table = comparison.values()
    measured = [row.record.speed.latency_p50_ms.value for row in comparison.rows]
    assert table["speed.latency_p50_ms"].tolist() == measured, "the details have what was measured"


def test_the_csv_has_plain_numbers_with_their_bounds() -> None:
    frame = compare(records("none", "nf4")).values()
    assert list(frame.columns[:8]) == ["model", "task", "quant", "runtime", "prune", "seed", "device", "artifact"]
    assert frame["quant"].tolist() == ["none", "nf4"]
    record = records("nf4")[0]
    assert frame["speed.speedup.low"][1] == record.speed.speedup.low
    assert frame["accuracy, %"][1] == pytest.approx(record.quality.accuracy.value * 100)


def test_configurations_that_would_share_a_name_are_told_apart() -> None:
    nf4 = records("nf4")[0]
    config = nf4.config | {"device": nf4.config["device"] | {"threads": 1}}
    named = rows([nf4, nf4.model_copy(update={"config": config}), *records("none")])
    assert [row.name for row in named] == ["nf4, device.threads=None", "nf4, device.threads=1", "none (baseline)"]


def test_the_same_configuration_measured_twice_is_told_apart_by_its_time() -> None:
    nf4 = records("nf4")[0]
    later = altered(nf4, {"truth.time": "2031-01-01T00:00:00+00:00"})
    names = [row.name for row in rows([nf4, later])]
    assert names == [f"nf4, {nf4.truth.time}", "nf4, 2031-01-01T00:00:00+00:00"]


def test_where_the_runs_are_kept_tells_nothing_apart() -> None:
    nf4 = records("nf4")[0]
    other = nf4.model_copy(update={"config": nf4.config | {"store": "/elsewhere", "seed": 3}})
    assert [row.name for row in rows([nf4, other])] == ["nf4, seed=0", "nf4, seed=3"]


def test_of_several_models_each_name_says_which() -> None:
    nf4 = records("nf4")[0]
    config = nf4.config | {"choices": nf4.choices | {"task": "imdb"}}
    names = [row.name for row in rows([nf4, nf4.model_copy(update={"config": config})])]
    assert names == ["minilm on rotten_tomatoes: nf4", "minilm on imdb: nf4"]


@pytest.mark.parametrize(
    ("speedup", "words"),
    [
        ((1.8, 2.0, 2.2), "2.00 [1.80, 2.20] times the baseline's speed"),
        ((0.4, 0.5, 0.6), "slower than the baseline (0.50 [0.40, 0.60] times"),
        ((0.9, 1.1, 1.2), "neither faster nor slower for certain"),
    ],
)
def test_the_verdict_says_faster_only_when_the_whole_interval_does(speedup, words: str) -> None:
    assert words in verdict(with_speedup(records("nf4")[0], *speedup))


def test_markdown_has_a_line_for_each_record() -> None:
    lines = to_markdown(compare(records("none", "nf4")).texts()).splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1


def test_a_noisy_run_and_a_kernel_that_never_ran_are_said() -> None:
    none, nf4 = records("none", "nf4")
    quiet = nf4.truth.conditions
    assert quiet is not None
    noisy = quiet.model_copy(update={"noise": ["other processes used 0.90 cores", "not quiet after 30 s"]})
    doubtful = altered(nf4, {"truth.conditions": noisy, "truth.kernels.expected_ran": False})
    frame = compare([none, doubtful]).texts()
    assert frame["notes"].tolist()[1] == "noisy, its kernel never ran"
    assert len(doubts(rows([doubtful])[0])) == 2, "a line for the noise, whatever its reasons"


def test_p_values_are_corrected_for_the_number_of_configurations() -> None:
    none, nf4 = records("none", "nf4")
    assert isinstance(nf4.versus_baseline, VersusBaseline)

    def with_p(p: float, bits: int) -> Record:
        versus = nf4.versus_baseline.model_copy(update={"mcnemar_p": p})
        return nf4.model_copy(update={"versus_baseline": versus, "config": {**nf4.config, "seed": bits}})

    frame = compare([none, *(with_p(p, i) for i, p in enumerate([0.01, 0.02, 0.03, 0.04]))]).texts()
    assert frame["McNemar p, Holm"].tolist() == ["-", "0.04", "0.06", "0.06", "0.06"]
