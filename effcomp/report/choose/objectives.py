"""What a configuration can be judged by: one number of its Record, with its unit and which way is better."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from effcomp.core.interval import Interval
from effcomp.record import GenerationQuality, GenerationVersus, LanguageQuality, Quality, Record
from effcomp.record.speed import BatchSpeed, Generation

Direction = Literal["minimise", "maximise"]

MIB = 2**20
BETWEEN_RUNS = 0.036
"""The standard deviation of the logarithm of a recorded call's own time at batch size 1, from one run to another on the
same kind of GPU: benchmarks/h100.md, "How far the ratios hold"."""


def setting_of_baseline(record: Record) -> tuple[object, ...]:
    """Which baseline stood beside it, where, and on what texts."""
    truth = record.truth
    return (truth.baseline_artifact, truth.machine.device, truth.machine.threads, truth.data.fingerprint)


def setting_of_calls(record: Record) -> tuple[object, ...]:
    """The setting of what is called with whole texts."""
    return (*setting_of_baseline(record), record.speed.fixed_length, *record.speed.by_batch_size)


def setting_of_decoding(record: Record) -> tuple[object, ...]:
    """The setting of what is written token by token."""
    generation = record.speed.generation
    return (*setting_of_baseline(record), *((generation.prompt_tokens, generation.new_tokens) if generation else ()))


@dataclass(frozen=True)
class Objective:
    """One number of a Record."""

    label: str
    """For people, with the unit that they read it in."""
    direction: Direction
    """Which way is better."""
    value: Callable[[Record], Interval | None]
    """In the Record's own unit; None where the Record has no such number. Without an interval: all three equal."""
    scale: float = 1.0
    """The label's unit: a value times this."""
    speedup: Callable[[Record], Interval | None] | None = None
    """Of a speed: the paired speed-up that belongs to it, by which records are compared (`comparable`)."""
    setting: Callable[[Record], tuple[object, ...]] = setting_of_calls
    """What has to be the same for two of these speed-ups to be ratios to one thing."""
    own_time_of: tuple[str, ...] = ()
    """Runtimes that are compared by the value itself, which holds better there than the speed-up."""

    @property
    def what(self) -> str:
        """The label without its unit."""
        return self.label.partition(", ")[0]

    @property
    def unit(self) -> str:
        """Of the label; empty for a number without one."""
        return self.label.partition(", ")[2]

    def better(self, one: float, other: float) -> bool:
        """Whether one value is better than another."""
        return one < other if self.direction == "minimise" else one > other


def exact(value: float) -> Interval:
    """A number that has no interval."""
    return Interval(value=value, low=value, high=value)


def accuracy(record: Record) -> Interval | None:
    return record.quality.accuracy if isinstance(record.quality, Quality) else None


def macro_f1(record: Record) -> Interval | None:
    return record.quality.macro_f1 if isinstance(record.quality, Quality) else None


def perplexity(record: Record) -> Interval | None:
    return record.quality.perplexity if isinstance(record.quality, LanguageQuality) else None


def text_score(name: str) -> Callable[[Record], Interval | None]:
    """A score of texts, by its short name."""

    def read(record: Record) -> Interval | None:
        return record.quality.scores.get(name) if isinstance(record.quality, GenerationQuality) else None

    return read


def identical_tokens(record: Record) -> Interval | None:
    versus = record.versus_baseline
    return versus.identical_tokens if isinstance(versus, GenerationVersus) else None


def largest_batch(record: Record) -> BatchSpeed:
    return record.speed.by_batch_size[max(record.speed.by_batch_size)]


def of_generation(
    label: str, time: Callable[[Generation], Interval], speedup: Callable[[Generation], Interval]
) -> Objective:
    """A time of what is written token by token; None where that was not measured."""
    return Objective(
        label,
        "minimise",
        lambda record: time(record.speed.generation) if record.speed.generation else None,
        speedup=lambda record: speedup(record.speed.generation) if record.speed.generation else None,
        setting=setting_of_decoding,
    )


def energy_per_sample_j(record: Record) -> Interval | None:
    joules = record.cost.energy.energy_per_sample_j
    return None if isinstance(joules, str) else exact(joules)


