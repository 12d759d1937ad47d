"""Construction of the components of a composed config, each validated alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from effcomp.core.class_paths import with_ids
from effcomp.core.command_line import expand_home
from effcomp.core.component import Component
from effcomp.core.device import Device
from effcomp.core.errors import UserError
from effcomp.core.packages import CONF
from effcomp.finetune.base import Finetune, NoFinetune
from effcomp.measure.bench import Bench
from effcomp.models.base import Model
from effcomp.prune.base import NoPrune, Prune
from effcomp.quant.base import Quant
from effcomp.runtimes.base import Runtime
from effcomp.tasks.base import Task
from effcomp.tracking.base import Tracking

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from pydantic import ValidationError

GROUPS: dict[str, type[Component]] = {
    "model": Model,
    "task": Task,
    "quant": Quant,
    "prune": Prune,
    "device": Device,
    "runtime": Runtime,
    "finetune": Finetune,
    "bench": Bench,
    "tracking": Tracking,
}
NONE: dict[str, type[Component]] = {"prune": NoPrune, "finetune": NoFinetune}
"""Choices `none` whose fields are settings of the group's other choices, in a product of choices."""
P = TypeVar("P", bound=Component)
OUTSIDE = {
    "seed": ("whole number", "Seed of the training order, the new head and the bootstrap; the split has its own."),
    "fold": (
        "whole number or null",
        "Fold that is the test, from 0; null: the task's own test. Folds are those of the training examples, and "
        "of a test drawn from them.",
    ),
    "folds": ("whole number", "Number of parts that the examples are cut into for `fold`."),
    "test_slice": (
        "two numbers from 0 to 1, or null",
        "Part of the test examples that is the test, [0, 0.5]; null: all. The order is random and fixed: [0, 0.5] and "
        "[0.5, 1] share no example.",
    ),
    "store": ("folder", "Checkpoints, artifacts, predictions and records, under the hash of what determines them."),
    "remeasure": ("true or false", "Measure and predict again, although the store holds the result."),
}
"""Settings outside the groups: values and meaning. Their defaults stand in conf/config.yaml."""


@dataclass(frozen=True)
class Components:
    """One choice of each config group."""

    model: Model
    task: Task
    quant: Quant
    prune: Prune
    device: Device
    runtime: Runtime
    finetune: Finetune
    bench: Bench
    tracking: Tracking
    seed: int
    fold: int | None
    """Index of the fold of the training examples that is the test; None: the task's own test."""
    folds: int
    test_slice: tuple[float, float] | None
    """Part of the test examples that is used, as shares of all in a fixed random order; None: all of them."""
    store: Path
    remeasure: bool
    """Measure again even where the store holds the measurement."""
    config: dict[str, Any]
    """Config that they were built from, with `choices`: the name of each group's choice."""


def composed(overrides: Sequence[str]) -> "DictConfig":
    """Compose effcomp's own configs, also inside another Hydra application.

    Raises:
        HydraException: an override names no choice or setting.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return compose("config", overrides=[expand_home(one) for one in overrides])
    finally:
        GlobalHydra.instance().clear()
        if running is not None:
            GlobalHydra.instance().initialize(running)


def build(config: "DictConfig", in_product: bool = False) -> Components:
    """Return the components that a composed config names.

    Args:
        in_product: the config is one of a product of choices: in prune=none,structured prune.ratio=0.3,0.5 the ratio
            does not apply to prune=none, which then occurs twice.

    Raises:
        UserError: a value is out of its range or of the wrong type.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import InterpolationResolutionError

    try:
        if unset := sorted(OmegaConf.missing_keys(config)):
            verb = "has" if len(unset) == 1 else "have"
            raise UserError(
                f"{', '.join(unset)} {verb} no default here: give {' '.join(f'{one}=VALUE' for one in unset)}"
            )
        plain = OmegaConf.to_container(config, resolve=True)
    except InterpolationResolutionError as error:  # of a ${...} that was typed
        raise UserError(f"{error.full_key}: {str(error).splitlines()[0]}; give a value") from error
    assert isinstance(plain, dict)
    if missing := [name for name in (*GROUPS, *OUTSIDE) if name not in plain]:
        raise UserError(f"{missing[0]} is missing: every group needs a choice")
    for group, none in NONE.items():
        if in_product and plain[group]["name"] == "none":
            plain[group] |= dict.fromkeys(none.model_fields.keys() - {"name"})
    parts = {group: build_component(group, kind, plain[group]) for group, kind in GROUPS.items()}
    plain = with_ids(plain, lambda path: locate(path).id)
    plain["choices"] = {group: part.name for group, part in parts.items()}
    if isinstance(parts["model"], Model) and parts["model"].weights == "random":
        parts["finetune"] = NoFinetune(name="none")  # nothing is learned, so nothing of it is asked for
    seed = whole_number(plain, "seed", 0, 2**32 - 1)
    folds = whole_number(plain, "folds", 2, 1000)
    fold = None if plain["fold"] is None else whole_number(plain, "fold", 0, folds - 1)
    if not isinstance(plain["remeasure"], bool):
        raise UserError(f"remeasure={plain['remeasure']}: give true or false")
    if not isinstance(plain["store"], str) or not plain["store"]:
        raise UserError(f"store={plain['store']}: give a folder, say store=multirun/store")
    own: dict[str, Any] = {"seed": seed, "fold": fold, "folds": folds, "store": Path(plain["store"]).expanduser()}
    own["test_slice"] = slice_of(plain["test_slice"])
    return Components(**parts, **own, remeasure=plain["remeasure"], config=plain)  # type: ignore[arg-type]


