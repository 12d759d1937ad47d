"""PyTorch, eager or compiled."""

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from effcomp.compress.quant.base import Quant
from effcomp.device import Device
from effcomp.errors import UserError
from effcomp.heads import Head
from effcomp.part import from_spec
from effcomp.ragged import LABELS, Batch
from effcomp.runtimes.base import Loaded, Runtime

if TYPE_CHECKING:
    from torch import Tensor, nn


class Torch(Runtime):
    """Eager."""

    generates: ClassVar[bool] = True

    def start(self, artifact: Path, device: Device) -> str:
        import torch

        from effcomp.compress.artifact import import_libraries

        assert device.threads is not None, "a resolved device has its threads counted"
        torch.set_num_threads(device.threads)
        if device.kind == "cuda":
            torch.cuda.init()
        import_libraries(artifact)
        return torch.backends.cpu.get_cpu_capability()

    def prepared(self, model: "nn.Module") -> Any:
        """What is called: the model as it is."""
        return model

    def load(self, artifact: Path, device: Device) -> Loaded:
        from effcomp.compress.artifact import load_artifact, read_description

        description = read_description(artifact)
        model = from_spec(description.quant, Quant).moved(load_artifact(artifact), device.torch_name)
        return TorchModel(self.prepared(model), description.head, device.torch_name)


class Compiled(Torch):
    """torch.compile with Inductor, for every batch and length at once."""

    generates: ClassVar[bool] = False  # the cache grows at each token, and the model is translated again
    compiles: ClassVar[bool] = True

    def check(self) -> None:
        if not any(map(shutil.which, ("c++", "g++", "clang++"))):
            raise UserError(f"runtime={self.name} needs a C++ compiler, and there is none: use runtime=torch")

    def prepared(self, model: "nn.Module") -> Any:
        import torch

        return torch.compile(model, dynamic=True)


class TorchModel(Loaded):
    def __init__(self, forward: Any, head: Head, place: str) -> None:
        self.forward, self.head, self.place = forward, head, place

    def tensors(self, batch: Batch) -> "dict[str, Tensor]":
        import torch

        return {name: torch.from_numpy(ids).to(self.place) for name, ids in batch.items()}

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            match self.head:
                case "sequence_classification":
                    logits = self.forward(**self.tensors(batch)).logits
                case "masked_lm":
                    logits = self.forward(**self.tensors(batch)).logits[:, 0]
                case "causal_lm":  # as a server reads a prompt: the next token alone, and the cache kept
                    logits = self.forward(**self.tensors(batch), logits_to_keep=1, use_cache=True).logits[:, -1]
            host: NDArray[np.float32] = logits.float().cpu().numpy()
        return host

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

    def generate(self, batch: Batch, new_tokens: int) -> list[int]:
        import torch

        times = []
        with torch.inference_mode():
            inputs = self.tensors(batch)
            mask, start = inputs["attention_mask"], time.perf_counter_ns()
            outputs = self.forward(input_ids=inputs["input_ids"], attention_mask=mask, logits_to_keep=1, use_cache=True)
            for step in range(new_tokens + 1):
                token = outputs.logits[:, -1].argmax(dim=-1, keepdim=True)
                token.cpu()  # a server sends each token when it has it
                times.append(time.perf_counter_ns() - start)
                if step < new_tokens:
                    mask, start = torch.cat([mask, torch.ones_like(token)], dim=1), time.perf_counter_ns()
                    outputs = self.forward(
                        input_ids=token, attention_mask=mask, past_key_values=outputs.past_key_values, use_cache=True
                    )
        return times

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
            counts = (labels != -100).sum(dim=1)
        return np.stack([torch.stack(sums).double().cpu().numpy(), counts.double().cpu().numpy()], axis=1)
