"""PyTorch, eager or compiled."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effcomp.device import Device
from effcomp.ragged import Batch
from effcomp.runtimes.base import Predictor, Runtime


class Torch(Runtime):
    compiled: bool
    """Compile the model with torch.compile (Inductor), for every batch and length at once."""

    def start(self, artifact: Path, device: Device) -> str:
        import torch

        from effcomp.compress.artifact import import_libraries

        assert device.threads is not None, "a resolved device has its threads counted"
        torch.set_num_threads(device.threads)
        if device.kind == "cuda":
            torch.cuda.init()
        import_libraries(artifact)
        return torch.backends.cpu.get_cpu_capability()

    def load(self, artifact: Path, device: Device) -> Predictor:
        import torch

        from effcomp.compress.artifact import load_artifact

        model = load_artifact(artifact).to(device.torch_name)
        forward = torch.compile(model, dynamic=True) if self.compiled else model

        def predict(batch: Batch) -> NDArray[np.float32]:
            with torch.inference_mode():
                inputs = {name: torch.from_numpy(ids).to(device.torch_name) for name, ids in batch.items()}
                logits: NDArray[np.float32] = forward(**inputs).logits.float().cpu().numpy()
            return logits

        return predict
