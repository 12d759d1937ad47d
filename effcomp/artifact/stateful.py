"""Decoders as OpenVINO graphs that keep their keys and values from call to call.

The cache becomes state of the compiled model (`ReadValue` and `Assign`): the host hands in the new tokens only, and
OpenVINO's CPU plugin fuses the state with attention. `beam_idx`, the row of the state that each row of a call goes on
from, is what the plugin looks for; here it is the row itself. Imported where a graph is made.
"""

from typing import Any

import numpy as np
import openvino
import torch
from openvino import Model, PartialShape
from openvino import opset15 as operators
from openvino._offline_transformations import apply_make_stateful_transformation
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from effcomp.artifact.file_format import POSITIONS
from effcomp.core.errors import Skipped

INPUTS = ("input_ids", "attention_mask", "position_ids", POSITIONS)
BEAM_IDX = "beam_idx"


class GrowingCache:
    """Cache of a traced call: transformers calls `update` for each layer, in order."""

    def __init__(self, past: list[Tensor]) -> None:
        """past: keys and values of each layer in turn, (batch, key heads, tokens, features)."""
        self.past, self.present = past, list[Tensor]()

    def update(self, key: Tensor, value: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append keys and values to those of earlier calls, and return them all."""
        if self.past:
            key = torch.cat([self.past[2 * layer], key], dim=2)
            value = torch.cat([self.past[2 * layer + 1], value], dim=2)
        self.present += [key, value]
        return key, value


class CachedGraph(nn.Module):
    """Wrapper of a decoder that returns its logits, and the keys and values of each layer."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, positions: Tensor, past: list[Tensor]
    ) -> tuple[Tensor, ...]:
        """Return logits (batch, positions, vocabulary), then keys and values.

        Args:
            input_ids, position_ids: (batch, new tokens).
            attention_mask: (batch, earlier and new tokens).
            positions: (positions,), among the new tokens.
        """
        new, keys = input_ids.shape[1], attention_mask.shape[1]
        column, row = torch.arange(keys), torch.arange(new) + (keys - new)
        mask = attention_mask[:, None, None, :].bool() & (column[None, :] <= row[:, None])
        mask = mask | (column[None, :] == row[:, None])  # a padded row without any key gives NaN
        if self.model.config._attn_implementation == "eager":
            mask = torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min)
        cache = GrowingCache(past)
        logits: Tensor = self.model(
            input_ids=input_ids,
            attention_mask=mask,
            position_ids=position_ids,
            past_key_values=cache,
            logits_to_keep=positions,
        ).logits
        return (logits, *cache.present)


def stateful_model(model: PreTrainedModel) -> Model:
    """Convert a float32 decoder in eval mode into an OpenVINO graph with inputs INPUTS and BEAM_IDX.

    Raises:
        Skipped: a layer attends to a window of the last tokens.
    """
    if has_window(model.config):
        raise Skipped(f"runtime=openvino has no attention to a window, which {model.config.model_type} has; use torch")
    model.config.use_cache = False
    graph = CachedGraph(model).eval()
    ids = torch.ones((2, 4), dtype=torch.int64)
    with torch.no_grad():
        shapes = [one.shape for one in graph(ids, ids, ids, torch.arange(4), [])[1:]]
        example = {
            **dict.fromkeys(("input_ids", "position_ids"), ids),
            "attention_mask": torch.ones((2, 7), dtype=torch.int64),
            POSITIONS: torch.arange(4),
            "past": [torch.zeros(2, heads, 3, features) for _, heads, _, features in shapes],
        }
        converted = openvino.convert_model(graph, example_input=example)
    with_state(converted, [(heads, features) for _, heads, _, features in shapes])
    return converted


def has_window(config: PretrainedConfig) -> bool:
    """Tell whether a layer attends to the last tokens only. GPT-Neo's layers mask them themselves."""
    kinds = set(getattr(config, "layer_types", None) or ())
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    return window is not None if not kinds else bool(kinds - {"full_attention"})


def with_state(graph: Model, shapes: list[tuple[int, int]]) -> None:
    """Turn the inputs after INPUTS and the outputs after the logits into state, in place.

    Args:
        shapes: heads and features of each.
    """
    for name, place in zip(INPUTS, graph.inputs, strict=False):
        place.get_tensor().set_names({name})
        place.get_node().set_partial_shape(PartialShape([-1] * len(place.get_partial_shape())))
    beams = operators.parameter([-1], np.int32, name=BEAM_IDX)
    beams.output(0).get_tensor().set_names({BEAM_IDX})
    past, present = graph.inputs[len(INPUTS) :], graph.outputs[1:]
    graph.add_parameters([beams])
    pairs = {}
    for number, (before, after, (heads, features)) in enumerate(zip(past, present, shapes, strict=True)):
        before.get_tensor().set_names({f"past.{number}"})
        after.get_tensor().set_names({f"present.{number}"})
        pairs[f"past.{number}"] = f"present.{number}"
        before.get_node().set_partial_shape(PartialShape([-1, heads, -1, features]))
        users = before.get_target_inputs()
        rows = operators.gather(before, beams, operators.constant(0, np.int32))
        for user in users:
            user.replace_source_output(rows.output(0))
    graph.validate_nodes_and_infer_types()
    apply_make_stateful_transformation(graph, pairs)
    begin_empty(graph)


def begin_empty(graph: Model) -> None:
    """Let every state begin with no token, for as many rows as the call has."""
    ids = next(place for place in graph.inputs if "input_ids" in place.get_names())
    first = operators.constant([0], np.int64)
    rows = operators.gather(operators.shape_of(ids, "i64"), first, operators.constant(0, np.int64))
    for node in graph.get_ops():
        if node.get_type_name() == "ReadValue":
            _, heads, _, features = node.get_output_partial_shape(0)
            sizes = [operators.constant([size.get_length()], np.int64) for size in (heads, features)]
            shape = operators.concat([rows, sizes[0], first, sizes[1]], 0)
            node.set_arguments([operators.broadcast(operators.constant(np.float32(0)), shape).output(0)])
    graph.validate_nodes_and_infer_types()
