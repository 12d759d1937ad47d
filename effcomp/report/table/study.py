"""Tables of the published studies that conf/experiment has presets of: each study's own columns, the numbers that it
printed, and in the lines beneath them what was measured here.

A preset says in `study` which line of which study it is, and what was printed there: `config["study"]` of its records.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from effcomp.core.errors import UserError
from effcomp.core.interval import Interval
from effcomp.record import LanguageQuality, NotMeasured, Quality, Record
from effcomp.record.quantity import MIB
from effcomp.report.rows import spread, subject

SOURCE = "source"
"""Heading of the column that names the source of a line."""
NO_NUMBER = "-"
"""Cell of a number that a study did not print."""


@dataclass(frozen=True)
class Measure:
    """A number that a study printed, as a Record has it."""

    value: Callable[[Record], Interval | float | None]
    """Reader of the number in the unit of its key in MEASURES; None: not measured."""
    digits: int
    """Digits after the decimal point."""
    meaning: str = ""
    """Definition of our number, where the study's heading leaves it open."""


@dataclass(frozen=True)
class Study:
    """Published study, and the columns of its table."""

    title: str
    setting: str
    """Hardware and data of the study, as far as it states them."""
    columns: dict[str, str]
    """Headings of the study by the keys of MEASURES, in its own order."""


def of_classes(read: Callable[[Quality], Interval]) -> Callable[[Record], Interval | None]:
    return lambda record: read(record.quality) if isinstance(record.quality, Quality) else None


def of_text(read: Callable[[LanguageQuality], Interval]) -> Callable[[Record], Interval | None]:
    return lambda record: read(record.quality) if isinstance(record.quality, LanguageQuality) else None


def language_accuracy_percent(language: str) -> Callable[[Record], Interval | None]:
    def value(record: Record) -> Interval | None:
        groups = record.quality.per_group if isinstance(record.quality, Quality) else {}
        return groups[language].accuracy.scaled(100) if language in groups else None

    return value


def latency_ms(record: Record) -> Interval:
    size = min(record.speed.by_batch_size)
    return record.speed.by_batch_size[size].latency_p50_ms.scaled(1 / size)


def throughput_samples_per_s(record: Record) -> Interval | float:
    return record.speed.by_batch_size[max(record.speed.by_batch_size)].throughput_samples_per_s


def compression_ratio(record: Record) -> float | None:
    parameters = record.cost.size.baseline_parameters
    return None if parameters is None else 4 * parameters / record.cost.size.weights_bytes


def memory_mb(record: Record) -> Interval | float:
    allocated = record.cost.memory.gpu_allocated_bytes
    found = record.cost.memory.peak_rss_bytes if allocated is None else allocated
    return found.scaled(1 / MIB) if isinstance(found, Interval) else found / MIB


def ram_added_mb(record: Record) -> float:
    memory = record.cost.memory
    added = (memory.load_added_rss_bytes, memory.inference_added_rss_bytes)
    return sum(one.value if isinstance(one, Interval) else one for one in added) / MIB


MEDIAN = "the median at the smallest batch size, over that size"
MEASURES: dict[str, Measure] = {
    "accuracy_share": Measure(of_classes(lambda q: q.accuracy), 4),
    "accuracy_percent": Measure(of_classes(lambda q: q.accuracy.scaled(100)), 2),
    "accuracy_en_percent": Measure(language_accuracy_percent("en"), 2),
    "accuracy_es_percent": Measure(language_accuracy_percent("es"), 2),
    "f1_share": Measure(of_classes(lambda q: q.macro_f1), 4, "the mean of the classes' F1"),
    "loss_nats": Measure(of_text(lambda q: q.loss), 3, "nats a predicted token"),
    "perplexity": Measure(of_text(lambda q: q.perplexity), 2, "exp of that loss"),
    "latency_ms": Measure(latency_ms, 2, MEDIAN),
    "latency_s": Measure(lambda r: latency_ms(r).scaled(0.001), 4, MEDIAN),
    "throughput_samples_per_s": Measure(throughput_samples_per_s, 1, "at the largest batch size"),
    "size_mb": Measure(lambda r: r.cost.size.weights_bytes / MIB, 2, "stored weights in 2^20 bytes, as the study's"),
    "compression_ratio": Measure(compression_ratio, 2, "float32 weights over stored weights"),
    "memory_mb": Measure(memory_mb, 1, "the process's peak, on a GPU the peak of its tensors, in 2^20 bytes"),
    "ram_added_mb": Measure(ram_added_mb, 1, "what loading and calling add to the resident memory, in 2^20 bytes"),
    "vram_added_mb": Measure(lambda r: None, 1, "effcomp reads the peak on the GPU, not what calls add"),
}
"""Numbers that the studies printed, with the unit in the key."""

