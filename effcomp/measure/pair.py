"""Pair of a baseline and a variant in two fresh processes, measured against each other."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effcomp.artifact.architectures import takes_cache
from effcomp.artifact.description import read_description
from effcomp.core.batches import Ragged
from effcomp.core.device import Device
from effcomp.core.template import Template
from effcomp.measure.activity import Activity, read_counters
from effcomp.measure.bench import Bench
from effcomp.measure.client import Side, Worker, template
from effcomp.measure.disturbance import DisturbedTurns
from effcomp.runtimes.base import Runtime

log = logging.getLogger(__name__)

STABLE = 0.1
MOST_WARMUPS = 20


class Pair:
    """Both processes. Use it as a context manager: they end with the block, and each block starts fresh ones. The side
    that is loaded and called first alternates from block to block."""

    baseline: Worker
    variant: Worker
    number: int
    """Number of blocks before this one; it seeds the draw of the timed examples."""
    recorded: bool
    """True if the baseline's calls are recorded as CUDA graphs too."""

    def __init__(
        self,
        sides: tuple[Side, Side],
        inputs: tuple[Path, Path],
        device: Device,
        fixed_length: int | None = None,
        common: Template | None = None,
    ) -> None:
        """Start both processes.

        Args:
            inputs: the token ids of the same texts, as each side reads them.
            fixed_length: time sequences of this many tokens instead of the texts' own lengths.
            common: template of the processes of all blocks; None: each block has one of its own.
        """
        self.common = common
        self.sides, self.inputs_files, self.device, self.fixed_length = sides, inputs, device, fixed_length
        self.own = tuple(Ragged.load(file) for file in inputs)
        self.timed = self.own if fixed_length is None else tuple(one.cut(fixed_length) for one in self.own)
        self._open, self.number = ExitStack(), -1

    def order(self, turn: int) -> list[int]:
        """Return the order of the sides, 0 the baseline and 1 the variant, in a turn: it alternates."""
        return [0, 1] if (self.number + turn) % 2 == 0 else [1, 0]

    @property
    def generates(self) -> bool:
        """Tell whether both sides can generate one token after another."""
        return all(can_generate(side.artifact, side.runtime) for side in self.sides)

    def __enter__(self) -> "Pair":
        with ExitStack() as stack:
            runtimes = [side.runtime for side in self.sides]
            common = self.common or stack.enter_context(template(runtimes, self.device) or nullcontext())
            workers = [
                stack.enter_context(Worker(side, file, self.device, self.fixed_length, common))
                for side, file in zip(self.sides, self.inputs_files, strict=True)
            ]
            for worker in workers:
                worker.wait_until_started()
            self.number += 1
            for side in self.order(0):  # one after the other, with nothing else at work
                workers[side].load()
            self.baseline, self.variant = workers
            self.recorded = self.device.kind == "cuda" and self.records_baseline()
            self._open = stack.pop_all()
        return self

    def records_baseline(self) -> bool:
        """Record the baseline as CUDA graphs; tell whether it can be."""
        answer = self.baseline.ask("record")
        if "reason" in answer:
            log.warning("the recorded baseline is not measured: %s", answer["reason"])
        return "reason" not in answer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)  # on an error they are killed: nobody waits for their answers


def can_generate(artifact: Path, runtime: Runtime) -> bool:
    """Tell whether an artifact is a decoder that its runtime can ask for one token after another."""
    from transformers import AutoConfig

    if read_description(artifact).head != "causal_lm" or not runtime.generates:
        return False
    return takes_cache(AutoConfig.from_pretrained(artifact), runtime.file_format.name)


@dataclass(frozen=True)
class PairedTimes:
    """Times of calls in milliseconds, (turns, calls): both measured row t one right after the other, on the same
    texts."""

    baseline: NDArray[np.float64]
    variant: NDArray[np.float64]
    mean_tokens: float
    """Mean number of tokens of the variant's batches, without padding."""
    median_width: float
    """Median number of tokens of the longest sequence of the variant's batches."""
    gpu: NDArray[np.float64] | None
    """Times of the variant between CUDA events, in milliseconds; None on a CPU."""
    recorded: NDArray[np.float64] | None = None
    """Times of the baseline's calls as CUDA graphs, measured right after both; None where they are not recorded."""


