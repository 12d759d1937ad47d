"""Hydra's own sweeper. Hydra executes its module again as it looks for plugins, so only plugins import this one."""

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper


class ProductSweeper(BasicSweeper):
    """Hydra's sweeper, and the overrides that its configuration adds."""

    def configured(self) -> list[str]:
        """Return the overrides under hydra.sweeper.params, as they are typed on a command line."""
        return list(self._parse_config())
