"""A layer computes the activation and the residual sum around it, and the block says the same."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from effcomp.models.linear import unify_linear
from effcomp.quant.fused_block import add_residuals, fuse_activations
from effcomp.quant.fused_linear import FloatLinear

SMALL = {"vocab_size": 50, "num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "pad_token_id": 0}


@torch.library.custom_op("effcomp_tests::product", mutates_args=())
def product(values: Tensor, weight: Tensor, residual: Tensor | None = None) -> Tensor:
    found = values @ weight.T
    return found if residual is None else found + residual


@product.register_fake
def _(values: Tensor, weight: Tensor, residual: Tensor | None = None) -> Tensor:
    return values.new_empty(values.shape[0], weight.shape[0])


class Residual(nn.Module):
    """Two products in turn that are added to their inputs, one that is read twice, and one that is added by rows."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 8))
        self.dropout = nn.Dropout(0.5)

    def forward(self, input: Tensor) -> Tensor:
        product = torch.ops.effcomp_tests.product.default
        hidden = product(input.flatten(0, -2), self.weight).unflatten(0, input.shape[:-1])
        hidden = self.dropout(hidden) + input
        hidden = product(hidden.flatten(0, -2), self.weight).unflatten(0, input.shape[:-1]) + hidden
        gate = product(hidden.flatten(0, -2), self.weight).unflatten(0, input.shape[:-1])
        broadcast = product(hidden.flatten(0, -2), self.weight).unflatten(0, input.shape[:-1]) + input[:, :1]
        return gate * (gate + hidden) + broadcast


def test_a_product_adds_what_is_added_to_it_alone() -> None:
    torch.manual_seed(0)
    block, input = Residual().eval(), torch.randn(2, 3, 8)
    expected, graphs = block(input), []

    def backend(module: torch.fx.GraphModule, _: Any) -> Any:
        add_residuals(module.graph, {torch.ops.effcomp_tests.product.default})
        module.graph.lint()
        module.recompile()
        graphs.append(module.graph)
        return module

    assert torch.allclose(torch.compile(block, backend=backend)(input), expected, atol=1e-6)
    products = [node for node in graphs[0].nodes if node.target is torch.ops.effcomp_tests.product.default]
    assert ["residual" in node.kwargs for node in products] == [True, True, False, False]


@pytest.mark.parametrize("activation", ["gelu_new", "gelu", "relu", "silu"])
def test_a_layer_computes_the_activation_that_follows_it(activation: str) -> None:
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(**SMALL, activation_function=activation)).eval()
    ids = torch.arange(6)[None]
    unify_linear(model)
    with torch.inference_mode():
        expected = model(ids).logits
        for layer in model.modules():
            if type(layer) is nn.Linear:
                layer.__class__ = FloatLinear
        fuse_activations(model)
        fused = [layer.activation for layer in model.modules() if isinstance(layer, FloatLinear) and layer.activation]
        assert fused == ([] if activation == "silu" else [activation] * 2)  # no kernel computes silu
        assert torch.allclose(model(ids).logits, expected, atol=1e-5)


def test_an_activation_between_two_products_stays() -> None:
    model = LlamaForCausalLM(LlamaConfig(**SMALL, intermediate_size=64, hidden_act="relu"))
    for layer in model.modules():
        if type(layer) is nn.Linear:
            layer.__class__ = FloatLinear
    fuse_activations(model)
    assert isinstance(model.model.layers[0].mlp.act_fn, nn.ReLU)
