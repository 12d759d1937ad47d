"""Composed configs as records hold them: their names, their prunings, their settings as typed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any


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
