"""Commands to measure a record's configuration again, and to load and serve its artifact."""

import json
import os
import shlex
from functools import reduce
from operator import getitem
from pathlib import Path
from textwrap import fill
from typing import Any

from effcomp.core.store import Store
from effcomp.pipeline.compose import build, composed
from effcomp.record import Record, settings

WIDTH = 100
NOWHERE = ("device.cores", "store", "remeasure", "tracking")
"""Settings that a command for another time or place leaves out."""


def overrides(config: dict[str, Any]) -> list[str]:
    """Return the overrides that compose a record's config: choices other than the defaults, and settings that differ
    from their files or that these leave open (`???`).

    Raises:
        HydraException: a choice is not among effcomp's own.
    """
    from omegaconf import OmegaConf

    usual = build(composed([])).config["choices"]
    typed = [f"{group}={choice}" for group, choice in config["choices"].items() if choice != usual.get(group)]
    typed += nested("prune", config["prune"])
    unset = sorted(OmegaConf.missing_keys(composed(typed)))
    typed += [f"{name}={written(reduce(getitem, name.split('.'), config))}" for name in unset]
    asked = leaves(settings(config))
    for following in (False, True):  # those that follow others (`${quant}`) are compared after these are given
        made = composed(typed)
        found = leaves(settings(build(made).config))
        differing = [name for name in found if name in asked and asked[name] != found[name]]
        given = [name for name in differing if following or not follows(made, name)]
        typed += [f"{name}={written(asked[name])}" for name in given if not name.startswith(NOWHERE)]
    return typed


def follows(config: Any, name: str) -> bool:
    """Tell whether a setting, or what it is inside, takes the value of another one: `${quant}`."""
    from omegaconf import OmegaConf

    node = config
    for step in name.split("."):
        if not OmegaConf.is_dict(node) or step not in node:
            return False
        if OmegaConf.is_interpolation(node, step):
            return True
        node = node[step]
    return False


def nested(path: str, choice: dict[str, Any]) -> list[str]:
    """Return the overrides of the choices inside a choice of pruning: `finetune@prune.recovery=distill`.

    Args:
        path: place of the choice in the config: `prune`, `prune.then`.
    """
    typed = []
    for field, group in (("then", "prune"), ("recovery", "finetune")):
        inner = choice.get(field) or {"name": "none"}
        if inner["name"] != "none":
            typed += [f"{group}@{path}.{field}={inner['name']}", *nested(f"{path}.{field}", inner)]
    return typed


def leaves(flat: dict[str, Any]) -> dict[str, Any]:
    """Return settings with those inside a dictionary under dotted names of their own: `task.hub.revision`."""
    found: dict[str, Any] = {}
    for name, value in flat.items():
        inner = {f"{name}.{key}": below for key, below in value.items()} if isinstance(value, dict) else None
        found |= {name: value} if inner is None else leaves(inner)
    return found


def written(value: Any) -> str:
    """Write a value as Hydra reads it."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":")).replace('"', "'")


def ways_on(record: Record, folder: Path | None, model_id: str | None) -> str:
    """Return the next commands for a measured configuration, a line or two each.

    Args:
        folder: folder of the run; None where it is not known.
        model_id: id of the model that was logged to MLflow; None where none was.
    """
    from hydra.errors import HydraException

    artifact = Store(Path(record.config["store"])).folder("artifact", record.truth.artifact)
    lines = []
    try:
        typed = [shlex.quote(word) for word in overrides(record.config)]
        command = " ".join(["python -m effcomp.run", *typed, "remeasure=true"])
        lines.append(("again", fill(command, WIDTH - 14, break_long_words=False, break_on_hyphens=False)))
    except HydraException:  # a choice of the user's own: the folder of the run has the overrides
        if folder is not None:
            lines.append(("again", f"its overrides: {folder}/.hydra/overrides.yaml"))
    if folder is not None:
        lines.append(("record", f"{os.path.relpath(folder)}/record.json"))
    if artifact.is_dir():
        place = os.path.relpath(folder or artifact)
        lines.append(("artifact", os.path.relpath(artifact)))
        lines.append(("load it", f'import effcomp\npredict = effcomp.load("{place}")'))
        lines.append(("apply it", f"effcomp predict {place} FILE.csv"))
    if model_id is not None:
        uri = record.config["tracking"]["uri"]
        serve = f"mlflow models serve --env-manager local -m models:/{model_id}"
        lines.append(("serve it", f"MLFLOW_TRACKING_URI={uri} \\\n{serve}"))
    return "\n".join(row(name, text) for name, text in lines)


def row(name: str, text: str) -> str:
    """Write a name, and a text of some lines beside it; a shell's command goes on after a backslash."""
    joined = " \\\n" if name == "again" else "\n"
    return f"{name:10}" + joined.join(text.splitlines()).replace("\n", "\n" + " " * (12 if name == "again" else 10))
