"""Measurements of a variant besides its times, and the rows of the Record."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from effcomp.core import machine
from effcomp.core.pairs import Deviation
from effcomp.core.processors import ComputeDtype
from effcomp.measure import roofline
from effcomp.measure.bench import Bench
from effcomp.measure.client import Worker
from effcomp.measure.conditions import conditions
from effcomp.measure.kernels import executed_kernels
from effcomp.measure.pair import Pair
from effcomp.measure.quiet import QuietWait
from effcomp.measure.speed import Known, OverPairs, batch_speed, energy_over_pairs, generation_speed, row_over_pairs
from effcomp.measure.stopping import looks, stopping
from effcomp.measure.timing import Timed
from effcomp.quant.lowering import Lowering, lowering
from effcomp.record import (
    BatchSpeed,
    Conditions,
    Energy,
    Floor,
    Kernels,
    Load,
    Machine,
    Memory,
    Scenarios,
    Speed,
)
from effcomp.record.trace import Sample

log = logging.getLogger(__name__)

SCENARIO_SECONDS = 2.0
Times = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Measured:
    """Measured rows of a pair: the variant's numbers, and the baseline's where they are compared."""

    speed: Speed
    memory: Memory
    energy: Energy
    load: Load
    probes: dict[str, float]
    """Numbers of the variant that need no turns (effcomp.record.probe)."""
    machine: Machine
    kernels: Kernels
    conditions: Conditions
    trace: list[Sample]
    raw: Times
    """Time of every call in milliseconds, (turns, calls), by pair, call and side: `pair_1.batch_32.variant`."""


class MachineFacts(NamedTuple):
    """Facts about the machine that a measurement needs."""

    rates_of: Callable[[Worker], dict[str, float]]
    """Measures the machine's rates in a worker; called after the worker's own memory was read."""
    quiet_wait: QuietWait
    """Waiting for a quiet machine before each pair."""
    between_pairs: Callable[[str, bool], Deviation | None]
    """Known deviation between pairs, by the name of the number and whether the machine was noisy
    (`effcomp.pipeline.between`)."""
    between_measurements: Callable[[str, bool], Deviation | None]
    """As the former, between measurements."""


def measure(pair: Pair, bench: Bench, timed: Sequence[Timed], facts: MachineFacts, seed: int) -> Measured:
    """Take the measurements of the variant that need no turns, and summarize the times of all pairs.

    Args:
        pair: the last pair, still open.
        timed: times of all pairs.
    """
    found = conditions(pair.device, timed, facts.quiet_wait)
    noisy = bool(found.noise)
    known = Known(
        between_pairs=lambda name: facts.between_pairs(name, noisy),
        between_measurements=lambda name: facts.between_measurements(name, noisy),
    )
    over = OverPairs(timed, known, looks(bench), seed)
    speeds = {size: batch_speed([one.batches[size] for one in timed], size, over) for size in bench.batch_sizes}
    generations = [one.generation for one in timed if one.generation is not None]
    ran_scenarios = scenarios(pair.variant, bench, seed)
    kernels = executed_kernels(pair)
    rates = facts.rates_of(pair.baseline)
    side = pair.sides[1]
    compute_dtype = lowering(side.quant, side.runtime.name, Lowering).compute_dtype
    widths = {size: float(np.median([one.batches[size].median_width for one in timed])) for size in speeds}
    floors = floor(pair, widths, speeds, compute_dtype, rates)
    speeds = {size: speed.model_copy(update={"floor": floors.get(size)}) for size, speed in speeds.items()}
    first = speeds[bench.batch_sizes[0]]
    generation = generation_speed(generations, over) if generations else None
    written = None if generation is None else generation.prompt_tokens + generation.new_tokens
    return Measured(
        speed=Speed(
            latency_p50_ms=first.latency_p50_ms,
            speedup=first.speedup,
            by_batch_size=speeds,
            fixed_length=bench.fixed_length,
            generation=generation,
            scenarios=ran_scenarios,
            stopping=stopping(timed, bench),
        ),
        memory=row_over_pairs([one.memory for one in timed], "memory", over),
        energy=energy_over_pairs([one.energy for one in timed], over),
        load=row_over_pairs([one.load for one in timed], "load", over),
        probes=pair.variant.ask("probe", tokens=written),
        machine=machine_of(pair, rates),
        kernels=kernels,
        conditions=found,
        trace=timed[-1].trace,
        raw={
            f"pair_{number}.{name}.{side}": found
            for number, one in enumerate(timed, start=1)
            for name, times in one.times.items()
            for side in ("baseline", "variant", "recorded")
            if (found := getattr(times, side)) is not None
        },
    )


def machine_of(pair: Pair, rates: dict[str, float]) -> Machine:
    """Return the hardware of the measured processes, with its measured rates."""
    device = pair.device
    assert device.threads is not None, "a resolved device has its threads counted"
    return Machine(
        device=machine.device_name(device),
        device_kind=device.kind,
        instruction_sets=list(machine.cpu_info()[1]),
        cpu_capability=pair.variant.loaded["cpu_capability"],
        threads=device.threads,
        environment=device.environment(),
        rates=rates,
    )


def floor(
    pair: Pair,
    widths: dict[int, float],
    speeds: dict[int, BatchSpeed],
    compute_dtype: ComputeDtype,
    rates: dict[str, float],
) -> dict[int, Floor]:
    """Return the floor of a call's time at each batch size, and the variant's share of it; none where the operations
    cannot be counted.

    A call that is faster than its floor shows that the measured rates were too low: its own time is then the floor,
    which the row records.

    Args:
        widths: median padded length of a batch in tokens, by batch size.
    """
    shapes = [(size, round(width)) for size, width in widths.items()]
    # The baseline's process has imported PyTorch, which takes seconds in another runtime's.
    counted = pair.baseline.ask("operations", artifact=str(pair.variant.side.artifact), shapes=shapes)
    floors = dict[int, Floor]()
    if "reason" in counted:
        log.warning("the floor is not measured: its arithmetic cannot be counted (%s)", counted["reason"])
        return floors
    read = pair.variant.ask("bytes_read")["bytes"]
    for (size, _), operations in zip(shapes, counted["operations"], strict=True):
        least = 1000 * roofline.least_seconds(operations, read, compute_dtype, rates)
        median = speeds[size].latency_p50_ms.value
        floors[size] = Floor(
            operations=operations,
            bytes=read,
            floor_ms=min(least, median),
            share=min(least / median, 1.0),
            rates_exceeded=least > median,
        )
    return floors


def scenarios(worker: Worker, bench: Bench, seed: int) -> Scenarios | None:
    """Run the variant in the chosen scenarios of MLPerf."""
    if not bench.scenarios:
        return None
    found: dict[str, float] = {}
    if "single_stream" in bench.scenarios:
        answer = worker.ask("scenario", name="single_stream", seconds=SCENARIO_SECONDS, seed=seed)
        found["single_stream_p90_ms"] = answer["result"]
    if "offline" in bench.scenarios or "server" in bench.scenarios:
        found["offline_samples_per_s"] = worker.ask("scenario", name="offline", seconds=SCENARIO_SECONDS)["result"]
    if "server" in bench.scenarios:
        fastest = found["offline_samples_per_s"]
        served = worker.ask("scenario", name="server", bound_ms=bench.server_p99_ms, fastest=fastest, seed=seed)
        found["server_bound_ms"] = bench.server_p99_ms
        found["server_requests_per_s"] = served["result"]["requests_per_s"]
        if served["result"]["requests_per_s"] > 0:
            found["server_p99_ms"] = served["result"]["p99_ms"]
    return Scenarios(**found)
