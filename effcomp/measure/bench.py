"""Amounts of measurement: turns, seconds, batch sizes, scenarios."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from effcomp.core.component import EACH_ONCE, Component
from effcomp.core.errors import UserError

COUNT = Annotated[int, Field(ge=1)]


class Bench(Component):
    """Extent of a measurement: batch sizes, pairs, turns and time."""

    id: ClassVar[str] = "bench"
    batch_sizes: Annotated[list[COUNT], Field(min_length=1), EACH_ONCE]
    """Batch sizes to time; `speedup` and the latency columns are those of the first."""
    pairs: COUNT
    """Number of pairs of fresh processes, one after another; intervals are drawn over pairs. 1: the interval uses the
    deviation between pairs of earlier measurements in the store."""
    precision: Annotated[float, Field(gt=0)] | None
    """Add pairs until the speed-up's interval is within this share of it; null: measure `pairs`. 0.02: within 2 %,
    after `pairs`, twice, three times, or at most four times as many."""
    turns: Annotated[int, Field(ge=6)]
    """Minimum number of turns of baseline and variant in each pair."""
    seconds: Annotated[float, Field(ge=0)]
    """Minimum time in seconds for which each batch size is measured in each pair."""
    turn_ms: Annotated[float, Field(gt=0)]
    """Approximate time of a turn of the slower of the two, in milliseconds."""
    warmup_turns: COUNT
    """Minimum number of warm-up turns; more are made until the times are stable."""
    quiet_wait_s: Annotated[float, Field(ge=0)]
    """Maximum time to wait for a quiet machine, in seconds; 0: measure at once. Before the pairs, other processes leave
    the processor and nothing is throttled."""
    fixed_length: Annotated[int, Field(ge=2)] | None
    """Time sequences of exactly this many tokens; null: the task's texts at their own lengths."""
    prompt_tokens: Annotated[int, Field(ge=2)]
    """Decoders: number of tokens of the prompt in timed generation."""
    new_tokens: Annotated[int, Field(ge=0)]
    """Decoders: number of tokens written after that prompt; 0: generation is not measured."""
    scenarios: Annotated[list[Literal["single_stream", "offline", "server"]], EACH_ONCE]
    """MLPerf's scenarios to run with the variant: single_stream, offline, server. (Reddi et al. 2020, "MLPerf Inference
    Benchmark", section III-C.)"""
    server_p99_ms: Annotated[float, Field(gt=0)]
    """Upper bound of the 99th percentile of latency in the server scenario, in milliseconds."""
    energy_seconds: Annotated[float, Field(ge=0)]
    """Time of work for the energy counter, in seconds; 0: energy is not measured. The pairs share it, where there is a
    counter."""
    noninferiority_margin: Annotated[float, Field(gt=0, lt=1)]
    """"Not worse" means: accuracy is lower by less than this, with 95 % confidence. 0.005 is half a point."""
    trace_interval_s: Annotated[float, Field(gt=0)]
    """Interval between samples of the measured process's memory and processor use, in seconds."""

    def check(self) -> None:
        """Raise UserError where a precision is asked of a single pair."""
        if self.precision is not None and self.pairs == 1:
            asked = f"bench.precision={self.precision:g} with bench.pairs=1"
            raise UserError(f"{asked}: a single pair does not show how much pairs differ; give bench.pairs=2 or more")
