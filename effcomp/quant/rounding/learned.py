"""Learned rounding: AutoRound (Cheng et al. 2023, "Optimize Weight Rounding via Signed Gradient Descent for the
Quantization of LLMs").

One transformer layer after another, signed gradient descent fits an offset in [-0.5, 0.5] to each weight before it is
rounded, and a factor to the scale of each group, so that the rounded layer reproduces the float layer's outputs. The
layer reads what the rounded layers before it compute; its target is what the float model computes.

The library auto-round quantizes decoders, to codes in [-8, 7] with float16 scales; encoders and our kernels need this
code. Of the paper's two factors, of a group's smallest and largest weight, one remains, as the zero point is fixed; the
first scales have the smallest weighted error instead of the full range, which matters at 2 and 3 bits. Imported where a
model is encoded: it needs PyTorch.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, mse_loss
from transformers import PreTrainedModel

from effcomp.core.batches import Batch
from effcomp.models.bitnet import passed
from effcomp.models.depth import layers_of
from effcomp.models.moments import summed
from effcomp.models.walk import CallArguments, Walk
from effcomp.quant.grid import Grid
from effcomp.quant.groups import Coded, in_groups, replace_layer, stored_scale
from effcomp.quant.rounding.fake_quant import passed_steps
from effcomp.quant.rounding.gptq import fit_codes
from effcomp.quant.rounding.inputs import BATCH, check_finite, of_one_length, without_cache
from effcomp.quant.rounding.ranges import best_range
from effcomp.quant.tensors import linear_layers

STEPS = 200
"""Steps of each transformer layer; the step size falls linearly from 1 / STEPS to 0 (section 4.1)."""
LARGEST_STRETCH = 0.5
"""Largest change of a scale, as a share of it."""


class LearnedRounding(nn.Module):
    """A linear layer whose weight is rounded at learned offsets and scales."""

    def __init__(self, layer: nn.Linear, importance: Tensor, grid: Grid) -> None:
        """Start from the nearest codes at the best range for inputs of this importance, (in,)."""
        super().__init__()
        self.layer, self.grid = layer, grid
        self.groups = in_groups(layer.weight.detach(), grid.group_size)
        self.scale, self.zero_point = best_range(layer.weight.detach(), importance, grid)
        self.offset = nn.Parameter(torch.zeros_like(self.groups))
        self.stretch = nn.Parameter(torch.ones_like(self.scale))
        self.weight = self.rounded_weight()

    def steps_and_scale(self) -> tuple[Tensor, Tensor]:
        """Return codes minus zero point (out, groups, group_size), and scale (out, groups); gradients pass the rounding
        of both. A weight of zero stays zero."""
        stretched = self.scale * self.stretch
        scale = passed(stretched, stored_scale(stretched.detach()))
        wanted = self.groups / scale[..., None] + self.offset * (self.groups != 0)
        return passed_steps(wanted, self.zero_point, self.grid), scale

    def rounded_weight(self) -> Tensor:
        """Return the weight (out, in) at the present offsets and scales."""
        steps, scale = self.steps_and_scale()
        weight: Tensor = (steps * scale[..., None]).flatten(1)
        return weight[:, : self.layer.in_features]

    def coded(self) -> Coded:
        """Return the codes at the present offsets and scales."""
        with torch.no_grad():
            steps, scale = self.steps_and_scale()
        codes = steps.round() + self.zero_point[..., None]
        return Coded(codes.flatten(1).to(torch.int8), scale, self.zero_point)

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.layer.bias)


def round_learned(model: PreTrainedModel, grids: dict[str, Grid], samples: list[Batch]) -> None:
    """Replace the linear layers of these names by RoundedLinear; those outside the transformer layers by GPTQ.

    Raises:
        UserError: a layer's inputs are not finite.
    """
    batches = of_one_length(samples)
    exact, rounded, left = Walk(model, batches), Walk(model, batches), dict(grids)
    with without_cache(model):
        for block in layers_of(model):
            targets, calls, own = exact.run(block), rounded.calls(block), set(block.modules())
            inside = {name: layer for name, layer in linear_layers(model).items() if layer in own}
            with summed(inside) as moments:
                outputs_of(block, calls)
            check_finite(moments, "learned")
            start = {
                name: LearnedRounding(layer, moments[name].diagonal().float(), left.pop(name))
                for name, layer in inside.items()
            }
            learn(model, block, start, calls, targets)
            exact.pass_by(block, targets)
            rounded.pass_by(block, rounded.run(block))
        outside = {name: layer for name, layer in linear_layers(model).items() if name in left}
        with summed(outside) as moments:
            rounded.run(model)
    check_finite(moments, "learned")
    for name, layer in outside.items():
        replace_layer(model, name, fit_codes(layer.weight.detach(), moments[name], left[name]), left[name])


def learn(
    model: PreTrainedModel,
    block: nn.Module,
    start: dict[str, LearnedRounding],
    calls: list[CallArguments],
    targets: list[Any],
) -> None:
    """Replace linear layers of a transformer layer by RoundedLinear with learned codes; they keep the first codes where
    learning does not bring the layer's outputs on all calls nearer to the targets.

    Args:
        start: by the names of the linear layers.
        calls: arguments of the transformer layer, for each batch.
        targets: outputs of the float layer, for each batch.
    """
    for name, one in start.items():
        model.set_submodule(name, one)
    first, before = {name: one.coded() for name, one in start.items()}, distance(block, calls, targets)
    generator = torch.Generator().manual_seed(0)
    for step in range(STEPS):
        for one in start.values():
            one.weight = one.rounded_weight()
        chosen, count = [], 0
        for place in torch.randperm(len(calls), generator=generator).tolist():
            if count >= BATCH:
                break
            chosen.append(place)
            count += len(hidden_states(targets[place]))
        loss = torch.stack([loss_of(block, calls[i], targets[i]) for i in chosen]).sum()
        descend(start, loss, 1 - step / STEPS)
    for one in start.values():
        one.weight = one.rounded_weight().detach()
    better = distance(block, calls, targets) < before
    for name, one in start.items():
        model.set_submodule(name, one.layer)
        replace_layer(model, name, one.coded() if better else first[name], one.grid)


def descend(layers: dict[str, LearnedRounding], loss: Tensor, left: float) -> None:
    """Take one step of signed gradient descent; left: share of the first step size."""
    parameters = [one for layer in layers.values() for one in (layer.offset, layer.stretch)]
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:  # the layer is called
                parameter.sub_(left / STEPS * gradient.sign())
        for layer in layers.values():
            layer.offset.clamp_(-0.5, 0.5)
            layer.stretch.clamp_(1 - LARGEST_STRETCH, 1 + LARGEST_STRETCH)


def loss_of(block: nn.Module, call: CallArguments, target: Any) -> Tensor:
    """Return the squared difference of the hidden states that the layer returns from the target's: the mean over
    tokens and features, summed over the samples of the batch."""
    (arguments, named), expected = call, hidden_states(target)
    return mse_loss(hidden_states(block(*arguments, **named)), expected) * len(expected)


def distance(block: nn.Module, calls: list[CallArguments], targets: list[Any]) -> float:
    """Return the sum of the losses of all calls."""
    with torch.no_grad():
        return sum(float(loss_of(block, *one)) for one in zip(calls, targets, strict=True))


def hidden_states(output: Any) -> Tensor:
    """Return the hidden states that a transformer layer returned, alone or first of several."""
    found: Tensor = output[0] if isinstance(output, tuple) else output
    return found


def outputs_of(block: nn.Module, calls: list[CallArguments]) -> None:
    """Call the layer with each of these arguments."""
    with torch.no_grad():
        for arguments, named in calls:
            block(*arguments, **named)
