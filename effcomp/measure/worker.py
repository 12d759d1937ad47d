"""The measured process: loads one artifact, and answers commands until its standard input closes.

    python -m effcomp.measure.worker

Each command is one line of JSON on standard input, each answer one line on standard output; whatever
a library prints goes to standard error. Started fresh for each artifact, so its memory is the
artifact's own. `effcomp.measure.client` is the other end.
"""

import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from effcomp.device import Device
from effcomp.measure import memory
from effcomp.part import from_spec
from effcomp.ragged import Ragged, batches_by_length
from effcomp.runtimes.base import Loaded, Runtime


class Server:
    """The commands, by their names. All times are in nanoseconds, all sizes in bytes."""

    artifact: Path
    device: Device
    runtime: Runtime
    inputs: Ragged
    model: Loaded
    capability: str

    def start(self, artifact: str, inputs: str, runtime: dict[str, Any], device: dict[str, Any]) -> dict[str, Any]:
        """Import the libraries, which are not the artifact's memory or time, and read the token ids."""
        self.artifact, self.device = Path(artifact), from_spec(device, Device)
        self.runtime, self.inputs = from_spec(runtime, Runtime), Ragged.load(Path(inputs))
        self.capability = self.runtime.start(self.artifact, self.device)
        return {}

    def load(self) -> dict[str, Any]:
        """Load the artifact; report what that took and what it added to memory.

        The memory after loading is read behind a first call: files are mapped, and a weight counts as
        resident once it has been touched.
        """
        before = memory.rss_bytes()
        memory.reset_peak()
        start = time.perf_counter_ns()
        self.model = self.runtime.load(self.artifact, self.device)
        loaded = time.perf_counter_ns()
        self.model(self.inputs.batch([0]))
        return {
            "load_ns": loaded - start,
            "first_call_ns": time.perf_counter_ns() - loaded,
            "library_rss": before,
            "rss": memory.rss_bytes(),
            "peak_rss": memory.peak_rss_bytes(),
            "cpu_capability": self.capability,
        }

    def turn(self, batches: list[list[int]]) -> dict[str, Any]:
        """Time a call for each batch, behind one untimed call of a single row: the other process has had
        the processor, and this one's threads and caches must wake first."""
        prepared = [self.inputs.batch(indices) for indices in batches]
        self.model(self.inputs.batch(batches[0][:1]))
        times = []
        for batch in prepared:
            start = time.perf_counter_ns()
            self.model(batch)
            times.append(time.perf_counter_ns() - start)
        return {"ns": times}

    def reset_peak(self) -> dict[str, Any]:
        memory.reset_peak()
        return {"rss": memory.rss_bytes()}

    def peak(self) -> dict[str, Any]:
        return {"peak_rss": memory.peak_rss_bytes()}

    def evaluate(self, file: str, batch_size: int) -> dict[str, Any]:
        """Predict every input, in batches of like length; write the outputs in the order of the inputs: the logits
        of the classes, or of each block the losses (their sum, their number)."""
        from safetensors.numpy import save_file

        outputs, order = [], []
        for indices in batches_by_length(self.inputs.lengths, batch_size):
            batch = self.inputs.batch(indices, labels=True)
            outputs.append(self.model.token_losses(batch) if self.inputs.has_labels else self.model(batch))
            order.append(indices)
        found = np.concatenate(outputs)
        restored = np.empty_like(found)
        restored[np.concatenate(order)] = found
        save_file({"outputs": restored}, file)
        return {}

    def kernels(self, batch: list[int], most: int) -> dict[str, Any]:
        """The operators that really run in one call, by their own time: name, calls, share."""
        from torch.profiler import ProfilerActivity, profile

        prepared = self.inputs.batch(batch)
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            self.model(prepared)
        events = sorted(profiler.key_averages(), key=lambda event: -event.self_cpu_time_total)
        total = sum(event.self_cpu_time_total for event in events) or 1.0
        return {
            "kernels": [
                {
                    "name": event.key,
                    "calls": event.count,
                    "share": round(event.self_cpu_time_total / total, 4),
                }
                for event in events[:most]
            ]
        }


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # prints of libraries must not reach the pipe
    # It logs a line for each float32 input of each layer, though the cast is part of the format, and one at import.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    server = Server()
    for line in sys.stdin:
        request = json.loads(line)
        command: Callable[..., dict[str, Any]] = getattr(server, request.pop("command"))
        try:
            answer = command(**request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