def measure_batch(
    pair: Pair, bench: Bench, batch_size: int, disturbed_turns: DisturbedTurns, progress: Callable[[float], object]
) -> PairedTimes:
    """Call both sides in turn on the same real examples: at least bench.turns turns, and bench.seconds.

    Args:
        progress: called after each turn with its share of the work.
    """

    count = min(map(len, pair.timed))  # of one length: fewer tokens make fewer sequences

    def draw(calls: int, number: int) -> list[list[int]]:
        generator = np.random.default_rng([pair.number, batch_size, number])
        batches: list[list[int]] = generator.integers(0, count, size=(calls, batch_size)).tolist()
        return batches

    def slower_ms() -> float:
        asked = (worker.ask("turn", batches=draw(2, 0)) for worker in (pair.baseline, pair.variant))
        return max(float(np.median(answer["ns"])) / 1e6 for answer in asked)

    calls = max(1, round(bench.turn_ms / warm_up(slower_ms, bench)))
    baseline_ns, variant_ns, recorded_ns, gpu_ns, tokens, widths = [], [], [], [], [], []
    began, number, done = time.monotonic(), 0, 0.0
    while number < bench.turns or time.monotonic() < began + bench.seconds:
        batches = draw(calls, number)
        lengths = pair.timed[1].lengths[np.array(batches)]
        tokens.append(lengths.sum(axis=1).mean())
        widths.append(lengths.max(axis=1))
        baseline, variant = in_turn(pair, number, disturbed_turns, "turn", [{"batches": batches}] * 2)
        baseline_ns.append(baseline["ns"])
        variant_ns.append(variant["ns"])
        if pair.recorded:
            recorded_ns.append(pair.baseline.ask("turn", batches=batches, recorded=True)["ns"])
        gpu_ns.append(variant["gpu_ns"])
        number += 1
        of_time = (time.monotonic() - began) / bench.seconds if bench.seconds else 1.0
        before, done = done, min(1.0, of_time, number / bench.turns)
        progress(done - before)
    return PairedTimes(
        baseline=np.array(baseline_ns) / 1e6,
        variant=np.array(variant_ns) / 1e6,
        mean_tokens=float(np.mean(tokens)),
        median_width=float(np.median(np.concatenate(widths))),
        gpu=np.array(gpu_ns) / 1e6 if gpu_ns[0] else None,
        recorded=np.array(recorded_ns) / 1e6 if recorded_ns else None,
    )


def in_turn(
    pair: Pair, number: int, disturbed_turns: DisturbedTurns, command: str, arguments: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Send baseline and variant the same command, one right after the other; repeat a disturbed turn.

    Args:
        number: number of the turn; the side that goes first alternates.
        arguments: those of the baseline's command, and of the variant's.
    """
    sides = (pair.baseline, pair.variant)
    while True:
        before = read_counters(pair.device)
        answers = {side: sides[side].ask(command, **arguments[side]) for side in pair.order(number)}
        activity = Activity.between(before, read_counters(pair.device))
        if not disturbed_turns.again([answers[0]["waited_share"], answers[1]["waited_share"]], activity):
            return [answers[0], answers[1]]


def warm_up(call: Callable[[], float], bench: Bench) -> float:
    """Call until the times are stable: the last three within STABLE of their median, after at least
    bench.warmup_turns and at most MOST_WARMUPS calls. Return the last time."""
    times = [call() for _ in range(max(3, bench.warmup_turns))]
    while np.ptp(times[-3:]) > STABLE * np.median(times[-3:]) and len(times) < MOST_WARMUPS:
        times.append(call())
    return times[-1]
