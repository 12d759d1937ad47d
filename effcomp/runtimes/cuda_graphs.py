"""PyTorch compiled with Inductor and recorded as CUDA graphs: a call is one launch.

A small model on a large GPU spends its time launching kernels. The block that a transformer repeats is compiled once
with dynamic shapes; each number of rows and bucket of lengths is recorded at its first call, which takes milliseconds.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from effcomp.core.batches import Batch
from effcomp.core.device import Device
from effcomp.models.heads import Head
from effcomp.runtimes.base import Loaded
from effcomp.runtimes.decoding import Decoded, never
from effcomp.runtimes.torch import Compiled, CompiledModel, TorchModel

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from effcomp.runtimes.recorded_decoding import RecordedDecoders

BUCKET = 32
"""Lengths are padded to a multiple of this many tokens; shorter ones to a power of two."""


class CudaGraphs(Compiled):
    """torch.compile and CUDA graphs; compiled kernels dequantize weights in each call, or multiply codes."""

    id: ClassVar[str] = "runtime/cuda_graphs"
    devices: ClassVar[tuple[str, ...]] = ("cuda",)
    records: ClassVar[bool] = True
    capability: ClassVar[tuple[int, int]] = (8, 0)  # bfloat16

    def prepared(self, model: "nn.Module") -> "nn.Module":
        import torch._dynamo
        import torch._inductor.config
        from torch import nn

        from effcomp.quant.fused_block import compile_fused, fuse_activations
        from effcomp.quant.fused_linear import FloatLinear
        from effcomp.quant.stacked import stack_layers
        from effcomp.runtimes.one_token import use_one_token_attention
        from effcomp.runtimes.static_cache import use_cached_blocks

        stack_layers(model)
        for layer in model.modules():
            if type(layer) is nn.Linear:
                layer.__class__ = FloatLinear
        fuse_activations(model)
        blocks = use_cached_blocks(model)
        torch._dynamo.config.recompile_limit = 8 * len(blocks)  # pruned blocks have shapes of their own
        torch._inductor.config.triton.enable_pdl = True  # from Hopper on a kernel starts while the one before it ends
        use_one_token_attention(model)
        for block in blocks:
            block.compile(dynamic=True, backend=compile_fused)
        return model

    def load(self, artifact: Path, device: Device) -> Loaded:
        from effcomp.artifact.description import read_description
        from effcomp.artifact.folder import load_artifact

        model = load_artifact(artifact, self.name).to(device.torch_name)
        model.config.use_cache = False
        return GraphedModel(self.prepared(model), read_description(artifact).head, device.torch_name)


@dataclass(frozen=True)
class Recorded:
    """Recorded graph of one shape, with the memory that it reads and writes."""

    graph: "torch.cuda.CUDAGraph"
    pinned: "Tensor"
    """Token columns on the host, (columns, rows, length) int64."""
    inputs: "Tensor"
    """Copy of `pinned` on the device."""
    outputs: "Tensor"
    """Logits on the device, (rows, classes) float32."""
    answer: "Tensor"
    """Copy of `outputs` on the host, pinned."""

    def __call__(self) -> NDArray[np.float32]:
        """Compute the logits of the inputs in `pinned`."""
        import torch

        self.inputs.copy_(self.pinned, non_blocking=True)
        self.graph.replay()
        self.answer.copy_(self.outputs, non_blocking=True)
        torch.cuda.current_stream().synchronize()
        found: NDArray[np.float32] = self.answer.numpy().copy()
        return found


def recorded(model: Loaded) -> "GraphedModel":
    """Return a loaded eager model on a GPU with its calls recorded as they are: nothing is compiled or changed, and
    texts have their own lengths."""
    assert isinstance(model, TorchModel), "only PyTorch's calls are recorded"
    return GraphedModel(model.forward, model.head, model.place, recorded_length=lambda width: width)


def bucket(width: int) -> int:
    """Return the recorded length for texts of this length."""
    return -(-width // BUCKET) * BUCKET if width > BUCKET else 1 << (width - 1).bit_length()


class GraphedModel(CompiledModel):
    """Model whose calls are recorded as CUDA graphs, one for each batch size and bucket of lengths."""

    keeps_cache: ClassVar[bool] = False

    def __init__(self, forward: Any, head: Head, place: str, recorded_length: Callable[[int], int] = bucket) -> None:
        """Take the padding token of the model's config, which fills a sequence up to its bucket; the attention mask
        excludes it.

        Args:
            recorded_length: function from the length of a batch to that of the graph that it is computed with.
        """
        import torch

        super().__init__(forward, head, place)
        self.recorded_length = recorded_length
        self.padding = getattr(forward.config, "pad_token_id", None) or 0
        self.recorded: dict[tuple[tuple[str, ...], int, int], Recorded] = {}
        self.pool = torch.cuda.graph_pool_handle()
        self.decoders: RecordedDecoders | None = None

    def prepare(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            self.recorded_for(batch)

    def recorded_for(self, batch: Batch) -> Recorded:
        """Return the graph for the batch's number of rows and length, recorded at its first call."""
        columns, (rows, width) = tuple(batch), batch["input_ids"].shape
        key = columns, rows, self.recorded_length(width)
        if key not in self.recorded:
            self.recorded[key] = self.record(*key)
        return self.recorded[key]

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        recorded, columns, width = self.recorded_for(batch), tuple(batch), batch["input_ids"].shape[1]
        length = recorded.pinned.shape[-1]
        # A decoder that goes on from its last column has the padding before its text.
        text = slice(length - width, None) if self.head == "causal_lm" else slice(width)
        pinned = recorded.pinned.numpy()
        pinned[:] = 0
        pinned[columns.index("input_ids")] = self.padding
        for index, name in enumerate(columns):
            pinned[index, :, text] = batch[name]
        return recorded()

    def decode(self, batch: Batch, new_tokens: int, ended: Callable[[list[int]], bool] = never) -> Decoded:
        from effcomp.runtimes.recorded_decoding import RecordedDecoders, slots_for

        if self.decoders is None:
            self.decoders = RecordedDecoders(self.forward, self.pool)
        rows, width = batch["input_ids"].shape
        tokens = max(2, bucket(width))
        return self.decoders.of(rows, slots_for(tokens + new_tokens)).decode(batch, tokens, new_tokens, ended)

    def record(self, columns: tuple[str, ...], rows: int, length: int) -> Recorded:
        """Record the model's call with this shape."""
        import torch

        from effcomp.runtimes.recorded_decoding import capture

        inputs = torch.ones(len(columns), rows, length, dtype=torch.int64, device=self.place)
        inputs[:, 0, 0] = 0  # transformers inspects a mask before recording, and branches on gaps
        named = dict(zip(columns, inputs, strict=True))
        graph, outputs = capture(lambda: self.logits(named).float(), self.pool)
        on_host = torch.empty(inputs.shape, dtype=torch.int64).pin_memory()
        return Recorded(graph, on_host, inputs, outputs, torch.empty(outputs.shape).pin_memory())
