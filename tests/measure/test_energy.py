"""Counters of joules: RAPL's files as the kernel writes them, and no number where there is no counter."""

from pathlib import Path

from effcomp.core.device import Device
from effcomp.measure.energy import Counter, energy_counter, idle_power_w, rapl_counter


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
