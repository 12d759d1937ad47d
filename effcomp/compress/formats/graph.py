"""A model as a function that can be traced: token ids in, logits out. Imported where a graph is made."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from effcomp.compress.formats.base import POSITIONS, Source
from effcomp.heads import Head
from effcomp.ragged import Batch


class Graph(nn.Module):
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
        """Logits (batch, classes), or (batch, positions, vocabulary)."""
        more: dict[str, Any] = {}
        if token_type_ids is not None:
            more["token_type_ids"] = token_type_ids
        if positions is not None:
            more["logits_to_keep"] = positions
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask, **more).logits
        return logits


def graph_of(model: PreTrainedModel) -> Graph:
    """The model in eval mode, without a cache: each call is a whole one."""
    model.config.use_cache = False
    return Graph(model).eval()


def example_inputs(source: Source) -> dict[str, Tensor]:
    """Two sequences of eight tokens, to trace with."""
    inputs = {name: torch.ones((2, 8), dtype=torch.int64) for name in source.columns}
    if source.head == "causal_lm":
        inputs[POSITIONS] = torch.arange(8)
    return inputs


def with_positions(batch: Batch, head: Head) -> Batch:
    """A batch as the graph takes it, all logits wanted."""
    if head != "causal_lm":
        return batch
    return {**batch, POSITIONS: torch.arange(batch["input_ids"].shape[1]).numpy()}
