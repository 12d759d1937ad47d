"""Measured pair of a run: the artifacts of baseline and variant, each in a process of its own."""

from pathlib import Path
from typing import TYPE_CHECKING

from effcomp.core.store import Entry
from effcomp.core.template import Template
from effcomp.measure.client import Side
from effcomp.measure.pair import Pair
from effcomp.pipeline.tokens import TOKENS_FILE

if TYPE_CHECKING:
    from effcomp.pipeline.stage import Run


def pair_of(run: "Run", artifacts: tuple[Path, Path], inputs: tuple[Entry, Entry], common: Template | None) -> Pair:
    """Return the pair of a run; its processes start when it is entered.

    Args:
        artifacts: folders of the baseline and of the variant.
        inputs: the token ids of the test, for the baseline and for the variant.
        common: template of both processes; None: each starts by itself.
    """
    runs = run.baseline().components, run.components
    base, variant = (Side(folder, one.runtime, one.quant) for folder, one in zip(artifacts, runs, strict=True))
    files = inputs[0].path / TOKENS_FILE, inputs[1].path / TOKENS_FILE
    return Pair((base, variant), files, run.device, run.components.bench.fixed_length, common)
