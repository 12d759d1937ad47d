"""The Record: every number of a run, typed, with its unit in its name.

Its JSON is {"schema", "config", "quality", "versus_baseline", "speed", "cost", "truth"}. A number with
an interval is {"value", "low", "high"}, 95 % unless its name says otherwise (effcomp.core.interval). docs/record.md
describes each field.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError, field_validator

from effcomp.record.cost import Calibration, Cost, Energy, Load, Memory, Size, Training
from effcomp.record.generation import GenerationQuality, GenerationVersus, TextScore, Writing
from effcomp.record.quality import (
    ClassQuality,
    GroupQuality,
    LanguageQuality,
    LanguageVersus,
    NotMeasured,
    Quality,
    VersusBaseline,
)
from effcomp.record.row import Row
from effcomp.record.speed import BatchSpeed, Floor, Generation, Pairs, Predicted, Scenarios, Speed, Stopping
from effcomp.record.truth import Conditions, Data, Kernel, Kernels, Machine, ReadFile, Software, Truth, Vocabulary
from effcomp.record.upgrade import READABLE, SCHEMA, upgrade

__all__ = [
    "RECORD_FILE",
    "SCHEMA",
    "BatchSpeed",
    "Calibration",
    "ClassQuality",
    "Conditions",
    "Cost",
    "Data",
    "Energy",
    "Floor",
    "Generation",
    "GenerationQuality",
    "GenerationVersus",
    "GroupQuality",
    "Kernel",
    "Kernels",
    "LanguageQuality",
    "LanguageVersus",
    "Load",
    "Machine",
    "Memory",
    "NotMeasured",
    "Pairs",
    "Predicted",
    "Quality",
    "ReadFile",
    "Record",
    "Row",
    "Scenarios",
    "Size",
    "Software",
    "Speed",
    "Stopping",
    "TextScore",
    "Training",
    "Truth",
    "VersusBaseline",
    "Vocabulary",
    "Writing",
    "label",
    "prunings",
    "settings",
]

RECORD_FILE = "record.json"
CHOSEN = {"model", "task", "quant", "prune", "device", "runtime", "finetune", "bench", "tracking"}
"""Groups that every config has a choice of."""


class Record(Row):
    """All numbers of one configuration."""

    schema_version: int = SCHEMA
    """Written as `schema`."""
    config: dict[str, Any]
    """The whole composed config; `config["choices"]` names the choice of each group, and `config["study"]` the line of
    a published study that a preset stands for, with the numbers printed there."""
    quality: Quality | LanguageQuality | GenerationQuality | NotMeasured
    """Quality of the variant on the whole test split."""
    versus_baseline: VersusBaseline | LanguageVersus | GenerationVersus | NotMeasured
    """Comparison with the float32 baseline on the same examples."""
    speed: Speed
    """Latency, throughput and speed-up."""
    cost: Cost
    """Size, memory, energy, training and load time."""
    truth: Truth
    """Circumstances of the measurement."""

    @field_validator("config")
    @classmethod
    def names_its_choices(cls, config: dict[str, Any]) -> dict[str, Any]:
        choices = config.get("choices")
        if not isinstance(choices, dict) or not choices.keys() >= CHOSEN:
            raise ValueError(f"its choices are not those of {', '.join(sorted(CHOSEN))}")
        if wrong := [name for name in sorted(CHOSEN) if not isinstance(config.get(name), dict)]:
            raise ValueError(f"it has no settings of {wrong[0]}")
        return config

    def to_json(self) -> str:
        """Return one line of JSON."""
        fields = self.model_dump(mode="json")
        return json.dumps({"schema": fields.pop("schema_version"), **fields}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Record":
        """Read one line of JSON; a record of an older schema is upgraded.

        Raises:
            ValueError: the text is not a record of a readable schema. The message is one line.
        """
        try:
            fields = json.loads(text)
        except RecursionError as error:
            raise ValueError("its brackets do not end") from error
        if not isinstance(fields, dict) or fields.get("schema") not in READABLE:
            raise ValueError(f"not a record of schema {' or '.join(map(str, READABLE))}")
        try:
            upgraded = upgrade(fields)
            upgraded["schema_version"] = upgraded.pop("schema")
            return cls.model_validate(upgraded)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(step) for step in first["loc"])
            reason = first["msg"].removeprefix("Value error, ")
            raise ValueError(f"{where}: {reason[0].lower()}{reason[1:]}") from error

    @classmethod
    def read(cls, file: Path) -> "Record":
        return cls.from_json(file.read_text())

    @property
    def choices(self) -> dict[str, str]:
        """Choice of each config group: {"model": "minilm", "quant": "nf4", ...}."""
        choices: dict[str, str] = self.config["choices"]
        return choices

    def metrics(self) -> dict[str, float]:
        """Return every number by its path: `speed.by_batch_size.32.speedup.low`, ...; without those of single layers,
        which are hundreds."""
        left_out: Any = {"schema_version": True, "config": True, "cost": {"size": {"layer_map"}}}
        fields = self.model_dump(mode="json", exclude=left_out)
        return dict(numbers(fields, ""))


def numbers(value: Any, path: str) -> Iterator[tuple[str, float]]:
    """Yield the numbers of nested dicts with their dotted paths; an interval's value has the interval's path."""
    if isinstance(value, dict):
        for name, inner in value.items():
            below = path if name == "value" and not isinstance(inner, dict) else f"{path}.{name}".lstrip(".")
            yield from numbers(inner, below)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, float(value)


def label(config: dict[str, Any]) -> str:
    """Return a configuration in one word, to name a run: `minilm-rotten_tomatoes-nf4-structured-0.5-openvino`."""
    choices = config["choices"]
    names = [model_called(config), task_called(config), choices["quant"]]
    for prune in prunings(config):
        names.append(f"{prune['name']}-{prune.get('ratio') or prune.get('target') or ''}".rstrip("-"))
        if (recovery := prune["recovery"]["name"]) != "none":
            names.append(recovery)
    if choices["runtime"] != "torch":
        names.append(choices["runtime"])
    if config["fold"] is not None:
        names.append(f"fold{config['fold']}")
    return "-".join(names)


def prunings(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the settings of each pruning of a configuration, in their order: one may name another, `then`."""
    prune = config["prune"] | {"name": config["choices"]["prune"]}
    while prune["name"] != "none":
        yield prune
        prune = prune.get("then", {"name": "none"})