STUDIES: dict[str, Study] = {
    "resource_efficient_sst2": Study(
        title="Resource-efficient models: SST-2",
        setting="illustrative values, as the study itself says; no device is named",
        columns={"accuracy_percent": "Accuracy (%)", "f1_share": "F1", "latency_ms": "ms/sample"},
    ),
    "resource_efficient_xnli": Study(
        title="Resource-efficient models: XNLI, trained in English",
        setting="illustrative values, as the study itself says; no device is named",
        columns={
            "accuracy_en_percent": "Accuracy, English (%)",
            "accuracy_es_percent": "Accuracy, Spanish (%)",
            "latency_ms": "ms/sample",
        },
    ),
    "gpt2_agnews": Study(
        title="Fine-tuning and quantization of GPT-2: AG News",
        setting="a CUDA GPU that is not named; 120,000 training and 7,600 test samples",
        columns={
            "accuracy_share": "Accuracy",
            "f1_share": "F1-Score",
            "size_mb": "Size (MB)",
            "latency_ms": "Inference (ms)",
            "compression_ratio": "Compression (x)",
        },
    ),
    "distilbert_lm": Study(
        title="DistilBERT on WikiText and GSM8K",
        setting="Google Colab Pro, Tesla T4; the number of samples is not said",
        columns={
            "loss_nats": "Loss",
            "perplexity": "Perplexity",
            "throughput_samples_per_s": "Throughput (samples/sec)",
        },
    ),
    "distilbert_compression": Study(
        title="DistilBERT compression for efficient inference: SST-2",
        setting="Google Colab (CPU: Intel Xeon; T4 GPU) and a local GTX 1050 Ti; the number of samples is not said",
        columns={"accuracy_percent": "Accuracy (%)", "latency_s": "Latency (s)", "memory_mb": "Memory (MB)"},
    ),
    "limited_compute": Study(
        title="Compression with limited compute: DistilBERT on SST-2",
        setting="Google Colab (CPU: Intel Xeon at 2.20 GHz; T4) and a local GTX 1050 Ti; 100 validation samples",
        columns={
            "accuracy_percent": "Accuracy (%)",
            "latency_ms": "Latency (ms)",
            "ram_added_mb": "RAM ↑ (MB)",
            "vram_added_mb": "VRAM ↑ (MB)",
        },
    ),
}
"""Studies by the name that presets give in `study.name`."""


def study_tables(records: list[Record]) -> list[tuple[str, pd.DataFrame]]:
    """Return a caption and a table, every cell text, for each study that any of the records is a line of.

    Each line of the study has first what it printed, on every device that it printed it for, then what was measured
    here. The caption says on what both were measured, and which of our numbers stands under which heading.

    Raises:
        UserError: a record names a study that is not in STUDIES.
    """
    named: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        if (entry := record.config.get("study")) is not None:
            named[entry["name"]].append(record)
    if unknown := named.keys() - STUDIES.keys():
        raise UserError(f"study.name={min(unknown)}: there is no such study; there are: {', '.join(STUDIES)}")
    return [(caption(STUDIES[name], group), table(STUDIES[name], group)) for name, group in named.items()]


def table(study: Study, records: list[Record]) -> pd.DataFrame:
    by_row: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_row[row_name(record)].append(record)
    lines: list[dict[str, str]] = []
    for group in by_row.values():
        row, published = (group[0].config["study"][part] for part in ("row", "published"))
        lines += [
            {**row, SOURCE: f"published: {place}", **printed(study, numbers)}
            for place, numbers in (published or {"no number": {}}).items()
        ]
        lines += [{**row, SOURCE: f"measured: {where(record)}", **measured(study, record)} for record in group]
    return pd.DataFrame(lines)


def row_name(record: Record) -> str:
    """Return the study's name of a record's line: `8-bit, 30%`."""
    return ", ".join(record.config["study"]["row"].values())


def where(record: Record) -> str:
    return f"{record.choices['task']}, {record.truth.machine.device}, {record.truth.machine.threads} threads"


def printed(study: Study, numbers: dict[str, Any]) -> dict[str, str]:
    """Return the numbers that the study printed, by its headings."""
    return {heading: str(numbers.get(key, NO_NUMBER)) for key, heading in study.columns.items()}


def measured(study: Study, record: Record) -> dict[str, str]:
    """Return the numbers that were measured here, by the study's headings."""
    return {heading: cell(MEASURES[key], record) for key, heading in study.columns.items()}


def cell(measure: Measure, record: Record) -> str:
    value = measure.value(record)
    if value is None:
        return "not measured"
    return spread(value, measure.digits) if isinstance(value, Interval) else f"{value:.{measure.digits}f}"


def caption(study: Study, records: list[Record]) -> str:
    """State hardware and data of the study and of our measurement, and the meaning of our numbers."""
    by_circumstances: defaultdict[str, list[str]] = defaultdict(list)
    for record in records:
        by_circumstances[circumstances(record)].append(row_name(record))
    here = [
        text if len(by_circumstances) == 1 else f"{'; '.join(dict.fromkeys(names))}: {text}"
        for text, names in by_circumstances.items()
    ]
    meanings = [f"{study.columns[key]}: {MEASURES[key].meaning}" for key in study.columns if MEASURES[key].meaning]
    missing = [r.quality.reason for r in records if isinstance(r.quality, NotMeasured)]
    return " ".join(
        [
            f"{study.title}.",
            f"Published: {study.setting}.",
            *(f"Measured: {text}." for text in here),
            f"Of ours, {'; '.join(meanings)}.",
            *(f"Quality was not measured: {reason}." for reason in dict.fromkeys(missing)),
            f"Brackets are 95 % intervals; {NO_NUMBER} where the study gave no number.",
        ]
    )


def circumstances(record: Record) -> str:
    """Return the setting of a record: `minilm on sst2, 67,349 training and 872 test examples, AMD EPYC, 2 threads`."""
    truth = record.truth
    data = f"{truth.data.train_examples:,} training and {truth.data.test_examples:,} test examples"
    weights = ", random weights" if record.config["model"]["weights"] == "random" else ""
    return f"{subject([record])}{weights}, {data}, {truth.machine.device}, {truth.machine.threads} threads"
