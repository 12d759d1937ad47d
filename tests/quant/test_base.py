"""Rules that all number formats share."""

from pathlib import Path

import pytest
import torch

from effcomp.artifact.folder import load_artifact
from effcomp.models.base import load_checkpoint
from tests.small_artifacts import write_small


@pytest.mark.parametrize("name", ["bf16", "fp16", "int4", "int3", "int2"])
def test_rotary_frequencies_stay_float32(name: str, tiny_llama: Path, tmp_path: Path) -> None:
    model, _ = load_checkpoint(tiny_llama, "causal_lm")
    artifact = write_small(tiny_llama, tmp_path / name, "causal_lm", quant=name)
    for runtime in ("torch", "cuda_graphs"):
        loaded = load_artifact(artifact, runtime)
        frequencies = {name: buffer for name, buffer in loaded.named_buffers() if name.endswith("inv_freq")}
        assert frequencies
        for buffer_name, buffer in frequencies.items():
            assert torch.equal(buffer, model.get_buffer(buffer_name))
        assert loaded.get_parameter("model.norm.weight").dtype in (torch.bfloat16, torch.float16)
