"""Masks of heads, neurons and layers that are learned in training. It needs PyTorch and transformers' Trainer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import log
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel, TrainerCallback

from effcomp.models.blocks import counts, layers_with_units
from effcomp.models.costs import Costs
from effcomp.models.depth import layers_of
from effcomp.prune.importance import Importance

TEMPERATURE, LOW, HIGH = 2 / 3, -0.1, 1.1
"""Shape of the distribution (Louizos et al. 2018, section 4)."""
BOUND = log(100)
"""Largest log alpha, and minus the smallest: a gate that is nearly closed can still open."""
BEGIN = 3.0
"""Log alpha at first: 99 % of the gates are open."""
MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""State of Adam for a parameter."""
RAMP = 0.5
"""Share of the steps over which the aim falls from the whole cost to the target."""


class Gates(nn.Module):
    """Factors between 0 and 1, one for each head, neuron and layer, drawn from hard concrete distributions that are
    learned (Louizos et al. 2018, "Learning Sparse Neural Networks through L0 Regularization", section 2.2).

    A head's or neuron's factor multiplies what its reader reads; a layer's multiplies what the layer adds to its input,
    so that a closed layer passes its input on.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        shape = counts(model.config)
        self.layers = nn.Parameter(torch.full((len(shape),), BEGIN))
        self.units = nn.ParameterList(nn.Parameter(torch.full((total,), BEGIN)) for both in shape for total in both)

    def of_layer(self, index: int) -> tuple[Tensor, Tensor]:
        """Return log alpha of a layer's heads and of its neurons, (units,) each."""
        return self.units[2 * index], self.units[2 * index + 1]

    def cost(self, costs: Costs) -> Tensor:
        """Return the cost of the model that is expected, on the lines between the costs of whole units."""
        both = [[is_open(one).sum() for one in self.of_layer(index)] for index in range(len(self.layers))]
        heads, neurons = (torch.stack(sums) for sums in zip(*both, strict=True))
        further = along(costs.heads, heads - 1) + along(costs.neurons, neurons / costs.block - 1)
        return costs.outside + (is_open(self.layers) * (costs.layer + further)).sum()

    def importance(self) -> Importance:
        """Return the probability that each head and neuron is open, its layer included."""
        with torch.no_grad():
            return [
                [(stays * is_open(one)).cpu() for one in self.of_layer(index)]
                for index, stays in enumerate(is_open(self.layers))
            ]

    @contextmanager
    def inside(self, model: PreTrainedModel) -> Iterator[None]:
        """Multiply the model's heads, neurons and layers by factors that each call draws anew; in eval mode by their
        middles."""

        def units(log_alpha: Tensor, reader: nn.Module) -> "torch.utils.hooks.RemovableHandle":
            def gate(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
                factors = factor(log_alpha, drawn=model.training).to(inputs[0].dtype)
                return (inputs[0] * factors.repeat_interleave(inputs[0].shape[-1] // len(factors)), *inputs[1:])

            return reader.register_forward_pre_hook(gate)

        def whole(index: int, layer: nn.Module) -> "torch.utils.hooks.RemovableHandle":
            def gate(_: nn.Module, values: tuple[Tensor, ...], named: dict[str, Tensor], output: Any) -> Any:
                before = values[0] if values else named["hidden_states"]
                after = output[0] if isinstance(output, tuple) else output
                share = factor(self.layers[index], drawn=model.training).to(after.dtype)
                gated = before + share * (after - before)
                return (gated, *output[1:]) if isinstance(output, tuple) else gated

            # First, so that whoever collects hidden states collects what the next layer reads.
            return layer.register_forward_hook(gate, with_kwargs=True, prepend=True)

        hooks = [whole(index, layer) for index, layer in enumerate(layers_of(model))]
        for index, (layer, both) in enumerate(layers_with_units(model)):
            for kind, log_alpha in zip(both, self.of_layer(index), strict=True):
                hooks.append(units(log_alpha, layer.get_submodule(kind.reader)))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def is_open(log_alpha: Tensor) -> Tensor:
    """Return the probability that a gate is not 0 (Louizos et al. 2018, equation 12)."""
    return torch.sigmoid(log_alpha - TEMPERATURE * log(-LOW / HIGH))


def factor(log_alpha: Tensor, *, drawn: bool) -> Tensor:
    """Return a gate's factor, drawn (equation 10) or the middle one (equation 13)."""
    if drawn:
        uniform = torch.empty_like(log_alpha).uniform_(1e-6, 1 - 1e-6)
        log_alpha = (uniform.logit() + log_alpha) / TEMPERATURE
    return (torch.sigmoid(log_alpha) * (HIGH - LOW) + LOW).clamp(0, 1)


def along(costs: Sequence[float], more: Tensor) -> Tensor:
    """Return the costs of fractional numbers of further units, on the lines between their neighbours.

    Args:
        costs: of 0, 1, 2, ... further units; less than none costs as none, and more than all as all.
        more: (layers,).
    """
    table, more = more.new_tensor([*costs, costs[-1]]), more.clamp(0, len(costs) - 1)
    below = more.detach().floor().long()
    return table[below] + (more - below) * (table[below + 1] - table[below])


class LearnMasks(TrainerCallback):
    """Callback that trains the gates beside the model, until their expected cost is the limit.

    The cost is held by a Lagrangian of its share above the aim, a * share + b * share^2, that the gates make small and
    a and b make large (Xia et al. 2022, "Structured Pruning Learns Compact and Accurate Models", section 3.2).
    """

    def __init__(self, gates: Gates, costs: Costs, limit: float, learning_rate: float) -> None:
        self.gates, self.costs, self.limit, self.learning_rate = gates, costs, limit, learning_rate
        self.multipliers = nn.Parameter(torch.zeros(2))
        with torch.no_grad():
            self.whole = float(gates.cost(costs))

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.gates.to(args.device)
        self.multipliers.data = self.multipliers.data.to(args.device)
        groups: list[dict[str, Any]] = [
            {"params": [*self.gates.parameters()]},
            {"params": [self.multipliers], "maximize": True},
        ]
        self.optimizer = torch.optim.Adam(groups, lr=self.learning_rate)
        if state.global_step > 0:
            self.read(self.file(args, state))

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        done = min(1.0, state.global_step / (RAMP * state.max_steps))
        aim = self.whole - done * (self.whole - self.limit)
        share = (self.gates.cost(self.costs) - aim) / self.whole
        (self.multipliers[0] * share + self.multipliers[1] * share**2).backward()

    @torch.no_grad()
    def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad()
        for one in self.gates.parameters():
            one.clamp_(-BOUND, BOUND)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if control.should_save:  # before the Trainer's own files: a checkpoint that is whole has its gates
            self.write(self.file(args, state))

    @torch.no_grad()
    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Add the expected share of the cost to the row of the training curve."""
        state.log_history[-1]["expected_cost"] = round(float(self.gates.cost(self.costs)) / self.whole, 4)

    def file(self, args: Any, state: Any) -> Path:
        return Path(args.output_dir) / f"gates-{state.global_step}.safetensors"

    @property
    def learned(self) -> dict[str, nn.Parameter]:
        return {**dict(self.gates.named_parameters()), "multipliers": self.multipliers}

    def write(self, file: Path) -> None:
        """Write all that is learned, with the optimizer's moments."""
        stored = {name: one.detach() for name, one in self.learned.items()}
        for name, one in self.learned.items():
            stored |= {f"{name} {moment}": self.optimizer.state[one][moment] for moment in MOMENTS}
        save_file({name: one.cpu() for name, one in stored.items()}, file)

    @torch.no_grad()
    def read(self, file: Path) -> None:
        """Go on from what `write` wrote."""
        stored = load_file(file)
        for name, one in self.learned.items():
            one.copy_(stored[name])
            moments = {moment: stored[f"{name} {moment}"] for moment in MOMENTS}
            self.optimizer.state[one] = {
                moment: value if moment == "step" else value.to(one.device) for moment, value in moments.items()
            }
