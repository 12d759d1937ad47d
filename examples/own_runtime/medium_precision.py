"""A runtime of one's own: eager PyTorch that may multiply float32 matrices in fewer bits, where the processor can.

export PYTHONPATH=examples/own_runtime
python -m effcomp.run --config-dir examples/own_runtime/conf runtime=medium_precision
"""

from pathlib import Path
from typing import ClassVar

from effcomp.core.device import Device
from effcomp.quant.floats import Float, to_torch
from effcomp.quant.lowering import lowers
from effcomp.runtimes.torch import Torch


class MediumPrecision(Torch):
    """Eager PyTorch with `torch.set_float32_matmul_precision("medium")`; on a CPU, oneDNN then multiplies."""

    id: ClassVar[str] = "runtime/medium_precision"

    def start(self, artifact: Path, device: Device) -> str:
        import torch

        torch.set_float32_matmul_precision("medium")
        return super().start(artifact, device)


lowers(Float, "medium_precision")(to_torch)  # float formats: stored and decoded as for PyTorch
