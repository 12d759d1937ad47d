"""What a record is called beside others."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effcomp.record import Interval, LanguageQuality, Quality, Record, settings

BASELINE_NAME = "none (baseline)"


@dataclass(frozen=True)
class Row:
    """A record and what it is called beside the others."""

    name: str
    record: Record


def is_baseline(record: Record) -> bool:
    """Whether this is the float32 model that the others are compared with."""
    same_artifact = record.truth.artifact == record.truth.baseline_artifact
    return same_artifact and record.choices["runtime"] == "torch"


def name(record: Record) -> str:
    """The compression as a person says it: `int8_dynamic`, `nf4 + structured 0.5 + distill`, `none (baseline)`."""
    choices = record.choices
    if is_baseline(record):
        return BASELINE_NAME
    words = choices["quant"]
    if choices["prune"] != "none":
        ratio = record.config["prune"].get("ratio")
        words += f" + {choices['prune']}" + (f" {ratio}" if ratio is not None else "")
        recovery = record.config["prune"].get("recovery", {}).get("name", "none")
        words += f" + {recovery}" if recovery != "none" else ""
    if choices["runtime"] != "torch":
        words += f" on {choices['runtime']}"
    return words


def rows(records: list[Record]) -> list[Row]:
    """Every record with its name; where two would have the same, what tells them apart is added:
    `nf4, device.threads=1`."""
    shared = Counter(name(record) for record in records)
    configs = [settings(record.config) for record in records]
    named = []
    for record, config in zip(records, configs, strict=True):
        words = name(record)
        if shared[words] > 1:
            twins = [other for other, twin in zip(configs, records, strict=True) if name(twin) == words]
            words = ", ".join([words, *distinctions(config, twins)])
        named.append(Row(words, record))
    return named


def distinctions(config: dict[str, Any], twins: list[dict[str, Any]]) -> list[str]:
    """The settings of a config that are not the same in all of its twins, as `key=value`."""
    told = [key for key in config if any(twin.get(key) != config[key] for twin in twins)]
    return [f"{key}={config[key]}" for key in told if not any(key.startswith(f"{other}.") for other in told)]


def subject(records: list[Record]) -> str:
    """What the records have in common: `minilm on rotten_tomatoes`."""

    def model(record: Record) -> str:
        path = record.config["model"].get("path")
        return Path(path).name if path else record.choices["model"]

    return ", ".join(dict.fromkeys(f"{model(record)} on {record.choices['task']}" for record in records))


def spread(interval: Interval, digits: int, scale: float = 1.0, sign: str = "") -> str:
    """`82.9 [81.0, 84.7]`."""
    value, low, high = (
        f"{number * scale:{sign}.{digits}f}" for number in (interval.value, interval.low, interval.high)
    )
    return f"{value} [{low}, {high}]"


def headline(record: Record) -> tuple[str, Interval] | None:
    """The one number of quality that figures show, with its label; None where quality was not measured."""
    quality = record.quality
    if isinstance(quality, Quality):
        return "accuracy, %", quality.accuracy.scaled(100)
    if isinstance(quality, LanguageQuality):
        return "perplexity (less is better)", quality.perplexity
    return None
