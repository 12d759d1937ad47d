"""Activations and residual sums of a block, computed in the kernels of its linear layers.

A kernel of a few microseconds takes one more to start. Imported where a model is decoded: it needs PyTorch.
"""

import operator
from typing import Any

import torch
from torch import nn
from torch.fx import Graph, GraphModule, Node
from transformers import PreTrainedModel
from transformers.activations import ACT2FN

from effcomp.models.blocks import ARCHITECTURES, layers_with_units
from effcomp.quant.fused_linear import ACTIVATIONS, Activated

ACTIVATION_TYPES = {type(ACT2FN[name]): name for name in ACTIVATIONS}
VIEWS = {"unflatten", "view", "reshape"}
SUMS = {operator.add, operator.iadd, torch.add}


def fuse_activations(model: PreTrainedModel) -> None:
    """Give every layer that makes neurons the activation after it, in place, where a kernel knows both."""
    if model.config.model_type not in ARCHITECTURES:
        return
    for layer, (_, neurons) in layers_with_units(model):
        maker, around = (
            layer.get_submodule(path) for path in (neurons.makers[0], neurons.makers[0].rpartition(".")[0])
        )
        if len(neurons.makers) > 1 or not isinstance(maker, Activated):
            continue
        for name, module in list(around.named_children()):
            if type(module) in ACTIVATION_TYPES:
                maker.activation = ACTIVATION_TYPES[type(module)]
                setattr(around, name, nn.Identity())


def add_residuals(graph: Graph, kernels: set[Any]) -> None:
    """Let these kernels add what the graph adds to nothing but their outputs, in place.

    Args:
        graph: of torch.compile, before it is lowered.
        kernels: operators from (tokens, in) to (tokens, out) with an argument `residual`, (tokens, out).
    """
    for product in [node for node in graph.nodes if node.target in kernels]:
        passed, total = [], product
        while (total := only_user(total)) is not None and passes_on(total):
            passed.append(total)
        if total is None or total.target not in SUMS or len(total.args) != 2:
            continue
        residual = next((one for one in total.args if one is not (passed or [product])[-1]), None)
        if not isinstance(residual, Node) or not same_shape(residual, total):
            continue
        with graph.inserting_before(total):
            flat = graph.call_method("flatten", (residual, 0, -2))
            found = graph.call_function(product.target, product.args, {**product.kwargs, "residual": flat})
            for node in passed:
                if node.target in VIEWS:
                    found = graph.call_method(node.target, (found, *node.args[1:]), dict(node.kwargs))
        found.meta = total.meta
        total.replace_all_uses_with(found)
        for node in (total, *reversed(passed), product):
            graph.erase_node(node)


def only_user(node: Node) -> Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def passes_on(node: Node) -> bool:
    """Tell whether a node returns its input, in another shape at most."""
    if node.op == "call_method":
        return node.target in VIEWS
    dropped = node.target is nn.functional.dropout
    return dropped and not (node.args[2] if len(node.args) > 2 else node.kwargs.get("training", True))


def same_shape(one: Node, other: Node) -> bool:
    first, second = (node.meta.get("example_value") for node in (one, other))
    return isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor) and first.shape == second.shape


def compile_fused(graph_module: GraphModule, inputs: list[Any]) -> Any:
    """Compile a graph of torch.compile with Inductor, residual sums in the products: a backend."""
    from torch._dynamo.backends.registry import lookup_backend

    import effcomp.quant.few_tokens_gpu
    import effcomp.quant.groups_gpu  # noqa: F401  # they register the operators

    products = torch.ops.effcomp
    add_residuals(graph_module.graph, {products.few_tokens_rows.default, products.few_tokens_groups.default})
    graph_module.recompile()
    return lookup_backend("inductor")(graph_module, inputs)
