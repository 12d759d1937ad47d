"""hydra/sweeper=product: every configuration of a product of choices.

It replaces Hydra's own sweeper (basic), which calls `on_multirun_start` and makes the sweep's folder before it composes
the configurations: a refused command would leave a folder, and a run in MLflow.
"""

from hydra.core.override_parser.overrides_parser import OverridesParser

from effcomp.core.private.hydra_sweeper import ProductSweeper
from effcomp.sweep.callback import SweepCallback


class Product(ProductSweeper):
    """Sweeper of every combination of the values that are given."""

    def sweep(self, arguments: list[str]) -> None:
        """Compose every configuration, begin the sweep, run them."""
        assert self.hydra_context and self.launcher and self.config is not None, "Hydra calls setup first"
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        batches = self.split_arguments(parser.parse_overrides([*self.configured(), *arguments]), self.max_batch_size)
        for batch in batches:
            self.validate_batch_is_legal(batch)
        SweepCallback.begin(self.config, sum(map(len, batches)))
        first = 0
        for batch in batches:
            for job in self.launcher.launch(batch, initial_job_idx=first):
                _ = job.return_value  # raises what broke the launcher
            first += len(batch)
