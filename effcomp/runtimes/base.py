"""Base class of runtimes, which load an artifact folder and call it."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from effcomp.artifact.file_format import FileFormat
from effcomp.core.batches import Batch
from effcomp.core.component import Component
from effcomp.core.device import Device
from effcomp.core.packages import require
from effcomp.runtimes.decoding import Decoded, never

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

    from effcomp.models.heads import Head
    from effcomp.runtimes.speculative import Speculation


@dataclass(frozen=True)
class Ran:
    """Operator that ran in one call."""

    name: str
    """With the implementation that was chosen, where the runtime names it."""
    calls: int
    seconds: float
    """Its own time, without the operators inside it."""
    provider: str | None = None
    """Execution provider, where the runtime has several."""


class Loaded(ABC):
    """Base class of artifacts that are ready to be called. Batches are int64 arrays (batch, length) on the host."""

    speculation: "Speculation | None" = None
    """Draft that `decode` uses; None where it writes each token by itself."""

    @abstractmethod
    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """Return the logits that a server computes, on the host: (batch, classes), or for language models those of one
        position, (batch, vocabulary)."""

    def prepare(self, batches: Iterable[Batch]) -> None:  # noqa: B027  # most runtimes have nothing to do
        """Do the work that is needed once for all batches of these shapes, so that it is not timed with a call."""

    def timed(self, batch: Batch) -> tuple[int, int | None]:
        """Time one call: nanoseconds until its answer is on the host, and on a GPU those between its own events."""
        start = time.perf_counter_ns()
        self(batch)
        return time.perf_counter_ns() - start, None

    def decode(self, batch: Batch, new_tokens: int, ended: Callable[[list[int]], bool] = never) -> Decoded:
        """Decode greedily with a cache, for decoders (see effcomp.runtimes.decoding.decode)."""
        raise NotImplementedError(f"{type(self).__name__} does not generate")

    @abstractmethod
    def ran(self, batch: Batch) -> list[Ran]:
        """Return the operators that run in one call, by a profiler."""

    def instructions(self, batch: Batch) -> list[str]:
        """Return the implementations that the runtime's library reports for the products of one call; none where it
        reports operators only."""
        return []

    def first_not_finite(self, batch: Batch) -> str | None:
        """Return the name of the first layer whose output for this batch holds NaN or infinity; None where the runtime
        does not show what its layers compute."""
        return None

    @abstractmethod
    def token_losses(self, batch: Batch) -> NDArray[np.float64]:
        """Return for each sequence the sum of its labels' cross-entropy in nats, and their number: (batch, 2)."""


class Runtime(Component):
    """Base class of runtimes. A runtime executes the number formats that have a lowering for its name
    (effcomp.quant.lowering); its own module may register some."""

    file_format: ClassVar[FileFormat]
    """File format that it reads."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Modules that `start` imports for every artifact, and that take seconds (effcomp.core.template imports them once
    for both sides of a pair); importing one must start no thread."""
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    capability: ClassVar[tuple[int, int]] = (0, 0)
    """Least compute capability of a GPU."""
    generates: ClassVar[bool] = False
    """True where decoders can be asked for one token after another."""
    records: ClassVar[bool] = False
    """True where a call is one launch: the GPU does not wait for the processor."""
    compiles: ClassVar[bool] = False
    """True where the first call compiles the model."""

    def check(self) -> None:
        """Raise UserError when a tool that the runtime needs is missing, or a library to write its artifacts with."""
        for package in self.file_format.packages:
            require(package, f"runtime={self.name}")

    def check_model(self, config: "PretrainedConfig", pairs: bool) -> None:
        """Raise Skipped when the runtime cannot run a model with these settings.

        Args:
            config: the model's, before pruning.
            pairs: True where the task's inputs are pairs of texts.
        """

    @property
    def most_texts(self) -> int | None:
        """Return the most texts that a decoder writes at once; None for any number."""
        return None

    def check_writing(
        self, head: "Head", config: "PretrainedConfig", tokenizer: "PreTrainedTokenizerBase | None"
    ) -> None:
        """Check that the settings for writing, a draft of speculative decoding or a type of the cache, fit the model.

        Raises:
            Skipped: the model does not write, or cannot take tokens back.
            UserError: the draft has other tokens.
        """

    @abstractmethod
    def start(self, artifact: Path, device: Device) -> str:
        """Import the libraries that the artifact needs and set their threads; `load` then measures the artifact alone.

        Returns:
            The processor capability that the runtime dispatches to, in its own words.
        """

    @abstractmethod
    def load(self, artifact: Path, device: Device) -> Loaded:
        """Load the artifact on the device (resolved: not `auto`)."""
