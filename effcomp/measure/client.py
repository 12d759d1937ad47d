"""Client of the measured process, in the process that measures."""

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from effcomp.core.closing import Closing
from effcomp.core.component import foreign_modules
from effcomp.core.device import Device
from effcomp.core.errors import NotFinite
from effcomp.core.process import Process, start
from effcomp.core.template import Template, forks_alike
from effcomp.models.heads import longest_sequence
from effcomp.quant.base import Quant
from effcomp.runtimes.base import Runtime
from effcomp.runtimes.torch import Torch

WORKER = "effcomp.measure.worker"


class Side(NamedTuple):
    """Artifact, and the runtime that executes it."""

    artifact: Path
    runtime: Runtime
    quant: Quant
    """Number format of the artifact."""

    def longest(self) -> int | None:
        """Return the number of tokens that the model can read; None where its config sets no limit."""
        return longest_sequence(json.loads((self.artifact / "config.json").read_text()))


def template(runtimes: Sequence[Runtime], device: Device) -> Template | None:
    """Start a template of the processes that will execute with these runtimes.

    Return None if no two of them import the same libraries, if these import fast, on a GPU (importing initializes it),
    or if the system cannot fork like a fresh start.

    Processes of one template have the same addresses, and times depend on them (Mytkowicz et al. 2009, "Producing Wrong
    Data Without Doing Anything Obviously Wrong!"). Pairs whose differences make an interval have a template each;
    single pairs of several runs may share one (`KeptTemplate`).
    """
    libraries = [runtime.libraries for runtime in runtimes if runtime.libraries]
    if device.kind == "cuda" or len(libraries) < 2 or len(set(libraries)) > 1 or not forks_alike():
        return None
    return Template(WORKER, libraries[0], device.environment())


class KeptTemplate(Closing):
    """Template that one run after another forks its measured processes from: their baselines all run on PyTorch. Use it
    as a context manager: the template ends with the block."""

    def __init__(self) -> None:
        self.template: Template | None = None
        self.environment = dict[str, str]()

    def on(self, device: Device) -> Template | None:
        """Return the template of this device, and start it where there is none; None where a fork is not like a fresh
        process (see `template`). It imports while this process goes on."""
        if device.kind == "cuda" or not forks_alike():
            return None
        if self.template is None or self.environment != device.environment():
            self.close()
            self.environment = device.environment()
            self.template = Template(WORKER, Torch.libraries, self.environment)
        return self.template

    def close(self) -> None:
        if self.template is not None:
            self.template.close()
            self.template = None


class Worker(Process):
    """Fresh process that holds one artifact (`effcomp.measure.worker` is its other end)."""

    loaded: dict[str, Any]
    """Report of `load`."""

    def __init__(
        self,
        side: Side,
        inputs: Path,
        device: Device,
        fixed_length: int | None = None,
        template: Template | None = None,
    ) -> None:
        """Start the process; it imports its libraries while this one goes on. Wait for it with `wait_until_started`.

        Args:
            inputs: token ids of the test.
            fixed_length: time sequences of exactly this many tokens instead of the texts' own lengths.
            template: the process is forked from it where the runtime needs its libraries, and else starts afresh.
        """
        self.side, self.inputs, self.fixed_length = side, inputs, fixed_length
        # Inductor keeps compiled code in a folder of its own: a fresh one, or the first call would be a later run's.
        self.scratch = tempfile.TemporaryDirectory(prefix="effcomp-")
        own = {"TORCHINDUCTOR_CACHE_DIR": self.scratch.name}
        forked = template is not None and template.libraries == side.runtime.libraries
        process = template.fork(own) if template and forked else start(WORKER, device.environment() | own)
        super().__init__(process, "the measured process")
        if device.cores is not None:
            os.sched_setaffinity(self.pid, device.cores)
        self.send(
            "start",
            modules=foreign_modules(side.runtime, side.quant),
            artifact=str(side.artifact),
            runtime=side.runtime.spec(),
            device=device.spec(),
        )

    def wait_until_started(self) -> None:
        """Wait for the libraries, and let the process read the token ids.

        Raises:
            ProcessFailed: one cannot be imported, or the artifact names another kind of model.
        """
        self.receive("start")
        self.ask("read", inputs=str(self.inputs), fixed_length=self.fixed_length)

    def load(self) -> None:
        """Load the artifact, once the process has started.

        Raises:
            ProcessFailed: it could not be loaded.
            NotFinite: its first answer holds NaN or infinity.
        """
        self.loaded = self.finite("load")

    def finite(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a command that calls the model, and wait for its report.

        Raises:
            ProcessFailed: the command raised an exception there, or the process died.
            NotFinite: the model's outputs hold NaN or infinity.
        """
        answer = self.ask(command, **arguments)
        if "not_finite" in answer:
            layer = answer["not_finite"]
            begins = f", first in {layer}" if layer else ""
            reason = (
                f"quant={self.side.quant.name} on runtime={self.side.runtime.name} computes NaN or infinity{begins}"
            )
            raise NotFinite(f"{reason}; choose another format or runtime")
        return answer

    def close(self) -> None:
        try:
            super().close()
        finally:
            self.scratch.cleanup()
