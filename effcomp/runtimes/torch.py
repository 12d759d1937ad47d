"""PyTorch, eager or compiled."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from effcomp.artifact.file_format import FileFormat
from effcomp.artifact.safetensors import Safetensors
from effcomp.core.batches import IGNORED, LABELS, Batch
from effcomp.core.component import from_spec
from effcomp.core.device import Device
from effcomp.core.errors import UserError
from effcomp.models.folder import check_folder
from effcomp.models.heads import Head
from effcomp.quant.base import Quant
from effcomp.quant.lowering import TensorLowering, lowering
from effcomp.runtimes.base import Loaded, Ran, Runtime
from effcomp.runtimes.decoding import Decoded, decode, never, with_position_ids
from effcomp.runtimes.drafts import Drafts
from effcomp.runtimes.speculative import Speculation

if TYPE_CHECKING:
    from torch import Tensor, nn


class PyTorch(Runtime):
    """Base class of the runtimes in PyTorch."""

    file_format: ClassVar[FileFormat] = Safetensors()
    libraries: ClassVar[tuple[str, ...]] = ("accelerate", "torch", "transformers.modeling_utils")
    generates: ClassVar[bool] = True

    def start(self, artifact: Path, device: Device) -> str:
        import torch

        from effcomp.artifact.folder import import_libraries

        assert device.threads is not None, "a resolved device has its threads counted"
        torch.set_num_threads(device.threads)
        if device.kind == "cuda":
            torch.cuda.set_device(device.index)  # streams, events and graphs are those of the current device
        import_libraries(artifact)
        return torch.backends.cpu.get_cpu_capability()

    def prepared(self, model: "nn.Module") -> Any:
        """Return the function to call: the model itself."""
        return model

    def loaded(self, forward: Any, head: Head, place: str) -> "TorchModel":
        """Wrap the prepared model for the measured process; place: PyTorch's name of the device."""
        return TorchModel(forward, head, place)

    def load(self, artifact: Path, device: Device) -> Loaded:
        from effcomp.artifact.description import read_description
        from effcomp.artifact.folder import load_artifact

        description = read_description(artifact)
        lowered = lowering(from_spec(description.quant, Quant), self.name, TensorLowering)
        model = lowered.move(load_artifact(artifact, self.name), device.torch_name)
        return self.loaded(self.prepared(model), description.head, device.torch_name)


class Torch(Drafts, PyTorch):
    """Eager PyTorch."""

    id: ClassVar[str] = "runtime/torch"

    def check(self) -> None:
        super().check()
        if isinstance(self.draft, Path):
            check_folder(self.draft, "runtime.draft", weights=True)

    def load(self, artifact: Path, device: Device) -> Loaded:
        loaded = super().load(artifact, device)
        if self.draft is not None and isinstance(loaded, TorchModel):
            from effcomp.runtimes.torch_reader import TorchReader, load_draft

            model = load_draft(self.draft, device.torch_name) if isinstance(self.draft, Path) else None
            loaded.speculation = Speculation(TorchReader(loaded.forward, device.torch_name), model)
        return loaded


class Compiled(PyTorch):
    """torch.compile with Inductor, with dynamic shapes."""

    id: ClassVar[str] = "runtime/compile"
    compiles: ClassVar[bool] = True

    def check(self) -> None:
        super().check()
        if not any(map(shutil.which, ("c++", "g++", "clang++"))):
            raise UserError(f"runtime={self.name} needs a C++ compiler (c++, g++ or clang++); use runtime=torch")

    def start(self, artifact: Path, device: Device) -> str:
        import torch._dynamo
        import torch._inductor.compile_fx  # else the first call of torch.compile would import it

        # After its limit of recompilations PyTorch would continue without compiling, with a line in a log.
        torch._dynamo.config.fail_on_recompile_limit_hit = True
        return super().start(artifact, device)

    def prepared(self, model: "nn.Module") -> Any:
        import torch

        return torch.compile(model, dynamic=True)

    def loaded(self, forward: Any, head: Head, place: str) -> "TorchModel":
        return CompiledModel(forward, head, place)


