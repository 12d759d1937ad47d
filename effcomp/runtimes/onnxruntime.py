"""ONNX Runtime, on the CPU."""

import json
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from effcomp.artifact.file_format import FileFormat
from effcomp.artifact.onnx import GRAPH_FILE, PAST, PRESENT, Onnx, cache_inputs, with_empty_cache
from effcomp.core.batches import Batch
from effcomp.core.device import Device
from effcomp.models.heads import Head
from effcomp.runtimes.base import Loaded, Ran, Runtime
from effcomp.runtimes.decoding import Decoded, decode_arrays, never
from effcomp.runtimes.graph import GraphModel

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

PROVIDERS = ["CPUExecutionProvider"]


class OnnxRuntime(Runtime):
    """ONNX Runtime's CPU execution provider."""

    id: ClassVar[str] = "runtime/onnxruntime"
    file_format: ClassVar[FileFormat] = Onnx()
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    generates: ClassVar[bool] = True

    def start(self, artifact: Path, device: Device) -> str:
        import onnxruntime

        return f"ONNX Runtime {onnxruntime.__version__}, MLAS"

    def load(self, artifact: Path, device: Device) -> Loaded:
        from effcomp.artifact.description import read_description

        assert device.threads is not None, "a resolved device has its threads counted"
        return OnnxModel(artifact / GRAPH_FILE, read_description(artifact).head, device.threads)


class OnnxModel(GraphModel):
    """Session of ONNX Runtime."""

    def __init__(self, file: Path, head: Head, threads: int) -> None:
        self.file, self.threads = file, threads
        self.session = self.open()
        self.cache = cache_inputs(self.session)
        super().__init__(head, {entry.name for entry in self.session.get_inputs()})

    def own(self, given: Batch) -> Batch:
        return with_empty_cache(self.cache, super().own(given))

    def open(self, profile: Path | None = None) -> "InferenceSession":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        # By default the threads of its pool spin while they wait, on the cores of the process that is measured in turn.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.log_severity_level = 3
        if profile is not None:
            options.enable_profiling, options.profile_file_prefix = True, str(profile)
        return onnxruntime.InferenceSession(self.file, options, providers=PROVIDERS)

    def logits(self, inputs: Batch) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self.session.run(["logits"], inputs)[0]
        return found

    def decode(self, batch: Batch, new_tokens: int, ended: Callable[[list[int]], bool] = never) -> Decoded:
        """Decode greedily. Keys and values stay with ONNX Runtime from call to call: an output is bound as the next
        call's input, and nothing is copied."""
        from onnxruntime import OrtValue

        past = {
            name: OrtValue.ortvalue_from_numpy(array) for name, array in self.own(batch).items() if name in self.cache
        }

        def step(inputs: Batch) -> NDArray[np.float32]:
            binding = self.session.io_binding()
            for name in self.names - self.cache.keys():
                binding.bind_cpu_input(name, np.ascontiguousarray(inputs[name]))
            for name, value in past.items():
                binding.bind_ortvalue_input(name, value)
            for output in ("logits", *(name.replace(PAST, PRESENT, 1) for name in past)):
                binding.bind_output(output)
            self.session.run_with_iobinding(binding)
            logits, *present = binding.get_outputs()
            past.update(zip(past, present, strict=True))
            found: NDArray[np.float32] = logits.numpy()[:, 0]
            return found

        written = decode_arrays(step, batch, new_tokens, ended)
        written.cache_bytes = sum(value.numpy().nbytes for value in past.values())
        return written

    def ran(self, batch: Batch) -> list[Ran]:
        with tempfile.TemporaryDirectory() as folder:
            session = self.open(Path(folder) / "profile")
            for _ in range(2):  # the first call allocates memory and orders weights
                session.run(None, self.last(batch))
            events = json.loads(Path(session.end_profiling()).read_text())
        calls: Counter[tuple[str, str]] = Counter()
        microseconds: Counter[tuple[str, str]] = Counter()
        second = max(event["ts"] for event in events if event["name"] == "model_run")
        for event in events:
            arguments = event.get("args", {})
            if event["cat"] == "Node" and "op_name" in arguments and event["ts"] >= second:
                key = (arguments["op_name"], arguments["provider"])
                calls[key] += 1
                microseconds[key] += event["dur"]
        return [Ran(name, calls[name, who], microseconds[name, who] / 1e6, who) for name, who in calls]

    def first_not_finite(self, batch: Batch) -> str | None:
        """Run the graph with the output of every node; masks hold infinity on purpose, so NaN is looked for."""
        import onnx
        import onnxruntime

        graph = onnx.load(self.file)
        names = [name for node in graph.graph.node for name in node.output if name]
        known = {output.name for output in graph.graph.output}
        graph.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=PROVIDERS)
        answers = dict(zip(names, session.run(names, self.last(batch)), strict=True))
        return next((name for name, array in answers.items() if holds_nan(array)), None)


def holds_nan(array: object) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.kind == "f" and bool(np.isnan(array).any())
