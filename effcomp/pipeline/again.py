"""Commands to measure a record's configuration again or on more examples, and to load and serve its artifact."""

import json
import os
import re
import shlex
from functools import cache, reduce
from operator import getitem
from pathlib import Path
from textwrap import wrap
from typing import Any

from effcomp.core.errors import UserError
from effcomp.core.store import Store
from effcomp.core.text import TEXT_WIDTH
from effcomp.pipeline.compose import build, composed
from effcomp.record import GenerationVersus, LanguageVersus, Quality, Record, VersusBaseline, settings

RUN = "python -m effcomp.run"
FEW = 500
"""Test examples; with fewer, an undecided verdict is a reason to test on more."""
PLAIN = re.compile(r"(?!(?:true|false|null|nan|inf)$)[a-z_][\w.-]*", re.IGNORECASE | re.ASCII)
"""Text that Hydra reads as itself within a list."""
SPECIAL, ESCAPED = re.compile(r"([\\()\[\]{}:=, \t])"), r"\\\1"
"""Characters of a dictionary's key that Hydra reads after a backslash alone; a key has no quotes."""
LIMITS: dict[type, str] = {
    VersusBaseline: "max_accuracy_drop=1",
    LanguageVersus: "max_perplexity_increase=5",
    GenerationVersus: "max_headline_drop=1",
}
"""Limit that a person may begin with, by the kind of comparison."""
NOWHERE = ("device.cores", "store", "remeasure", "tracking")
"""Settings that a command for another time or place leaves out."""


def overrides(config: dict[str, Any]) -> list[str]:
    """Return the overrides that compose a record's config: choices other than the defaults, and settings that differ
    from their files or that these leave open (`???`).

    Raises:
        HydraException: a choice is not among effcomp's own.
    """
    from omegaconf import OmegaConf

    compose = cache(lambda *words: composed(words))  # seldom more than two are different, at 0.2 s each
    usual = build(compose()).config["choices"]
    typed = [f"{group}={choice}" for group, choice in config["choices"].items() if choice != usual.get(group)]
    typed += nested("prune", config["prune"])
    unset = sorted(OmegaConf.missing_keys(compose(*typed)))
    typed += [f"{name}={written(reduce(getitem, name.split('.'), config))}" for name in unset]
    asked = leaves(settings(config))
    for following in (False, True):  # those that follow others (`${quant}`) are compared after these are given
        made = compose(*typed)
        found = leaves(settings(build(made).config))
        differing = [name for name in found if asked_for(asked, name, found[name]) != found[name]]
        given = [name for name in differing if following or not follows(made, name)]
        typed += [f"{name}={written(asked_for(asked, name))}" for name in given if not name.startswith(NOWHERE)]
    return typed


def asked_for(asked: dict[str, Any], name: str, default: Any = None) -> Any:
    """Return the value of a setting, or the default.

    Args:
        asked: `leaves` of the settings, where a dictionary (`task.labels`) is under the names of its keys.
    """
    inner = {key.removeprefix(f"{name}."): value for key, value in asked.items() if key.startswith(f"{name}.")}
    return asked.get(name, inner or default)


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
        return value if reads_as_itself(value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{','.join(map(written_inside, value))}]"
    if isinstance(value, dict):
        pairs = (f"{SPECIAL.sub(ESCAPED, str(key))}:{written_inside(one)}" for key, one in value.items())
        return f"{{{','.join(pairs)}}}"
    return json.dumps(value)


def reads_as_itself(text: str) -> bool:
    """Tell whether Hydra reads a text without quotes as this text: 2024 is a number, `a,b` a sweep."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        read = OverridesParser.create().parse_override(f"key={text}")
    except HydraException:
        return False
    return not read.is_sweep_override() and bool(read.value() == text)


def written_inside(value: Any) -> str:
    """Write a value of a list or a dictionary as Hydra reads it: a text in quotes where it would be read otherwise."""
    return (
        written(value)
        if not isinstance(value, str) or PLAIN.fullmatch(value)
        else json.dumps(value, ensure_ascii=False)
    )


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
        typed = overrides(record.config)
        lines.append(("again", command(RUN, [*typed, "remeasure=true"])))
        lines += on_more_examples([record], typed)
    except (HydraException, UserError):  # a choice of the user's own: the folder of the run has the overrides
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


def command(program: str, typed: list[str]) -> str:
    """Return the shell's command for these arguments, on as many lines as it needs."""
    words = " ".join([program, *map(shlex.quote, typed)])
    return " \\\n  ".join(wrap(words, TEXT_WIDTH - 14, break_long_words=False, break_on_hyphens=False))


def on_more_examples(records: list[Record], typed: list[str]) -> list[tuple[str, str]]:
    """Return the command of a cross-validation, with its name; [] where no verdict is undecided for want of examples.

    Args:
        typed: the overrides that were measured.
    """
    few = {
        record.truth.data.test_examples
        for record in records
        if isinstance(record.versus_baseline, VersusBaseline)
        and not (isinstance(record.quality, Quality) and record.quality.per_group)  # in languages not trained in
        and record.versus_baseline.verdict == "undecided"
        and record.truth.data.test_examples < FEW
        and record.config["fold"] is None
    }
    if not few:
        return []
    reason = f"{min(few):,} test examples decide little; five folds test on more, each row in turn:"
    whole = [word for word in typed if not word.startswith("test_slice=")]
    return [("decide it", f"{reason}\n{command(RUN, ['-m', *whole, 'fold=range(5)'])}")]


def ways_on_from_sweep(records: list[Record], folder: Path, typed: list[str]) -> str:
    """Return the next commands for a measured sweep: to choose, and to test on more examples where they are too few.

    Args:
        typed: the overrides of the sweep.
    """
    limit = next((LIMITS[kind] for kind in (type(record.versus_baseline) for record in records) if kind in LIMITS), "")
    goal = [*filter(None, [limit]), "minimize=latency_p50_ms"]
    chosen = command("effcomp recommend", [os.path.relpath(folder), *goal])
    return "\n".join(row(*line) for line in [("choose", chosen), *on_more_examples(records, typed)])


def row(name: str, text: str) -> str:
    """Write a name, and a text of some lines beside it."""
    return f"{name:10}" + text.replace("\n", "\n" + " " * 10)
