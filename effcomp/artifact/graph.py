"""Models as functions that can be traced: token ids in, logits out.

Imported where a graph is made: it needs PyTorch.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from effcomp.artifact.file_format import POSITIONS, Source, every_position
from effcomp.core.batches import Batch
from effcomp.models.heads import Head


class Graph(nn.Module):
    """Wrapper of a transformers model that returns its logits only."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """Return logits (batch, classes), or (batch, positions, vocabulary)."""
        more: dict[str, Any] = {}
        if token_type_ids is not None:
            more["token_type_ids"] = token_type_ids
        if positions is not None:
            more["logits_to_keep"] = positions
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask, **more).logits
        return logits


def graph_of(model: PreTrainedModel) -> Graph:
    """Wrap a model in eval mode without a cache: each call computes the whole sequence."""
    model.config.use_cache = False
    return Graph(model).eval()


def example_inputs(source: Source) -> dict[str, Tensor]:
    """Return two sequences of eight tokens to trace with."""
    inputs = {name: torch.ones((2, 8), dtype=torch.int64) for name in source.columns}
    if source.head == "causal_lm":
        inputs[POSITIONS] = torch.arange(8)
    return inputs


def calibration_inputs(samples: list[Batch], head: Head, names: set[str]) -> list[Batch]:
    """Return training examples as the graph takes them, by the names of its inputs, with the logits of every
    position."""
    return [every_position(batch, head, names) for batch in samples]
