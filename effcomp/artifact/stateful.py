"""OpenVINO graphs of decoders that keep their keys and values from call to call.

The cache becomes state of the compiled model (`ReadValue` and `Assign`): the host hands in the new tokens only, and
OpenVINO's CPU plugin fuses the state with attention. `beam_idx`, the row of the state that each row of a call goes on
from, is what the plugin looks for; here it is the row itself. Imported where a graph is made.
"""

import numpy as np
import openvino
import torch
from openvino import Model, PartialShape
from openvino import opset15 as operators
from openvino._offline_transformations import apply_make_stateful_transformation
from transformers import PreTrainedModel

from effcomp.artifact.cached_graph import INPUTS, KeyShape, cached_graph, example_call, key_shapes

BEAM_IDX = "beam_idx"


def stateful_model(model: PreTrainedModel) -> Model:
    """Convert a float32 decoder in eval mode into an OpenVINO graph with inputs INPUTS and BEAM_IDX."""
    graph = cached_graph(model)
    shapes = key_shapes(graph)
    with torch.no_grad():
        converted = openvino.convert_model(graph, example_input=example_call(shapes))
    with_state(converted, shapes)
    return converted


def with_state(graph: Model, shapes: list[KeyShape]) -> None:
    """Turn the inputs after INPUTS and the outputs after the logits into state, in place.

    Args:
        shapes: of each, in turn.
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