def pin(parts: Components) -> Components:
    """Return the components with each revision of the Hub resolved to its commit, which the config then names.

    Raises:
        UserError: there is no such revision, or the Hub cannot be asked.
    """
    model, task = parts.model.pinned(), parts.task.pinned()
    named = {
        "model": with_pins(parts.config["model"], parts.model, model),
        "task": with_pins(parts.config["task"], parts.task, task),
    }
    return replace(parts, model=model, task=task, config=parts.config | named)


def with_pins(config: dict[str, Any], before: Component, after: Component) -> dict[str, Any]:
    """Return the config of a choice with the fields, also those of choices inside it, that pinning changed."""
    inner = {name: value for name, value in after if isinstance(value, Component)}
    changed = {name: value for name, value in after if name not in inner and value != getattr(before, name)}
    return config | changed | {name: with_pins(config[name], getattr(before, name), inner[name]) for name in inner}


def whole_number(config: dict[Any, Any], name: str, smallest: int, largest: int) -> int:
    value = config[name]
    if not isinstance(value, int) or isinstance(value, bool) or not smallest <= value <= largest:
        raise UserError(f"{name}={value}: give a whole number from {smallest} to {largest}{sweep_of(name, value)}")
    return value


def slice_of(value: Any) -> tuple[float, float] | None:
    """Return the ends of a slice.

    Raises:
        UserError: they are not two numbers from 0 to 1 in their order.
    """
    if value is None:
        return None
    if not (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(end, int | float) and not isinstance(end, bool) for end in value)
        and 0 <= value[0] < value[1] <= 1
    ):
        raise UserError(f"test_slice={value}: give two shares in their order, say test_slice=[0,0.5]")
    return value[0], value[1]


def build_component(group: str, kind: type[Component], fields: Any) -> Component:
    from pydantic import ValidationError

    if not isinstance(fields, dict) or "_target_" not in fields:
        raise UserError(f"{group}={fields}: choose one of the files in conf/{group}, say {group}=NAME")
    named = {name for name, value in fields.items() if isinstance(value, dict) and "_target_" in value}
    fields = fields | {name: build_component(f"{group}.{name}", Component, fields[name]) for name in named}
    target = str(fields.pop("_target_"))
    try:
        cls = locate(target)
    except (ModuleNotFoundError, AttributeError, ValueError) as error:
        module = target.rpartition(".")[0]
        if isinstance(error, ModuleNotFoundError) and not module.startswith(error.name or module):
            raise  # the module is there, and what it imports is not
        raise UserError(f"{group}._target_={target}: there is no such class") from error
    if not (isinstance(cls, type) and issubclass(cls, kind)):
        raise UserError(f"{group}._target_={target} is no {kind.__name__}")
    try:
        return cls(**fields)
    except ValidationError as error:
        raise UserError(first_fault(group, error)) from error


def choices(group: str, base: type[P]) -> list[P]:
    """Return the components of all files in conf/GROUP, sorted by name."""
    from omegaconf import OmegaConf

    files = sorted((CONF / group).glob("*.yaml"))
    parts = [build_component(group, base, OmegaConf.to_container(OmegaConf.load(file))) for file in files]
    return [part for part in parts if isinstance(part, base)]


def locate(target: str) -> Any:
    """Import the object that a `_target_` names.

    Raises:
        ModuleNotFoundError, AttributeError, ValueError: there is none.
    """
    module, _, name = target.rpartition(".")
    return getattr(import_module(module), name)


def first_fault(group: str, error: "ValidationError") -> str:
    """Return the first fault of a validation, in one line: `prune.ratio=1.5: input should be less than 1`."""
    first = error.errors(include_url=False)[0]
    where = ".".join([group, *(str(step) for step in first["loc"] if isinstance(step, str))])
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if first["type"] == "missing":
        return f"{where}: {message}"
    if first["type"] == "list_type" and isinstance(first["input"], str | int | float):
        return f"{where}={first['input']}: this is a list; write {where}=[{first['input']}]"
    if first["type"] == "dict_type":
        return f"{where}={first['input']}: give pairs, '{where}={{KEY:VALUE}}' (effcomp help {where})"
    return f"{where}={first['input']}: {message}{sweep_of(where, first['input'])}"


def sweep_of(setting: str, value: Any) -> str:
    """Return the syntax of a sweep over these values, for the message about a list where one value was expected."""
    if not isinstance(value, list) or len(value) < 2:
        return ""
    return f"; for a sweep write -m {setting}={','.join(map(str, value))}"


def build_tracking(config: "DictConfig") -> Tracking:
    """Build the tracking choice alone, for the parent run of a sweep."""
    from omegaconf import OmegaConf

    tracking = build_component("tracking", Tracking, OmegaConf.to_container(config.tracking, resolve=True))
    assert isinstance(tracking, Tracking)
    return tracking