def model_called(config: dict[str, Any]) -> str:
    """Return the model's own name: the folder of `model.path`, the repository of the Hub, or else the choice."""
    model = config["model"]
    if model.get("path"):
        return Path(model["path"]).resolve().name
    return str(model["repository"]) if config["choices"]["model"] == "hub" else str(config["choices"]["model"])


def task_called(config: dict[str, Any]) -> str:
    """Return the task's own name: the file of a table, the repository of the Hub, or else the choice."""
    task, choice = config["task"], str(config["choices"]["task"])
    if choice == "table":
        return "+".join(Path(file).name.partition(".")[0] for file in task["train_files"])
    return str(task["repository"]) if choice == "hub_table" else choice


def flattened(key: str, value: Any) -> dict[str, Any]:
    """Return a setting by its key; a choice by its name, with its own settings."""
    if not (isinstance(value, dict) and "id" in value):
        return {key: value}
    flat = {key: value["name"]}
    for name, field in value.items():
        if name not in {"id", "name"}:
            flat.update(flattened(f"{key}.{name}", field))
    return flat


def settings(config: dict[str, Any]) -> dict[str, Any]:
    """Return a run's config flat, as it is typed: {"quant": "nf4", "quant.block_size": 64, "seed": 0, ...}. Without
    `study`, which does not affect the result.
    """
    flat: dict[str, Any] = dict(config["choices"])
    for group, value in config.items():
        if group not in {"choices", "study"}:
            flat.update(flattened(group, value))
    return flat
