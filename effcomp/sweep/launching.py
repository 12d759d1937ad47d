"""Base of the sweepers that search (hydra_plugins/): they launch configurations one after another."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from effcomp.sweep.folder import OUTCOME_FILE

if TYPE_CHECKING:
    from effcomp.record import Record


class LaunchingSweeper(Sweeper):
    """Base class of sweepers that launch configurations one after another, and learn from their records."""

    params: dict[str, str]
    """Overrides of a preset."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def words(self, arguments: list[str]) -> tuple[list[str], list[Override]]:
        """Return the overrides that are the same for all configurations, and those that are swept."""
        assert self.hydra_context is not None, "Hydra calls setup first"
        typed = [*(f"{name}={value}" for name, value in self.params.items()), *arguments]
        parsed = OverridesParser.create(config_loader=self.hydra_context.config_loader).parse_overrides(typed)
        fixed = [text for text, override in zip(typed, parsed, strict=True) if not override.is_sweep_override()]
        return fixed, [override for override in parsed if override.is_sweep_override()]


def record_of(folder: Path) -> "Record | None":
    """Return the record of a configuration by its folder in a sweep; None where it has none."""
    from effcomp.record import RECORD_FILE, Record

    if (folder / OUTCOME_FILE).exists():  # a twin has the record of the first
        twin = json.loads((folder / OUTCOME_FILE).read_text()).get("same_as")
        folder = folder.parent / twin if twin is not None else folder
    return Record.read(folder / RECORD_FILE) if (folder / RECORD_FILE).exists() else None
