"""The Record: every number of a run, typed, with its unit in its name.

Its JSON is {"schema", "config", "quality", "versus_baseline", "speed", "cost", "truth"}. A number with
an interval is {"value", "low", "high"}, 95 % unless its name says otherwise.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

SCHEMA = 1
RECORD_FILE = "record.json"


class Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Interval(Row):
    """A measured number with its 95 % interval."""

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> "Interval":
        """In another unit; a negative factor swaps the bounds."""
        low, high = sorted((self.low * factor, self.high * factor))
        return Interval(value=self.value * factor, low=low, high=high)


class ClassQuality(Row):
    precision: float
    recall: float
    f1: float
    examples: int


class GroupQuality(Row):
    """A part of the test examples, say one language."""

    examples: int
    accuracy: Interval
    macro_f1: Interval


class Quality(Row):
    """What the compressed model still knows, on the test examples."""

    status: Literal["measured"] = "measured"
    examples: int
    accuracy: Interval
    macro_f1: Interval
    """The mean of the classes' F1."""
    loss: Interval
    """Cross-entropy in nats."""
    calibration_error: float
    """Expected calibration error, 15 bins (Guo et al. 2017, section 2)."""
    per_class: dict[str, ClassQuality]
    per_group: dict[str, GroupQuality]
    """XNLI: each language. Empty where the task has no groups."""
    group_mean_accuracy: float | None
    """The mean of the groups' accuracies; None where the task has no groups."""
    confusion_matrix: list[list[int]]
    """Rows are true labels, columns predictions, in the order of per_class."""


class LanguageQuality(Row):
    """How well the compressed model predicts the test text."""

    status: Literal["measured"] = "measured"
    blocks: int
    tokens: int
    """Tokens that were predicted: all of a decoder's, the masked ones of an encoder's."""
    loss: Interval
    """Cross-entropy in nats a token; intervals are over blocks."""
    perplexity: Interval
    """exp(loss): by the model's own tokens, so not comparable between tokenizers."""
    word_perplexity: Interval | None
    """exp(loss by white-space separated words); None for masked models."""
    bits_per_byte: Interval | None
    """Of UTF-8 text; comparable between tokenizers. None for masked models."""


class NotMeasured(Row):
    """Quality has no meaning here, and why: there is no number that could be mistaken for one."""

    status: Literal["not measured"] = "not measured"
    reason: str


class VersusBaseline(Row):
    """Baseline and variant on the same examples."""

    accuracy_difference: Interval
    """Variant minus baseline, paired (Bonett and Price 2012)."""
    mcnemar_p: float
    """McNemar's exact test: the probability of so uneven a change if neither model were better."""
    flipped_share: float
    """Examples whose predicted label changed."""
    flipped_to_wrong: int
    flipped_to_right: int
    margin: float
    verdict: Literal["not worse", "worse", "undecided"]
    """`not worse`: the whole interval lies above -margin; `worse`: below it."""


class LanguageVersus(Row):
    """Baseline and variant on the same blocks, with the same tokens to predict."""

    loss_difference: Interval
    """Variant minus baseline in nats a token, paired over blocks; more is worse."""
    perplexity_ratio: Interval
    """Variant over baseline."""
    margin: float
    verdict: Literal["not worse", "worse", "undecided"]
    """`not worse`: the whole interval of the loss difference lies below the margin."""


class BatchSpeed(Row):
    """One batch size. Times are of a whole batch, padding included, from token ids to logits."""

    calls: int
    latency_p50_ms: Interval
    latency_p90_ms: float
    latency_p95_ms: float
    latency_p99_ms: float
    latency_mean_ms: float
    throughput_samples_per_s: float
    throughput_tokens_per_s: float
    """Real tokens: padding is not counted."""
    baseline_latency_p50_ms: float
    speedup: Interval
    """Time of the baseline over time of this artifact on the same batch, both called in turn: the median."""


class Speed(Row):
    latency_p50_ms: Interval
    """At the first batch size, as `speedup`."""
    speedup: Interval
    by_batch_size: dict[int, BatchSpeed]


