"""The measured process: load one artifact, and answer commands until standard input closes.

    python -m effcomp.measure.worker

It is started fresh for each artifact, or forked from a template that has imported its libraries
(`effcomp.core.template`), so that its memory is the artifact's own. `effcomp.core.process` has the protocol, and
`effcomp.measure.client` the other end.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from effcomp.core import memory
from effcomp.core.batches import Ragged, batches_by_length
from effcomp.core.component import from_spec
from effcomp.core.device import Device
from effcomp.core.errors import first_line
from effcomp.core.garbage import no_garbage
from effcomp.core.process import leave, serve
from effcomp.core.progress import Progress
from effcomp.measure import scenarios
from effcomp.measure.generated_texts import generate_texts
from effcomp.measure.waiting import waited_ns, waited_share
from effcomp.runtimes.base import Loaded, Runtime
from effcomp.runtimes.decoding import Ending

SCENARIOS: dict[str, Callable[..., Any]] = {
    "single_stream": scenarios.single_stream_p90_ms,
    "offline": scenarios.offline_samples_per_s,
    "server": scenarios.server,
}


class WorkerCommands:
    """Commands, by their names. All times are in nanoseconds, all sizes in bytes."""

    artifact: Path
    device: Device
    runtime: Runtime
    inputs: Ragged
    """Token ids of the test, for the evaluation."""
    timed: Ragged
    """Token ids for the timed calls: those of the test, or cut to one length."""
    model: Loaded
    recorded: Loaded
    """The model in CUDA graphs, after `record`."""
    capability: str

    def start(
        self, modules: list[str], artifact: str, runtime: dict[str, Any], device: dict[str, Any]
    ) -> dict[str, Any]:
        """Import the libraries, which are not the artifact's memory or time.

        Args:
            modules: modules outside effcomp that define the components; the parent process has chosen them.
        """
        with no_garbage():
            for module in modules:
                import_module(module)
            self.artifact, self.device = Path(artifact), from_spec(device, Device)
            self.runtime = from_spec(runtime, Runtime)
            self.capability = self.runtime.start(self.artifact, self.device)
        return {}

    def read(self, inputs: str, fixed_length: int | None) -> dict[str, Any]:
        """Read the token ids.

        Args:
            fixed_length: time sequences of exactly this many tokens instead of the texts' own lengths.
        """
        self.inputs = Ragged.load(Path(inputs))
        self.timed = self.inputs if fixed_length is None else self.inputs.cut(fixed_length)
        return {}

    def load(self) -> dict[str, Any]:
        """Load the artifact; report the time and the added memory.

        The memory after loading is read after a first call: files are mapped, and a weight becomes resident when it is
        first read. A model whose first answer is not finite is not timed.
        """
        before = memory.rss_bytes()
        memory.reset_peak()
        start = time.perf_counter_ns()
        self.model = self.runtime.load(self.artifact, self.device)
        loaded = time.perf_counter_ns()
        first = self.timed.batch([0])
        calls = [self.model.timed(first)[0] for _ in range(3)]
        answer = {
            "load_ns": loaded - start,
            "first_call_ns": calls[0],
            "later_call_ns": min(calls[1:]),
            "library_rss": before,
            "rss": memory.rss_bytes(),
            "pss": memory.pss_bytes(),
            "peak_rss": memory.peak_rss_bytes(),
            "cpu_capability": self.capability,
        }
        if not np.isfinite(self.model(first)).all():
            return {"not_finite": self.model.first_not_finite(first)}
        return answer

    def record(self) -> dict[str, Any]:
        """Let `turn` have the model's calls recorded as CUDA graphs too, with nothing compiled; return `reason` where
        they cannot be."""
        from effcomp.runtimes.cuda_graphs import recorded

        try:
            self.recorded = recorded(self.model)
            self.recorded(self.timed.batch([0]))
        except Exception as error:  # whatever an architecture does that a graph cannot hold
            return {"reason": f"{type(error).__name__}: {first_line(error)}"}
        return {}

    def turn(self, batches: list[list[int]], recorded: bool = False) -> dict[str, Any]:
        """Time a call for each batch, after one untimed call of a single row that wakes threads and caches: the other
        process has used the processor in between.

        Args:
            recorded: call the graphs of `record`.
        """
        prepared, model = [self.timed.batch(indices) for indices in batches], self.recorded if recorded else self.model
        model.prepare(prepared)
        model(self.timed.batch(batches[0][:1]))
        waited = waited_ns()
        times = [model.timed(batch) for batch in prepared]
        wall_ns = [wall for wall, _ in times]
        gpu_ns = [gpu for _, gpu in times if gpu is not None]
        return {"ns": wall_ns, "gpu_ns": gpu_ns, "waited_share": waited_share(waited, wall_ns)}

    def generate(self, prompt: list[int], new_tokens: int) -> dict[str, Any]:
        """Decode after one prompt; the first time is that of the prompt, the others those of a token each."""
        ids = np.array([prompt], dtype=np.int64)
        batch = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        waited = waited_ns()
        step_ns = self.model.decode(batch, new_tokens + 1).step_ns
        return {"ns": step_ns, "waited_share": waited_share(waited, step_ns)}

    def write(self, file: str, batch_size: int, new_tokens: int, stop: list[str]) -> dict[str, Any]:
        """Generate a text after every prompt, and write the texts to the file (effcomp.measure.generated_texts)."""
        from transformers import AutoTokenizer

        ended = Ending(AutoTokenizer.from_pretrained(self.artifact), stop)
        written = generate_texts(self.model, self.inputs, batch_size, new_tokens, ended)
        finite = np.isfinite(written.losses)
        if not finite.all():
            return {"not_finite": self.model.first_not_finite(self.inputs.batch([int(finite.argmin())]))}
        written.save(Path(file))
        return {}

    def scenario(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Run one of MLPerf's scenarios; return the result of its function in effcomp.measure.scenarios."""
        offline = scenarios.OFFLINE_BATCH, len(self.timed) % scenarios.OFFLINE_BATCH
        self.prepare({*range(1, scenarios.SERVER_BATCH + 1), *offline} - {0})
        result = SCENARIOS[name](self.model, self.timed, **arguments)
        return {"result": asdict(result) if isinstance(result, scenarios.SustainedRate) else result}

    def work(self, batch_size: int, seconds: float) -> dict[str, Any]:
        """Keep the device busy for these seconds, for the energy counter; return the number of samples and the time."""
        self.prepare([batch_size])
        generator, done, start = np.random.default_rng(0), 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            self.model(self.timed.batch(generator.integers(0, len(self.timed), batch_size)))
            done += batch_size
        return {"samples": done, "seconds": elapsed}

    def prepare(self, batch_sizes: Iterable[int]) -> None:
        """Let the runtime prepare every shape that batches of these sizes can have."""
        _, examples = np.unique(self.timed.lengths, return_index=True)
        self.model.prepare(self.timed.batch([example] * size) for size in batch_sizes for example in examples)

    def probe(self, tokens: int | None) -> dict[str, Any]:
        """Return the numbers that the probes measure of the loaded model (effcomp.record.probe).

        Args:
            tokens: length of a text of `generate`, prompt and new tokens; None where nothing is generated.
        """
        from effcomp.record.probe import probes

        ids = None if tokens is None else np.resize(self.inputs.columns["input_ids"], (1, tokens)).astype(np.int64)
        context = None if ids is None else {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        found = {name: one.measure(self.model, context) for name, one in probes().items()}
        return {name: number for name, number in found.items() if number is not None}

    def reset_peak(self) -> dict[str, Any]:
        memory.reset_peak()
        return {"rss": memory.rss_bytes()}

    def peak(self) -> dict[str, Any]:
        gpu = memory.gpu_bytes(self.device) if self.device.kind == "cuda" else None
        return {"peak_rss": memory.peak_rss_bytes(), "gpu": gpu}

    def operations(self, artifact: str, shapes: list[tuple[int, int]]) -> dict[str, Any]:
        """Return the operations of a call with a batch of each shape; `reason` instead where they cannot be counted.

        Args:
            artifact: the other side's too: PyTorch counts them, which this process may have imported already.
        """
        from effcomp.measure import roofline

        try:
            return {"operations": [roofline.operations(Path(artifact), (rows, tokens)) for rows, tokens in shapes]}
        except Exception as error:  # whatever an architecture raises on tensors that hold nothing
            return {"reason": f"{type(error).__name__}: {first_line(error)}"}

    def bytes_read(self) -> dict[str, Any]:
        """Return the bytes that every call must read."""
        return {"bytes": self.runtime.file_format.bytes_read(self.artifact)}

    def machine_rates(self) -> dict[str, Any]:
        from effcomp.measure import roofline

        return roofline.machine_rates(self.device)

    def predict(self, file: str, batch_size: int) -> dict[str, Any]:
        """Predict every input, in batches of similar length, and write the outputs in the order of the inputs: the
        logits of the classes, or the losses of each block (their sum, their number). Outputs that are not finite end
        the command, and its answer names the layer where they begin."""
        from safetensors.numpy import save_file

        outputs, order = [], []
        with Progress("answering the test", len(self.inputs)) as progress:
            for indices in batches_by_length(self.inputs.lengths, batch_size):
                batch = self.inputs.batch(indices, labels=True)
                outputs.append(self.model.token_losses(batch) if self.inputs.has_labels else self.model(batch))
                if not np.isfinite(outputs[-1]).all():
                    return {"not_finite": self.model.first_not_finite(self.inputs.batch(indices))}
                order.append(indices)
                progress.add(len(indices))
        found = np.concatenate(outputs)
        restored = np.empty_like(found)
        restored[np.concatenate(order)] = found
        save_file({"outputs": restored}, file)
        return {}

    def kernels(self, batch: list[int]) -> dict[str, Any]:
        """Profile one call: return its operators, the slowest first, and the library's names of its products."""
        prepared = self.timed.batch(batch)
        ran = sorted(self.model.ran(prepared), key=lambda one: -one.seconds)
        return {"kernels": [asdict(one) for one in ran], "instructions": self.model.instructions(prepared)}


def main() -> None:
    logging.getLogger().setLevel(logging.ERROR)  # libraries that warn in every call would be timed with their warnings
    serve(WorkerCommands())
    leave()


if __name__ == "__main__":
    main()
