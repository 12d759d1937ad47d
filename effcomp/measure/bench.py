"""How much is measured."""

from typing import Annotated

from pydantic import Field

from effcomp.part import Part


class Bench(Part):
    batch_sizes: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    """The first one is what `speedup` and the latency columns speak of."""
    turns: Annotated[int, Field(ge=6)]
    """How many times each of the two is called in turn; the interval is drawn over turns."""
    turn_ms: Annotated[float, Field(gt=0)]
    """About how long the slower of the two takes for one turn."""
    warmup_turns: Annotated[int, Field(ge=1)]
    """Turns before those that count."""
    noninferiority_margin: Annotated[float, Field(gt=0, lt=1)]
    """"Not worse" means: accuracy is lower by less than this (0.005 is half a point), with 95 % confidence."""
    trace_interval_s: Annotated[float, Field(gt=0)]
    """How often memory and processor use of the measured process are sampled for the trace."""