OBJECTIVES: dict[str, Objective] = {
    "accuracy": Objective("accuracy, %", "maximise", accuracy, scale=100),
    "macro_f1": Objective("macro-F1, %", "maximise", macro_f1, scale=100),
    "perplexity": Objective("perplexity", "minimise", perplexity),
    "strict_match": Objective("exact match (strict), %", "maximise", text_score("strict_match"), scale=100),
    "flexible_match": Objective("exact match (flexible), %", "maximise", text_score("flexible_match"), scale=100),
    "rougeL": Objective("ROUGE-L, %", "maximise", text_score("rougeL"), scale=100),
    "bertscore": Objective("BERTScore, %", "maximise", text_score("bertscore"), scale=100),
    "perplexity_judge": Objective("perplexity under the judge", "minimise", text_score("perplexity_judge")),
    "identical_tokens": Objective("tokens as the baseline's, %", "maximise", identical_tokens, scale=100),
    "latency_p50_ms": Objective(
        "latency p50, ms",
        "minimise",
        lambda record: record.speed.latency_p50_ms,
        speedup=lambda record: record.speed.speedup,
        own_time_of=("cuda_graphs",),
    ),
    "throughput_samples_per_s": Objective(
        "throughput at the largest batch, samples/s",
        "maximise",
        lambda record: exact(largest_batch(record).throughput_samples_per_s),
        speedup=lambda record: largest_batch(record).speedup,
    ),
    "throughput_tokens_per_s": Objective(
        "throughput at the largest batch, tokens/s",
        "maximise",
        lambda record: exact(largest_batch(record).throughput_tokens_per_s),
        speedup=lambda record: largest_batch(record).speedup,
    ),
    "prefill_ms": of_generation("prefill, ms", lambda found: found.prefill_ms, lambda found: found.prefill_speedup),
    "decode_ms_per_token": of_generation(
        "decode, ms a token", lambda found: found.decode_ms_per_token, lambda found: found.decode_speedup
    ),
    "artifact_bytes": Objective(
        "artifact, MiB", "minimise", lambda record: exact(record.cost.size.artifact_bytes), scale=1 / MIB
    ),
    "weights_bytes": Objective(
        "weights, MiB", "minimise", lambda record: exact(record.cost.size.weights_bytes), scale=1 / MIB
    ),
    "peak_rss_bytes": Objective(
        "peak memory, MiB", "minimise", lambda record: exact(record.cost.memory.peak_rss_bytes), scale=1 / MIB
    ),
    "load_time_ms": Objective("load, ms", "minimise", lambda record: exact(record.cost.load.load_time_ms)),
    "energy_per_sample_j": Objective("energy, mJ a sample", "minimise", energy_per_sample_j, scale=1000),
}


def comparable(objective: Objective, records: Sequence[Record]) -> list[Interval | None]:
    """The objective of each record, so that the records can be compared; in the Record's unit.

    A machine is not equally fast all day, so a time is compared by the ratio to the baseline that was called in turn
    with it: all records that were measured beside the same baseline, on the same device and texts, get the
    median of what that baseline showed beside them, over (times, for a throughput) their own speed-up and its
    interval. So among them the order is that of the speed-ups, and a record that is alone keeps its own value.

    Not so the latency of a recorded call (`own_time_of`). Beside it eager PyTorch waits for the processor at small
    batches, so that most of the ratio's noise is the baseline's. It keeps its own value, with an interval that is wide
    enough for another run.
    """
    values = [objective.value(record) for record in records]
    if objective.speedup is None:
        return values
    power = -1 if objective.direction == "minimise" else 1
    speedups = [objective.speedup(record) for record in records]
    measured = list(zip(map(objective.setting, records), values, speedups, strict=True))
    baselines: defaultdict[tuple[object, ...], list[float]] = defaultdict(list)
    for key, value, speedup in measured:
        if value is not None and speedup is not None:
            baselines[key].append(value.value / speedup.value**power)
    reference = {key: median(found) for key, found in baselines.items()}
    found: list[Interval | None] = []
    for record, (key, value, speedup) in zip(records, measured, strict=True):
        if value is None or speedup is None:
            found.append(None)
        elif keeps_time(objective, record):
            found.append(value.with_noise(BETWEEN_RUNS))
        else:
            found.append(ratio(reference[key], speedup, power))
    return found


def keeps_time(objective: Objective, record: Record) -> bool:
    """Whether it is compared by the value itself."""
    return record.choices["runtime"] in objective.own_time_of


def ratio(baseline: float, speedup: Interval, power: int) -> Interval:
    """What the baseline showed, times the speed-up for a throughput (power 1), over it for a time (-1)."""
    low, high = sorted((baseline * speedup.low**power, baseline * speedup.high**power))
    return Interval(value=baseline * speedup.value**power, low=low, high=high)


def pareto_front(points: Sequence[tuple[float, float]], directions: tuple[Direction, Direction]) -> list[int]:
    """The indices of the points that no other beats: none is as good in both and better in one. In the order of x,
    from its best to its worst; equal points are all on the front or none."""
    x_sign, y_sign = (1 if direction == "minimise" else -1 for direction in directions)
    costs = [(x_sign * x, y_sign * y) for x, y in points]
    front: list[int] = []
    for index in sorted(range(len(costs)), key=costs.__getitem__):
        if not front or costs[index][1] < costs[front[-1]][1] or costs[index] == costs[front[-1]]:
            front.append(index)
    return front
