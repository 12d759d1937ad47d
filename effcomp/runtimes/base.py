"""A runtime loads an artifact folder and calls it."""

import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from effcomp.device import Device
from effcomp.part import Part
from effcomp.ragged import Batch


class Loaded(ABC):
    """An artifact that is ready to be called. Batches are int64 arrays (batch, length) on the host."""

    @abstractmethod
    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """What a server would compute, on the host when this returns: the logits of the classes (batch, classes);
        for language models those of one position (batch, vocabulary)."""

    def timed(self, batch: Batch) -> tuple[int, int | None]:
        """One call: nanoseconds until its answer is on the host, and on a GPU those between its own events."""
        start = time.perf_counter_ns()
        self(batch)
        return time.perf_counter_ns() - start, None

    def generate(self, batch: Batch, new_tokens: int) -> list[int]:
        """Decoders: greedy decoding with a cache. Nanoseconds from the prompt to its first token on the host, then of
        each of new_tokens more."""
        raise NotImplementedError(f"{type(self).__name__} does not generate")

    @abstractmethod
    def token_losses(self, batch: Batch) -> NDArray[np.float64]:
        """Language models: cross-entropy in nats of each sequence's labels, summed, and their number: (batch, 2)."""


class Runtime(Part):
    generates: ClassVar[bool] = False
    """Whether decoders can be asked for one token after another."""
    compiles: ClassVar[bool] = False
    """Whether the first call translates the model."""

    def check(self) -> None:
        """Raise UserError when something that the runtime needs is not there."""

    @abstractmethod
    def start(self, artifact: Path, device: Device) -> str:
        """Import the libraries that the artifact needs and set their threads, so that `load` measures the
        artifact alone. Returns the processor capability that the runtime dispatches to, in its own words."""

    @abstractmethod
    def load(self, artifact: Path, device: Device) -> Loaded:
        """The artifact on the device (resolved: not `auto`)."""
