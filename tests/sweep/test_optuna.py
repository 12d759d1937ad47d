"""hydra/sweeper=optuna on a real, tiny space."""

import json
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from effcomp.record import Record
from hydra_plugins.effcomp_optuna import chosen, distribution, samples, upwards
from tests.conftest import run_effcomp

SPACE = ["quant=none,int8_dynamic", "prune=none,l1_unstructured", "prune.ratio=0.3,0.5"]


def test_it_measures_so_many_configurations_and_proposes_them_again_for_the_same_seed(
    tiny: list[str], tmp_path: Path
) -> None:
    settings = ["hydra/sweeper=optuna", "hydra.sweeper.trials=2", "tracking=none", "device.threads=1"]
    ran = [run_effcomp("-m", *tiny, *settings, *SPACE, cwd=tmp_path) for _ in range(2)]
    assert [one.code for one in ran] == [0, 0], ran[0].stderr
    records = [[Record.from_json(line) for line in one.stdout.splitlines()] for one in ran]
    assert 1 <= len(records[0]) <= 2
    assert [record.truth.time for record in records[0]] == [record.truth.time for record in records[1]], (
        "from the store"
    )
    assert "page " in ran[0].stderr


def test_a_space_that_is_smaller_than_the_trials_ends_the_search(tiny: list[str], tmp_path: Path) -> None:
    settings = [
        "hydra/sweeper=optuna",
        "tracking=none",
        "device.threads=1",
        "hydra.sweeper.objectives=[artifact_bytes]",
    ]
    ran = run_effcomp("-m", *tiny, *settings, "quant=none,int8_static", cwd=tmp_path)
    assert ran.code == 0, ran.stderr
    assert [json.loads(line)["config"]["choices"]["quant"] for line in ran.stdout.splitlines()] == ["none"]
    assert "quant=int8_static: skipped" in ran.stderr


@pytest.mark.parametrize(
    ("override", "drawn"),
    [
        ("quant=none,bf16", "CategoricalDistribution(choices=('none', 'bf16'))"),
        ("fold=range(3)", "CategoricalDistribution(choices=('0', '1', '2'))"),
        ("prune.ratio=interval(0.1, 0.7)", "FloatDistribution(high=0.7, log=False, low=0.1, step=None)"),
        ("quant.samples=int(tag(log, interval(8, 512)))", "IntDistribution(high=512, log=True, low=8, step=1)"),
    ],
)
def test_what_hydra_sweeps_is_what_optuna_draws_from(override: str, drawn: str) -> None:
    (parsed,) = OverridesParser.create().parse_overrides([override])
    assert str(distribution(parsed)) == drawn


def test_a_few_samples_hold_every_choice_of_the_space() -> None:
    swept = OverridesParser.create().parse_overrides(["quant=none,bf16,nf4", "fold=range(2)", "x=interval(0.1, 0.7)"])
    assert samples(swept) == [
        ("quant=none", "fold=0", "x=0.1"),
        ("quant=bf16", "fold=1", "x=0.1"),
        ("quant=nf4", "fold=0", "x=0.1"),
    ]


def test_times_are_told_as_speed_ups_and_bytes_as_they_are() -> None:
    latency, size, accuracy = chosen(["latency_p50_ms", "artifact_bytes", "accuracy"])
    assert (upwards(latency), upwards(size), upwards(accuracy)) == (True, False, True)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("quant=none", "has nothing to search"),
        ("quant=none,bf16 hydra.sweeper.objectives=[speed]", "hydra.sweeper.objectives=speed: choose of accuracy, "),
        ("quant=none,bf16 hydra.sweeper.trials=0", "hydra.sweeper.trials=0"),
    ],
)
def test_a_wrong_search_is_one_line_and_exit_code_2(wrong: str, said: str, tmp_path: Path) -> None:
    ran = run_effcomp("-m", "hydra/sweeper=optuna", "tracking=none", *wrong.split(), cwd=tmp_path)
    assert ran.code == 2, ran.stderr
    assert said in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1
