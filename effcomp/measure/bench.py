"""How much is measured."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from effcomp.core.component import EACH_ONCE, Component

COUNT = Annotated[int, Field(ge=1)]


class Bench(Component):
    id: ClassVar[str] = "bench"
    batch_sizes: Annotated[list[COUNT], Field(min_length=1), EACH_ONCE]
    """The first one is what `speedup` and the latency columns speak of."""
    turns: Annotated[int, Field(ge=6)]
    """How many times each of the two is called in turn, at least; the interval is drawn over turns."""
    seconds: Annotated[float, Field(ge=0)]
    """How long each batch size is measured, at least."""
    turn_ms: Annotated[float, Field(gt=0)]
    """About how long the slower of the two takes for one turn."""
    warmup_turns: COUNT
    """Turns before those that count, at least; more while the times are not stable."""
    fixed_length: Annotated[int, Field(ge=2)] | None
    """Time sequences of exactly so many tokens; null: the task's texts as they are."""
    prompt_tokens: Annotated[int, Field(ge=2)]
    """Decoders: tokens of the prompt that generation is timed after."""
    new_tokens: Annotated[int, Field(ge=0)]
    """Decoders: tokens written after that prompt; 0: generation is not measured."""
    scenarios: Annotated[list[Literal["single_stream", "offline", "server"]], EACH_ONCE]
    """MLPerf's scenarios to run with the variant."""
    server_p99_ms: Annotated[float, Field(gt=0)]
    """The bound that the server scenario keeps."""
    energy_seconds: Annotated[float, Field(ge=0)]
    """How long the variant works for the energy counter, where there is one; 0: energy is not measured."""
    noninferiority_margin: Annotated[float, Field(gt=0, lt=1)]
    """"Not worse" means: accuracy is lower by less than this (0.005 is half a point), with 95 % confidence."""
    trace_interval_s: Annotated[float, Field(gt=0)]
    """How often memory and processor use of the measured process are sampled for the trace."""