class Cost(Row):
    artifact_bytes: int
    """Every file of the artifact folder: weights, config, tokenizer."""
    weights_bytes: int
    baseline_artifact_bytes: int
    parameters: int
    nonzero_share: float
    """Non-zero parameters over all, after pruning and before the number format."""
    peak_rss_bytes: int
    """The largest resident set of the measured process, libraries included."""
    library_rss_bytes: int
    """Its resident set with the libraries loaded, before the artifact."""
    load_added_rss_bytes: int
    inference_added_rss_bytes: int
    """What the timed calls add at their peak to the loaded artifact."""
    baseline_peak_rss_bytes: int
    load_time_ms: float
    """From the artifact folder to a model that can be called, libraries imported before."""
    first_call_ms: float
    finetune_s: float
    """What the fine-tuning took when it was computed (its last try, where it was interrupted);
    the store may have kept it since."""
    energy_per_sample_j: float | str


class Kernel(Row):
    name: str
    calls: int
    share: float
    """Of the time of one call, its own time without that of the operators it calls."""


class Truth(Row):
    """Under what circumstances the numbers hold."""

    time: str
    """UTC, ISO 8601, when the measurement ended."""
    device: str
    device_kind: str
    instruction_sets: list[str]
    cpu_capability: str
    """The instruction set that PyTorch dispatches to."""
    threads: int
    environment: dict[str, str]
    """Variables set for the measured processes: threads, and how the allocator keeps memory."""
    libraries: dict[str, str]
    git_commit: str
    seed: int
    data_fingerprint: str
    """The sha256 over every example of the split, in order."""
    train_examples: int
    """How many were trained on."""
    test_examples: int
    tokens: Literal["the task's texts", "synthetic"]
    """What the timed calls read; synthetic: random ids in sequences as long as the texts would be by their words."""
    artifact: str
    """The artifact's hash in the store."""
    baseline_artifact: str
    finetune_precision: str
    kernels: list[Kernel]


class Record(Row):
    schema_version: int = SCHEMA
    config: dict[str, Any]
    """The whole composed config; `config["choices"]` names the choice of each group."""
    quality: Quality | LanguageQuality | NotMeasured
    versus_baseline: VersusBaseline | LanguageVersus | NotMeasured
    speed: Speed
    cost: Cost
    truth: Truth

    def to_json(self) -> str:
        """One line of JSON."""
        fields = self.model_dump(mode="json")
        return json.dumps({"schema": fields.pop("schema_version"), **fields}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Record":
        """Raises ValueError for text that is no record of this schema."""
        fields = json.loads(text)
        if not isinstance(fields, dict) or fields.get("schema") != SCHEMA:
            raise ValueError(f"not a record of schema {SCHEMA}")
        return cls(schema_version=fields.pop("schema"), **fields)

    @classmethod
    def read(cls, file: Path) -> "Record":
        return cls.from_json(file.read_text())

    @property
    def choices(self) -> dict[str, str]:
        """The choice of each config group: {"model": "minilm", "quant": "nf4", ...}."""
        choices: dict[str, str] = self.config["choices"]
        return choices

    def metrics(self) -> dict[str, float]:
        """Every number by its path, as MLflow wants them: `speed.by_batch_size.32.speedup.low`, ..."""
        fields = self.model_dump(mode="json", include={"quality", "versus_baseline", "speed", "cost"})
        return dict(numbers(fields, ""))


def numbers(value: Any, path: str) -> Iterator[tuple[str, float]]:
    """The numbers in nested dicts with their dotted paths; an interval's value stands under its own path."""
    if isinstance(value, dict):
        for name, inner in value.items():
            below = path if name == "value" else f"{path}.{name}".lstrip(".")
            yield from numbers(inner, below)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, float(value)


def settings(config: dict[str, Any]) -> dict[str, Any]:
    """A run's config flat, as it is typed: {"quant": "nf4", "quant.block_size": 64, "seed": 0, ...}."""
    flat: dict[str, Any] = dict(config["choices"])
    for group, value in config.items():
        if group in config["choices"]:
            fields = {name: field for name, field in value.items() if name not in {"_target_", "name"}}
            flat.update({f"{group}.{name}": field for name, field in fields.items()})
        elif group != "choices":
            flat[group] = value
    return flat
