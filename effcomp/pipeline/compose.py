"""From a composed config to parts that are checked, alone and against each other, before any heavy work."""

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effcomp.core import machine
from effcomp.core.class_paths import with_ids
from effcomp.core.component import Component
from effcomp.core.device import Device
from effcomp.core.errors import Skipped, UserError
from effcomp.core.packages import require
from effcomp.finetune.base import Finetune, NoFinetune
from effcomp.measure.bench import Bench
from effcomp.models.base import Model
from effcomp.models.heads import HEADS
from effcomp.pipeline.emulation import check_emulated
from effcomp.prune.base import Prune
from effcomp.quant.base import Quant
from effcomp.quant.lowering import Lowering, lowering
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
PINNED = {"revision", "test"}
"""Settings that `pinned` fills in."""


@dataclass(frozen=True)
class Parts:
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
    """Which fold of the training examples is the test; None: the task's own test."""
    folds: int
    store: Path
    remeasure: bool
    """Whether to measure again what the store holds the measurement of."""
    config: dict[str, Any]
    """The config they were built from, with `choices`: the name of each group's choice."""


def build(config: "DictConfig", in_product: bool = False) -> Parts:
    """The parts that a composed config names.

    Args:
        in_product: the config is one of a product of choices: in prune=none,structured prune.ratio=0.3,0.5 the ratio
            says nothing of prune=none, which then stands there twice.

    Raises:
        UserError: a value is out of its range or of the wrong type.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import InterpolationResolutionError

    if unset := sorted(OmegaConf.missing_keys(config)):
        raise UserError(f"{unset[0]} has no default here: give it, {unset[0]}=VALUE")
    try:
        plain = OmegaConf.to_container(config, resolve=True)
    except InterpolationResolutionError as error:  # of a ${...} that was typed
        raise UserError(f"{error.full_key}: {str(error).splitlines()[0]}; give a value") from error
    assert isinstance(plain, dict)
    if missing := [name for name in (*GROUPS, "seed", "fold", "folds", "store", "remeasure") if name not in plain]:
        raise UserError(f"{missing[0]} is missing: every group needs a choice")
    if in_product and plain["prune"]["name"] == "none":
        plain["prune"]["ratio"] = None
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
    own = {"seed": seed, "fold": fold, "folds": folds, "store": Path(plain["store"])}
    return Parts(**parts, **own, remeasure=plain["remeasure"], config=plain)  # type: ignore[arg-type]


def pin(parts: Parts) -> Parts:
    """Return the parts with each revision of the Hub resolved to its commit, which the config then names.

    Raises:
        UserError: there is no such revision, or the Hub cannot be asked.
    """
    model, task = parts.model.pinned(), parts.task.pinned()
    named = {
        group: parts.config[group] | {key: value for key, value in part if key in PINNED & parts.config[group].keys()}
        for group, part in (("model", model), ("task", task))
    }
    return replace(parts, model=model, task=task, config=parts.config | named)


def whole_number(config: dict[Any, Any], name: str, smallest: int, largest: int) -> int:
    value = config[name]
    if not isinstance(value, int) or isinstance(value, bool) or not smallest <= value <= largest:
        raise UserError(f"{name}={value}: give a whole number from {smallest} to {largest}")
    return value


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
        raise UserError(explain(group, error)) from error


def locate(target: str) -> Any:
    """Import what a `_target_` names.

    Raises:
        ModuleNotFoundError, AttributeError, ValueError: there is none.
    """
    module, _, name = target.rpartition(".")
    return getattr(import_module(module), name)


def explain(group: str, error: "ValidationError") -> str:
    """The first fault of a validation, in one line: `prune.ratio=1.5: input should be less than 1`."""
    first = error.errors(include_url=False)[0]
    where = ".".join([group, *(str(step) for step in first["loc"] if isinstance(step, str))])
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if first["type"] == "missing":
        return f"{where}: {message}"
    return f"{where}={first['input']}: {message}"


def build_tracking(config: "DictConfig") -> Tracking:
    """The tracking choice alone, for what surrounds the configurations of a sweep."""
    from omegaconf import OmegaConf

    tracking = build_component("tracking", Tracking, OmegaConf.to_container(config.tracking, resolve=True))
    assert isinstance(tracking, Tracking)
    return tracking


def check(parts: Parts, in_sweep: bool = False) -> None:
    """Refuse, in seconds, whatever cannot work; nothing is written. `pipeline.run` looks into the data first of all.

    Args:
        in_sweep: leave out what the processor emulates, unless device.emulated=true.

    Raises:
        UserError: a pair that does not exist, a package that is missing, data or a device that is not there.
    """
    quant, runtime, task, model = parts.quant, parts.runtime, parts.task, parts.model
    if (task.objective, model.kind) not in HEADS:
        raise Skipped(f"task={task.name} has texts to write, which model={model.name}, an {model.kind}, does not")
    if task.objective == "generation":
        if not runtime.generates:
            raise Skipped(
                f"task={task.name} has texts to write, which runtime={runtime.name} does not; use torch or compile"
            )
        if parts.fold is not None:
            raise UserError(f"fold={parts.fold}: the prompts of task={task.name} are its test, not training examples")
    lowering(quant, runtime.name, Lowering)
    if parts.device.kind != "auto":
        check_runs_on(parts.device.kind, f"device={parts.device.kind}", quant, runtime)
    for package in quant.packages:
        require(package, package, f"quant={quant.name}")
    check_folder(parts.store, "store")
    parts.tracking.check()
    runtime.check()
    model.check(HEADS[task.objective, model.kind], as_it_is=not parts.finetune.trains)
    task.check()
    parts.finetune.check()
    parts.finetune.check_model(model)
    parts.prune.check(model)
    parts.device.check()
    resolved = parts.device.resolved()
    check_runs_on(resolved.kind, f"{resolved.kind}, which device=auto found", quant, runtime)
    if resolved.kind == "cuda":
        import torch

        gpu = torch.cuda.get_device_name(resolved.index)
        check_capability(torch.cuda.get_device_capability(resolved.index), gpu, quant, runtime)
    parts.finetune.check_device(resolved)
    parts.prune.check_device(resolved)
    check_emulated(quant, runtime, resolved, machine.cpu_info()[1], in_sweep)


def check_runs_on(kind: str, called: str, quant: Quant, runtime: Runtime) -> None:
    """Raise Skipped where a kind of device does not run the runtime, or the number format on it."""
    for what, devices in (
        (f"runtime={runtime.name}", runtime.devices),
        (f"quant={quant.name} on runtime={runtime.name}", lowering(quant, runtime.name, Lowering).devices),
    ):
        if kind not in devices:
            raise Skipped(f"{what} does not run on {called}; it runs on: {', '.join(devices)}")


def check_capability(there: tuple[int, int], gpu: str, quant: Quant, runtime: Runtime) -> None:
    """Raise Skipped where the number format or the runtime needs a younger GPU than this one."""
    needs = lowering(quant, runtime.name, Lowering).capability
    for what, needed in ((f"quant={quant.name}", needs), (f"runtime={runtime.name}", runtime.capability)):
        if there < needed:
            raise Skipped(
                f"{what} needs a GPU of compute capability {needed[0]}.{needed[1]}, and {gpu} has "
                f"{there[0]}.{there[1]}; choose another, or device=cpu"
            )


def check_folder(folder: Path, setting: str) -> None:
    """Raise UserError when a folder that a setting names cannot be made or written to; what is made to find out is
    taken away again."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise UserError(f"{setting}={folder}: this folder cannot be written to; give another one")
    except OSError as error:
        raise UserError(f"{setting}={folder}: {error.strerror or error}; give another folder") from error
    finally:
        for made in missing:
            with suppress(OSError):
                made.rmdir()
