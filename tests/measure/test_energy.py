"""Counters of joules: RAPL's files as the kernel writes them, and no number where there is no counter."""

import time
from pathlib import Path

import pytest

from effcomp.core.device import Device
from effcomp.core.interval import Interval
from effcomp.core.template import Template
from effcomp.measure.client import Side, Worker
from effcomp.measure.energy import Counter, Idle, energy_counter, energy_per_sample, idle_power_w, rapl_counter
from effcomp.measure.speed import Known, OverPairs, energy_over_pairs
from effcomp.record import Energy
from tests.conftest import SMALL, compose_parts
from tests.measure.test_conditions import START, timed
from tests.measure.test_worker import EAGER, FLOAT32, folder

__all__ = ["folder"]


def package(powercap: Path, name: str, microjoules: int, domain: str = "package-0") -> Path:
    folder = powercap / name
    folder.mkdir(exist_ok=True)
    (folder / "name").write_text(f"{domain}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text("1000000\n")
    return folder


def test_the_packages_are_summed_and_a_counter_that_begins_again_goes_on(tmp_path: Path) -> None:
    package(tmp_path, "intel-rapl:0", 900_000)
    package(tmp_path, "intel-rapl:1", 100_000)
    package(tmp_path, "intel-rapl:0:0", 5, "core")  # a part of package 0, counted with it
    package(tmp_path, "intel-rapl:2", 5, "psys")  # the whole machine, the packages among it
    counter = rapl_counter(tmp_path)
    assert isinstance(counter, Counter)
    assert counter.joules() == 0
    package(tmp_path, "intel-rapl:0", 200_000)
    package(tmp_path, "intel-rapl:1", 150_000)
    package(tmp_path, "intel-rapl:2", 900_000, "psys")
    assert counter.joules() == 0.3 + 0.05


def test_where_there_is_no_counter_the_reason_is_said(tmp_path: Path) -> None:
    assert rapl_counter(tmp_path) == f"{tmp_path} has no RAPL counter (a virtual machine, or a kernel without it)"
    folder = package(tmp_path, "intel-rapl:0", 1)
    (folder / "energy_uj").unlink()
    reason = rapl_counter(tmp_path)
    assert isinstance(reason, str)
    assert "cannot be read" in reason


def test_idle_power_is_what_the_counter_grew_by_in_a_second() -> None:
    readings = iter([10.0, 13.0])
    assert 25 < idle_power_w(Counter("a counter", lambda: next(readings)), seconds=0.1) < 31


def test_the_counter_of_this_machine_is_a_counter_or_a_reason() -> None:
    found = energy_counter(Device(name="cpu", kind="cpu", threads=1))
    assert found if isinstance(found, str) else found.joules() >= 0


def test_the_energy_of_a_sample_is_that_above_idle(folder: Path, torch_template: Template) -> None:
    bench = compose_parts(*SMALL, "bench.pairs=2", "bench.energy_seconds=0.4").bench
    device = Device(name="cpu", kind="cpu", threads=1)
    found = []
    with Worker(
        Side(folder / "artifact", EAGER, FLOAT32), folder / "tokens", device, template=torch_template
    ) as worker:
        worker.wait_until_started()
        worker.load()
        for power_w in (10, 16):
            counter = Counter("a steady supply", lambda power_w=power_w: power_w * time.monotonic())
            energy = energy_per_sample(worker, bench, device, Idle(counter, power_w=4.0))
            assert isinstance(energy.energy_per_sample_j, float)
            found.append(energy.energy_per_sample_j)
    assert 0 < found[0] < found[1]


def test_energy_has_an_interval_over_pairs_and_a_reason_stays_one() -> None:
    over = OverPairs([timed(START), timed(START)], Known(lambda name: None, lambda name: None), looks=1, seed=0)
    rows = [Energy(energy_per_sample_j=joules, counter="NVML", peak_power_w=100 * joules) for joules in (2.0, 2.2)]
    found = energy_over_pairs(rows, over)
    assert isinstance(found.energy_per_sample_j, Interval)
    assert found.energy_per_sample_j.value == pytest.approx((2.0 * 2.2) ** 0.5)
    assert (found.counter, found.peak_power_w) == ("NVML", pytest.approx(220))
    reason = Energy(energy_per_sample_j="unavailable: no counter")
    assert energy_over_pairs([reason, reason], over) == reason
