"""Every setting of the command line, described by the docstring of its field; no component is built."""

import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from omegaconf import OmegaConf
from pydantic.fields import FieldInfo

from effcomp.core.component import Component
from effcomp.core.packages import CONF
from effcomp.pipeline.compose import GROUPS, OUTSIDE, composed, locate

SWEEPER = "hydra/sweeper"
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
WORDS = {"bool": "true or false", "Path": "path", "str": "text", "int": "whole number", "float": "number"}


@dataclass(frozen=True)
class Setting:
    """One value that can be overridden."""

    key: str
    """Name as typed: `quant.block_size`."""
    values: str
    """Type and range in words: `64 or 128`, `number, at least 0`; empty for a setting of a sweeper."""
    default: Any
    """Default: that of the choice's YAML, `???` for a mandatory value; else that of the class."""
    meaning: str


@dataclass(frozen=True)
class Choice:
    """One file of a config group."""

    group: str
    name: str
    meaning: str
    """Comment at the top of the file."""
    settings: tuple[Setting, ...]


def choice_names(group: str) -> list[str]:
    """Return the names of the choices of a group, sorted: `quant`, `experiment`, `hydra/sweeper`."""
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


@cache
def describe_choices(group: str) -> dict[str, Choice]:
    """Return the choices of one of GROUPS by name, with all settings, those of nested components included.

    Hydra composes all of them at once, each under its name: a composition for each would take seconds.
    """
    names = choice_names(group)
    configs: Any = OmegaConf.to_container(composed([f"+{group}@choices.{name}={name}" for name in names])["choices"])
    return {
        name: Choice(group, name, comment(CONF / group / f"{name}.yaml"), tuple(settings_of(group, configs[name])))
        for name in names
    }


def settings_of(path: str, component: dict[str, Any]) -> Iterator[Setting]:
    """Yield the settings of a composed component, in the order of its fields.

    Args:
        path: name of the component in the config: `prune`, `prune.recovery`.
        component: its composed config, with `_target_`.
    """
    yield from settings_of_class(path, locate(component["_target_"]), component)


def settings_of_class(path: str, kind: type[Component], component: dict[str, Any]) -> Iterator[Setting]:
    """Yield the settings of a composed component of this class; `name` is one where the class is no choice."""
    for field, info in kind.model_fields.items():
        value = component.get(field, None if info.is_required() else info.get_default(call_default_factory=True))
        if isinstance(value, dict) and (inner := value.get("_target_")):
            yield from settings_of_class(f"{path}.{field}", locate(inner), value)
        elif isinstance(value, dict) and (inner := component_in(info.annotation)):
            yield from settings_of_class(f"{path}.{field}", inner, value)
        elif field != "name" or "_target_" not in component:
            yield Setting(f"{path}.{field}", values_of(info), value, meaning_of(info))


def component_in(annotation: Any) -> type[Component] | None:
    """Return the component class of a field that is built without `_target_`: `HubData | None`."""
    kinds = get_args(annotation) or (annotation,)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Component)), None)


def own_settings() -> list[Setting]:
    """Return the settings that stand in no group."""
    return own_settings_of(OmegaConf.to_container(composed([])))


def own_settings_of(config: Any) -> list[Setting]:
    """Return the settings that stand in no group, with the values of a composed config."""
    return [Setting(key, values, config[key], meaning) for key, (values, meaning) in OUTSIDE.items()]


def find_settings(key: str) -> list[tuple[str, Setting]]:
    """Return the setting of this key in each choice that has it, with the choice (`quant=nf4`; `` outside a group)."""
    group = key.partition(".")[0]
    if key.startswith("hydra."):
        return [
            (f"{SWEEPER}={name}", one) for name in choice_names(SWEEPER) for one in of_sweeper(name) if one.key == key
        ]
    if group not in GROUPS:
        return [("", setting) for setting in own_settings() if setting.key == key]
    choices = describe_choices(group)
    return [(f"{group}={name}", one) for name, choice in choices.items() for one in choice.settings if one.key == key]


def of_sweeper(name: str) -> list[Setting]:
    """Return the settings of one of Hydra's sweepers, which have their meaning beside them in its file."""
    file = CONF / SWEEPER / f"{name}.yaml"
    values = OmegaConf.to_container(OmegaConf.load(file))
    assert isinstance(values, dict)
    lines = re.findall(r"^(\w+):.*# (.+)$", file.read_text(), re.M)
    return [Setting(f"hydra.sweeper.{key}", "", values[key], f"{meaning}.") for key, meaning in lines]


def comment(file: Path) -> str:
    """Return the comment at the top of a YAML file, on one line."""
    lines = [line for line in file.read_text().splitlines() if not line.startswith("# @package")]
    first = next((index for index, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return " ".join(line.removeprefix("#").strip() for line in lines[:first])


def meaning_of(info: FieldInfo) -> str:
    """Return the docstring of a field, on one line."""
    return " ".join((info.description or "").split())


def values_of(info: FieldInfo) -> str:
    """Return the values that a field takes, in words."""
    return with_bounds(spelled(info.annotation), info.metadata)


def with_bounds(words: str, metadata: Any) -> str:
    """Add the range that annotations give: `number, at least 0, below 1`."""
    flat = [inner for one in metadata for inner in (one.metadata if isinstance(one, FieldInfo) else [one])]
    found = [f"{word} {getattr(one, name)}" for one in flat for name, word in BOUNDS.items() if hasattr(one, name)]
    return ", ".join([words, *found])


def spelled(annotation: Any) -> str:
    """Return a type in words: `whole number or null`, `list of text`, `64 or 128`."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is type(None):
        return "null"
    if hasattr(annotation, "__metadata__"):
        return with_bounds(spelled(inner[0]), annotation.__metadata__)
    if origin in (Union, types.UnionType):
        return " or ".join(spelled(part) for part in inner)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin is list:
        words = spelled(inner[0])
        return f"list of ({words})" if " or " in words else f"list of {words}"
    if origin is dict:
        return "mapping"
    if isinstance(annotation, type) and issubclass(annotation, Component):
        return "component"
    name = getattr(annotation, "__name__", str(annotation))
    return WORDS.get(name, re.sub(r"\w+\.", "", name))
