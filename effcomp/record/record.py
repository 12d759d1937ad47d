"""The Record of a run, and its JSON."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError, field_validator

from effcomp.record.cost import Cost
from effcomp.record.generation import GenerationQuality, GenerationVersus
from effcomp.record.quality import LanguageQuality, LanguageVersus, NotMeasured, Quality, VersusBaseline
from effcomp.record.row import Row
from effcomp.record.speed import Speed
from effcomp.record.truth import Truth
from effcomp.record.upgrade import READABLE, SCHEMA, upgrade

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

    @property
    def is_baseline(self) -> bool:
        """Tell whether this is the float32 model that the others are compared with."""
        return self.truth.artifact == self.truth.baseline_artifact and self.choices["runtime"] == "torch"

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
