"""Harm of rounding a single layer: measured, or estimated from gradients.

The harm is the Kullback-Leibler divergence of the predictions from the float model's, when this layer alone is rounded
to nearest: the rise of the loss that is expected where the float model's predictions are true. No labels are needed.
Imported where a model is encoded: it needs PyTorch.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import kl_div
from transformers import PreTrainedModel

from effcomp.core.batches import Batch
from effcomp.quant.grid import Grid
from effcomp.quant.groups import quantize_groups


def measure_harms(
    model: PreTrainedModel, layers: Mapping[str, nn.Linear], candidates: Sequence[Grid], samples: Sequence[Batch]
) -> NDArray[np.float64]:
    """Return the harm of each layer on each grid in each sample, (samples, layers, grids), in nats a prediction; the
    model stays as it is."""
    harms = np.zeros((len(samples), len(layers), len(candidates)))
    with torch.inference_mode():
        for batch, of_sample in zip(samples, harms, strict=True):
            expected = log_probabilities(model, batch)
            for row, layer in enumerate(layers.values()):
                weight = layer.weight.data
                for column, grid in enumerate(candidates):
                    layer.weight.data = stored_weight(weight, grid)
                    found = log_probabilities(model, batch)
                    of_sample[row, column] = float(kl_div(found, expected, reduction="batchmean", log_target=True))
                layer.weight.data = weight
    return harms


def estimate_harms(
    model: PreTrainedModel, layers: Mapping[str, nn.Linear], candidates: Sequence[Grid], samples: Sequence[Batch]
) -> NDArray[np.float64]:
    """Return an estimate of the harm of each layer on each grid, (layers, grids), in nats a prediction: to second order
    1/2 * sum(F * error^2), with the diagonal F of the Fisher information of the layer's weights (Kirkpatrick et al.
    2017; for quantization Kim et al. 2023, "SqueezeLLM", section 4.1)."""
    weights = [layer.weight.requires_grad_(True) for layer in layers.values()]
    fisher = [torch.zeros_like(weight) for weight in weights]
    generator = torch.Generator().manual_seed(0)
    for batch in samples:
        for share, likelihood in likelihoods(log_probabilities(model, batch), generator):
            gradients = torch.autograd.grad(likelihood, weights, retain_graph=True, allow_unused=True)
            for total, gradient in zip(fisher, gradients, strict=True):
                if gradient is not None:  # the layer is called
                    total += share / len(samples) * gradient.square()
    with torch.no_grad():
        errors = [[stored_weight(weight, grid) - weight for grid in candidates] for weight in weights]
        return np.array(
            [
                [float((f * one.square()).sum()) / 2 for one in of_layer]
                for f, of_layer in zip(fisher, errors, strict=True)
            ]
        )


def likelihoods(log_p: Tensor, generator: torch.Generator) -> Iterator[tuple[float, Tensor]]:
    """Yield log-likelihoods of labels that the model itself expects, each with the share of its squared gradient in the
    Fisher information of a prediction: of all classes of a single prediction, of one draw for each of many.

    Args:
        log_p: (predictions, classes).
    """
    if len(log_p) == 1:
        yield from ((float(one.detach().exp()), one) for one in log_p[0])
    else:
        drawn = torch.multinomial(log_p.detach().exp().cpu(), 1, generator=generator).to(log_p.device)
        yield 1 / len(log_p), log_p.gather(1, drawn).sum()


def stored_weight(weight: Tensor, grid: Grid) -> Tensor:
    """Return what an artifact holds of a weight (out, in): its nearest codes, their scales in bfloat16."""
    coded = quantize_groups(weight, grid)
    return coded._replace(scale=coded.scale.bfloat16().float()).weight(weight.shape[1])


def log_probabilities(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Return the logarithms of the probabilities of the model's predictions, (predictions, classes) float32."""
    logits = model(**{name: torch.from_numpy(ids).to(model.device) for name, ids in batch.items()}).logits
    found: Tensor = logits.float().flatten(0, -2).log_softmax(-1)
    return found
