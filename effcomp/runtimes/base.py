"""A runtime loads an artifact folder and calls it."""

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effcomp.device import Device
from effcomp.part import Part
from effcomp.ragged import Batch

Predictor = Callable[[Batch], NDArray[np.float32]]
"""input_ids, attention_mask, ... (batch, length) int64 -> logits (batch, labels) float32, on the host."""


class Runtime(Part):
    @abstractmethod
    def start(self, artifact: Path, device: Device) -> str:
        """Import the libraries that the artifact needs and set their threads, so that `load` measures the
        artifact alone. Returns the processor capability that the runtime dispatches to, in its own words."""

    @abstractmethod
    def load(self, artifact: Path, device: Device) -> Predictor:
        """The artifact, ready to be called on the device (resolved: not `auto`)."""
