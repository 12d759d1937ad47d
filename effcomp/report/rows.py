"""Names of records beside one another."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from effcomp.core.interval import Interval
from effcomp.record import Record, model_called, prunings, settings, task_called

BASELINE_NAME = "none (baseline)"
WITHOUT_EFFECT = ("store", "tracking", "remeasure", "study")
"""Settings that do not affect the measurement."""
MEASUREMENT = "bench"
"""Settings of how a configuration is measured; what it is does not depend on them."""
MOST_SUBJECTS = 3


@dataclass(frozen=True)
class NamedRecord:
    """A record with its name beside the others."""

    name: str
    record: Record


def name(record: Record) -> str:
    """Return the compression in words: `int8_dynamic`, `nf4 + structured 0.5 + distill`, `none (baseline)`."""
    choices = record.choices
    if record.is_baseline:
        return BASELINE_NAME
    words = choices["quant"]
    for prune in prunings(record.config):
        amount = prune.get("ratio", prune.get("target"))
        words += f" + {prune['name']}" + (f" {amount}" if amount is not None else "")
        recovery = prune.get("recovery", {}).get("name", "none")
        words += f" + {recovery}" if recovery != "none" else ""
    if choices["runtime"] != "torch":
        words += f" on {choices['runtime']}"
    return words


def rows(records: Sequence[Record]) -> list[NamedRecord]:
    """Name every record, with its model and task first where there are several.

    Where two would have one name, the settings that differ are added (`nf4, device.threads=1`), those of the
    measurement where no other differs, or else the time.
    """
    several = len({model_and_task(record) for record in records}) > 1
    names = [f"{model_and_task(record)}: {name(record)}" if several else name(record) for record in records]
    for silent in ((*WITHOUT_EFFECT, MEASUREMENT), WITHOUT_EFFECT):
        for twins in repeated(names):
            told = distinctions([settings(records[index].config) for index in twins], silent)
            for index, parts in zip(twins, told, strict=True):
                names[index] = ", ".join([names[index], *parts])
    for twins in repeated(names):
        for index in twins:
            names[index] += f", {records[index].truth.time}"
    return [NamedRecord(words, record) for words, record in zip(names, records, strict=True)]


def repeated(names: list[str]) -> list[list[int]]:
    """Return the indices of each name that occurs more than once."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for index, words in enumerate(names):
        places[words].append(index)
    return [found for found in places.values() if len(found) > 1]


def distinctions(configs: list[dict[str, Any]], silent: Sequence[str] = WITHOUT_EFFECT) -> list[list[str]]:
    """Return for each flat config the settings that vary between them, as `key=value`.

    A setting that one of them lacks, which a later version of effcomp added, tells nothing.

    Args:
        silent: groups whose settings are left out.
    """
    shared = {key for key in configs[0] if all(key in config for config in configs)}
    vary = {key for key in shared if any(config[key] != configs[0][key] for config in configs)}
    told = []
    for config in configs:
        keys = [key for key in config if key in vary and key.partition(".")[0] not in silent]
        told.append([f"{k}={config[k]}" for k in keys if not any(k.startswith(f"{other}.") for other in keys)])
    return told


def model_and_task(record: Record) -> str:
    return f"{model_called(record.config)} on {task_called(record.config)}"


def subject(records: Sequence[Record]) -> str:
    """Return what the records have in common: `minilm on rotten_tomatoes`."""
    subjects = list(dict.fromkeys(model_and_task(record) for record in records))
    if len(subjects) > MOST_SUBJECTS:
        return f"{len(subjects)} pairs of model and task"
    return ", ".join(subjects)


def supported(interval: Interval, digits: int) -> int:
    """Return the digits after the point that an interval supports, at most `digits`: they show half its width with two
    significant digits."""
    half = (interval.high - interval.low) / 2
    return digits if half == 0 else max(0, min(digits, 1 - math.floor(math.log10(half))))


def spread(interval: Interval, digits: int, scale: float = 1.0, sign: str = "") -> str:
    """Return a value with its interval: `82.9 [81.0, 84.7]`, with no more digits than the interval supports."""
    digits = supported(interval.scaled(scale), digits)
    value, low, high = (
        f"{number * scale:{sign}.{digits}f}" for number in (interval.value, interval.low, interval.high)
    )
    return f"{value} [{low}, {high}]"
