"""A decoder in PyTorch with the cache of one text, and drafts in PyTorch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from effcomp.artifact.description import ARTIFACT_FILE, read_description
from effcomp.artifact.folder import load_artifact
from effcomp.core.component import from_spec
from effcomp.models.base import load_checkpoint
from effcomp.quant.base import Quant
from effcomp.quant.lowering import TensorLowering, lowering
from effcomp.runtimes.decoding import cache_bytes
from effcomp.runtimes.drafts import longest_draft
from effcomp.runtimes.speculative import DraftModel


class TorchReader:
    """Decoder of transformers that reads one text and can take tokens back (effcomp.runtimes.speculative.Reader)."""

    def __init__(self, forward: Any, place: str) -> None:
        """Take the model; place: PyTorch's name of its device."""
        self.forward, self.place = forward, place
        self.cache: Any = None

    def begin(self, tokens: int) -> None:
        self.cache = None

    def read(self, tokens: Sequence[int], place: int, outputs: int) -> NDArray[np.float32]:
        if self.cache is not None and (further := self.cache.get_seq_length() - place) > 0:
            self.cache.crop(-further)
        with torch.inference_mode():
            answer = self.forward(
                input_ids=torch.tensor([list(tokens)], device=self.place),
                attention_mask=torch.ones(1, place + len(tokens), dtype=torch.int64, device=self.place),
                position_ids=torch.arange(place, place + len(tokens), device=self.place)[None],
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=outputs,
            )
            self.cache = answer.past_key_values
            found: NDArray[np.float32] = answer.logits[0].float().cpu().numpy()
        return found

    def cache_bytes(self) -> int:
        return cache_bytes(self.cache)


def load_draft(folder: Path, place: str) -> DraftModel:
    """Load an artifact that PyTorch runs, or a checkpoint in float32.

    Args:
        place: PyTorch's name of the device.
    """
    if (folder / ARTIFACT_FILE).exists():
        lowered = lowering(from_spec(read_description(folder).quant, Quant), "torch", TensorLowering)
        model = lowered.move(load_artifact(folder), place)
    else:
        model = load_checkpoint(folder, "causal_lm")[0].eval().to(place)
    return DraftModel(TorchReader(model, place), longest_draft(folder))
