"""OpenVINO, on the CPU."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from effcomp.artifact.file_format import FileFormat
from effcomp.artifact.openvino import GRAPH_FILE, OpenVino
from effcomp.core.batches import Batch
from effcomp.core.component import from_spec
from effcomp.core.device import Device
from effcomp.models.heads import Head
from effcomp.quant.base import Quant
from effcomp.quant.lowering import OpenVinoLowering, lowering
from effcomp.runtimes.base import Loaded, Ran, Runtime
from effcomp.runtimes.decoding import Decoded, decode_arrays, never
from effcomp.runtimes.drafts import check_writes
from effcomp.runtimes.graph import GraphModel

if TYPE_CHECKING:
    from openvino import CompiledModel
    from transformers import PretrainedConfig, PreTrainedTokenizerBase


SCALE_BYTES = 8
"""Bytes of the float32 scale and zero point of a token and head in an 8-bit cache."""


class OpenVinoRuntime(Runtime):
    """OpenVINO's CPU plugin."""

    id: ClassVar[str] = "runtime/openvino"
    file_format: ClassVar[FileFormat] = OpenVino()
    packages: ClassVar[tuple[str, ...]] = ("openvino",)
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    generates: ClassVar[bool] = True

    kv_cache: Literal["float", "u8"] = "float"
    """Type of a decoder's keys and values: that of the products, or 8 bits. These have a scale for each token and
    head."""

    def check_writing(
        self, head: Head, config: "PretrainedConfig", tokenizer: "PreTrainedTokenizerBase | None"
    ) -> None:
        if self.kv_cache != "float":
            check_writes(f"runtime.kv_cache={self.kv_cache}", head)

    def start(self, artifact: Path, device: Device) -> str:
        import openvino

        return " ".join(openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))

    def load(self, artifact: Path, device: Device) -> Loaded:
        from effcomp.artifact.description import read_description

        description = read_description(artifact)
        lowered = lowering(from_spec(description.quant, Quant), self.name, OpenVinoLowering)
        settings = {
            "INFERENCE_PRECISION_HINT": lowered.inference_precision,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": str(lowered.activation_group_size),
            "INFERENCE_NUM_THREADS": str(device.threads),
            "NUM_STREAMS": "1",
            "ENABLE_CPU_PINNING": "NO",  # two measured processes would be put on the same cores
            "KV_CACHE_PRECISION": "u8" if self.kv_cache == "u8" else lowered.inference_precision,
        }
        return OpenVinoModel(artifact / GRAPH_FILE, description.head, settings)


class OpenVinoModel(GraphModel):
    """Compiled model of OpenVINO."""

    def __init__(self, file: Path, head: Head, settings: dict[str, str]) -> None:
        self.file, self.settings = file, settings
        compiled = self.compile({})
        self.request = compiled.create_infer_request()
        super().__init__(head, {name for entry in compiled.inputs for name in entry.names})

    def compile(self, more: dict[str, str]) -> "CompiledModel":
        import openvino

        return openvino.Core().compile_model(self.file, "CPU", self.settings | more)

    def logits(self, inputs: Batch) -> NDArray[np.float32]:
        self.request.reset_state()
        return self.call(inputs)

    def call(self, inputs: Batch) -> NDArray[np.float32]:
        """Return the logits of a call that goes on from the state; `logits` begins anew."""
        found: NDArray[np.float32] = self.request.infer(inputs, share_inputs=True, share_outputs=True)[0].copy()
        return found

    def decode(self, batch: Batch, new_tokens: int, ended: Callable[[list[int]], bool] = never) -> Decoded:
        self.request.reset_state()
        written = decode_arrays(lambda inputs: self.call(self.own(inputs))[:, 0], batch, new_tokens, ended)
        written.cache_bytes = self.cache_bytes()
        return written

    def cache_bytes(self) -> int:
        """Return the bytes of keys and values. OpenVINO shows them converted to the graph's own type, so the bytes
        follow from their shapes and from the type that it holds them in."""
        held = self.request.get_compiled_model().get_property("KV_CACHE_PRECISION")
        shapes = [state.state.shape for state in self.request.query_state()]
        values = sum(int(np.prod(shape)) for shape in shapes)
        scales = sum(int(np.prod(shape[:-1])) for shape in shapes) if self.settings["KV_CACHE_PRECISION"] == "u8" else 0
        return values * int(held.size) + scales * SCALE_BYTES

    def ran(self, batch: Batch) -> list[Ran]:
        request = self.compile({"PERF_COUNT": "YES"}).create_infer_request()
        for _ in range(2):  # the first call makes kernels and orders weights; the last one's times are read
            request.infer(self.last(batch))
        calls: Counter[str] = Counter()
        seconds: Counter[str] = Counter()
        for node in request.profiling_info:
            if node.real_time.total_seconds() > 0:
                name = f"{node.node_type} {node.exec_type}"
                calls[name] += 1
                seconds[name] += node.real_time.total_seconds()
        return [Ran(name, calls[name], seconds[name]) for name in calls]

    def first_not_finite(self, batch: Batch) -> str | None:
        """Run the graph with the output of every floating-point operator; masks hold infinity on purpose, so NaN is
        looked for."""
        import openvino

        core = openvino.Core()
        model = core.read_model(self.file)
        answers_already = {one.get_node().input_value(0).get_node().get_friendly_name() for one in model.outputs}
        shown = [
            node
            for node in model.get_ordered_ops()
            if node.get_type_name() not in {"Constant", "Parameter", "Result"}
            and node.get_friendly_name() not in answers_already
            and node.get_output_size() == 1
            and node.get_output_element_type(0).is_real()
        ]
        first = len(model.outputs)
        model.add_outputs([node.output(0) for node in shown])
        answers = core.compile_model(model, "CPU", self.settings)(self.last(batch))
        for place, node in enumerate(shown, start=first):
            if np.isnan(answers[place]).any():
                name: str = node.get_friendly_name()
                return name
        return None