class TorchModel(Loaded):
    """Model in PyTorch on one device."""

    keeps_cache: ClassVar[bool] = True
    """True where a decoder keeps keys and values for its next token, as a server does that reads a prompt."""

    def __init__(self, forward: Any, head: Head, place: str) -> None:
        self.forward, self.head, self.place = forward, head, place

    def tensors(self, batch: Batch) -> "dict[str, Tensor]":
        import torch

        return {name: torch.from_numpy(ids).to(self.place) for name, ids in batch.items()}

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            host: NDArray[np.float32] = self.logits(self.tensors(batch)).float().cpu().numpy()
        return host

    def logits(self, inputs: "dict[str, Tensor]") -> "Tensor":
        """Return logits (rows, classes), or for language models those of one position, (rows, vocabulary)."""
        found: Tensor
        match self.head:
            case "sequence_classification":
                found = self.forward(**inputs).logits
            case "masked_lm":
                found = self.forward(**inputs).logits[:, 0]
            case "causal_lm":
                found = self.forward(**inputs, logits_to_keep=1, use_cache=self.keeps_cache).logits[:, -1]
        return found

    def timed(self, batch: Batch) -> tuple[int, int | None]:
        if self.place == "cpu":
            return super().timed(batch)
        import torch

        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize(self.place)
        start = time.perf_counter_ns()
        begin.record()
        self(batch)  # its answer is copied to the host, which waits for the device
        end.record()
        wall = time.perf_counter_ns() - start
        end.synchronize()
        return wall, round(begin.elapsed_time(end) * 1e6)

    def ran(self, batch: Batch) -> list[Ran]:
        from torch.profiler import ProfilerActivity, profile

        gpu = self.place != "cpu"
        with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]) as profiler:
            self(batch)
        events = profiler.key_averages()
        if not gpu:
            return [Ran(e.key, e.count, e.self_cpu_time_total / 1e6) for e in events]
        # Only kernels have a time here; the host's operators that launch them are listed without one.
        return [
            Ran(e.key, e.count, e.self_device_time_total / 1e6 if e.device_type.name == "CUDA" else 0.0) for e in events
        ]

    def instructions(self, batch: Batch) -> list[str]:
        return onednn_implementations(lambda: self(batch))

    def first_not_finite(self, batch: Batch) -> str | None:
        import torch

        model = getattr(self.forward, "_orig_mod", self.forward)  # torch.compile shows no layers
        if not isinstance(model, torch.nn.Module):
            return None
        found: list[str] = []

        def watch(name: str) -> Callable[..., None]:
            def look(layer: "nn.Module", inputs: object, output: object) -> None:
                if isinstance(output, torch.Tensor) and output.is_floating_point() and not output.isfinite().all():
                    found.append(name)

            return look

        hooks = [layer.register_forward_hook(watch(name)) for name, layer in model.named_modules() if name]
        try:
            with torch.inference_mode():
                model(**self.tensors(batch))
        finally:
            for hook in hooks:
                hook.remove()
        return found[0] if found else None

    def decode(self, batch: Batch, new_tokens: int, ended: Callable[[list[int]], bool] = never) -> Decoded:
        if self.speculation is not None:
            return self.speculation.decode(batch, new_tokens, ended)
        return decode(self.forward, self.tensors(batch), new_tokens, ended)

    def token_losses(self, batch: Batch) -> NDArray[np.float64]:
        import torch
        from torch.nn.functional import cross_entropy

        with torch.inference_mode():
            inputs = self.tensors(batch)
            labels = inputs.pop(LABELS)
            logits = self.forward(**inputs).logits
            if self.head == "causal_lm":  # the logits at a position are of the next token
                logits, labels = logits[:, :-1], labels[:, 1:]
            sums = [
                cross_entropy(row.float(), target, reduction="sum") for row, target in zip(logits, labels, strict=True)
            ]
            counts = (labels != IGNORED).sum(dim=1)
        return np.stack([torch.stack(sums).double().cpu().numpy(), counts.double().cpu().numpy()], axis=1)


class CompiledModel(TorchModel):
    """Compiled model. A decoder is compiled once for prompts and once for the tokens after them, each for one row and
    for several."""

    def logits(self, inputs: "dict[str, Tensor]") -> "Tensor":
        return super().logits(with_position_ids(inputs) if self.head == "causal_lm" else inputs)

    def decode(self, batch: Batch, new_tokens: int, ended: Callable[[list[int]], bool] = never) -> Decoded:
        import torch

        with torch.inference_mode():  # tensors from outside of it would be compiled separately
            return decode(self.packed, self.tensors(batch), new_tokens, ended)

    def packed(self, **inputs: Any) -> Any:
        """Call the model with a contiguous cache, as those of later tokens are: other strides would be compiled
        separately."""
        for layer in inputs["past_key_values"].layers if "past_key_values" in inputs else []:
            layer.keys, layer.values = layer.keys.contiguous(), layer.values.contiguous()
        return self.forward(**inputs)


def onednn_implementations(call: Callable[[], object]) -> list[str]:
    """Return the implementations that oneDNN chose for the products of one call: `matmul bf16 brg:avx512_core_bf16`.

    oneDNN writes them to the C library's standard output, which is redirected to a file during the call.
    """
    import ctypes

    import torch

    if not torch.backends.mkldnn.is_available():
        return []
    library, kept = ctypes.CDLL(None), os.dup(1)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 1)
        try:
            with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
                call()
            library.fflush(None)
        finally:
            os.dup2(kept, 1)
            os.close(kept)
        written.seek(0)
        lines = written.read().decode(errors="replace").splitlines()
    found = set()
    for line in lines:  # onednn_verbose,v1,primitive,exec,cpu,matmul,brg:avx512_core_bf16,undef,src:bf16:a:...
        fields = line.partition("primitive,exec,cpu,")[2].split(",")
        if len(fields) > 3 and fields[0] in {"matmul", "inner_product"}:
            found.add(
                f"{fields[0]} {fields[3].removeprefix('src:').partition(':')[0].removeprefix('src_')} {fields[1]}"
            )
    return sorted(found)
