"""A runtime loads an artifact folder and calls it."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from effcomp.artifact.file_format import Format
from effcomp.core.batches import Batch
from effcomp.core.component import Component
from effcomp.core.device import Device
from effcomp.core.packages import require
from effcomp.runtimes.decoding import Decoded, never


@dataclass(frozen=True)
class Ran:
    """An operator that ran in one call."""

    name: str
    """With the implementation that was chosen, where the runtime says it."""
    calls: int
    seconds: float
    """Its own time, without that of the operators inside it."""
    provider: str | None = None
    """Who executed it, where the runtime has several."""


class Loaded(ABC):
    """An artifact that is ready to be called. Batches are int64 arrays (batch, length) on the host."""

    @abstractmethod
    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """What a server would compute, on the host when this returns: the logits of the classes (batch, classes);
        for language models those of one position (batch, vocabulary)."""

    def prepare(self, batches: Iterable[Batch]) -> None:  # noqa: B027  # most runtimes have nothing to do
        """Whatever is done once for all batches of these shapes, so that it is not timed with a call."""

    def timed(self, batch: Batch) -> tuple[int, int | None]:
        """One call: nanoseconds until its answer is on the host, and on a GPU those between its own events."""
        start = time.perf_counter_ns()
        self(batch)
        return time.perf_counter_ns() - start, None

    def decode(self, batch: Batch, new_tokens: int, ended: Callable[[list[int]], bool] = never) -> Decoded:
        """Decoders: greedy decoding with a cache (see effcomp.runtimes.decoding.decode)."""
        raise NotImplementedError(f"{type(self).__name__} does not generate")

    @abstractmethod
    def ran(self, batch: Batch) -> list[Ran]:
        """The operators that really run in one call, by a profiler."""

    def instructions(self, batch: Batch) -> list[str]:
        """What the library under the runtime says of the products of one call, in its own words; nothing where it
        does not say it apart from the operators."""
        return []

    def first_not_finite(self, batch: Batch) -> str | None:
        """Return the name of the first layer whose output for this batch holds NaN or infinity; None where the runtime
        does not show what its layers compute."""
        return None

    @abstractmethod
    def token_losses(self, batch: Batch) -> NDArray[np.float64]:
        """Language models: cross-entropy in nats of each sequence's labels, summed, and their number: (batch, 2)."""


class Runtime(Component):
    format: ClassVar[Format]
    """What it reads."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Libraries that loading an artifact needs, beside PyTorch, by import name."""
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    capability: ClassVar[tuple[int, int]] = (0, 0)
    """The compute capability that a GPU must have."""
    generates: ClassVar[bool] = False
    """Whether decoders can be asked for one token after another."""
    compiles: ClassVar[bool] = False
    """Whether the first call translates the model."""

    def check(self) -> None:
        """Raise UserError when something that the runtime needs is not there."""
        for package in self.format.packages:
            require(package, f"effcomp[{self.format.name}]", f"runtime={self.name}")

    @abstractmethod
    def start(self, artifact: Path, device: Device) -> str:
        """Import the libraries that the artifact needs and set their threads, so that `load` measures the
        artifact alone. Returns the processor capability that the runtime dispatches to, in its own words."""

    @abstractmethod
    def load(self, artifact: Path, device: Device) -> Loaded:
        """The artifact on the device (resolved: not `auto`)."""
