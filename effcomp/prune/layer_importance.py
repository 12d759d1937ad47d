"""Importance of whole layers, measured on training examples."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy
from transformers import PreTrainedModel
from transformers.tokenization_utils_base import BatchEncoding

from effcomp.core.batches import IGNORED
from effcomp.finetune.base import TrainingSetup
from effcomp.finetune.rows import drawn_batches
from effcomp.models.depth import layers_of, set_layers


def least_influence(setup: TrainingSetup, samples: int, count: int) -> list[int]:
    """Return the indices of `count` layers that change their input least, in order.

    The block influence of a layer is 1 - cos(input, output), the mean over real tokens (Men et al. 2024, "ShortGPT:
    Layers in Large Language Models are More Redundant Than You Expect", section 3.1). It needs one pass, and no labels.
    """
    model, batches = ready(setup, samples)
    influence = torch.zeros(len(layers_of(model)), dtype=torch.float64)
    tokens = 0
    with torch.inference_mode(), layers_watched(model) as seen:
        for batch in batches:
            seen.clear()
            model(**batch)
            real = batch["attention_mask"].bool()
            for index, (before, after) in seen.items():
                influence[index] += (1 - cosine_similarity(before.float(), after.float(), dim=-1))[real].sum().cpu()
            tokens += int(real.sum())
    model.to("cpu")
    return sorted((influence / tokens).argsort()[:count].tolist())


def least_loss(setup: TrainingSetup, samples: int, count: int) -> list[int]:
    """Return the indices of `count` layers, in order, chosen one at a time: the layer whose removal gives the lowest
    loss (Kim et al. 2024, "Shortened LLaMA: A Simple Depth Pruning for Large Language Models", section 2.2,
    with the loss in place of the perplexity)."""
    model, batches = ready(setup, samples)
    layers, left = list(layers_of(model)), list(range(len(layers_of(model))))
    with torch.inference_mode():
        for _ in range(count):
            losses = {}
            for index in left:
                set_layers(model, [layers[other] for other in left if other != index])
                losses[index] = sum(float(model(**batch).loss) * len(batch["input_ids"]) for batch in batches)
            left.remove(min(left, key=lambda index: losses[index]))
    set_layers(model, layers)
    model.to("cpu")
    return [index for index in range(len(layers)) if index not in left]


def loss_changes(setup: TrainingSetup, samples: int) -> list[float]:
    """Return for each layer the mean over examples of the absolute change of the loss without it."""
    model, batches = ready(setup, samples)
    layers = list(layers_of(model))

    def losses(left: list[nn.Module]) -> Tensor:
        set_layers(model, left)
        return torch.cat([example_losses(model, batch, causal=setup.head == "causal_lm") for batch in batches])

    with torch.inference_mode():
        full = losses(layers)
        found = [
            float((losses(layers[:index] + layers[index + 1 :]) - full).abs().mean()) for index in range(len(layers))
        ]
    set_layers(model, layers)
    model.to("cpu")
    return found


def example_losses(model: PreTrainedModel, batch: BatchEncoding, *, causal: bool) -> Tensor:
    """Return the loss of each example, (batch,): the mean over its predicted tokens; causal: of the next ones."""
    logits, labels = model(**batch).logits.float(), batch["labels"].view(len(batch["labels"]), -1)
    logits = logits.view(*labels.shape, -1)
    if causal:
        logits, labels = logits[:, :-1], labels[:, 1:]
    losses = cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none")
    found: Tensor = losses.view(labels.shape).sum(dim=1) / (labels != IGNORED).sum(dim=1).clamp(min=1)
    return found


def ready(setup: TrainingSetup, samples: int) -> tuple[PreTrainedModel, list[BatchEncoding]]:
    """Return the model on its device, in eval mode, and batches of training examples with their labels.

    Args:
        samples: maximum number of examples, drawn with the run's seed, or of blocks of documents.
    """
    model = setup.model.to(setup.device.torch_name).eval()
    model.config.use_cache = False
    return model, drawn_batches(setup, samples)


@contextmanager
def layers_watched(model: PreTrainedModel) -> Iterator[dict[int, tuple[Tensor, Tensor]]]:
    """Collect the input and output of each layer in a call, each (batch, tokens, features), by the layer's index."""
    seen: dict[int, tuple[Tensor, Tensor]] = {}

    def watch(index: int, layer: nn.Module) -> "torch.utils.hooks.RemovableHandle":
        def note(_: nn.Module, values: tuple[Tensor, ...], named: dict[str, Tensor], output: object) -> None:
            before = values[0] if values else named["hidden_states"]
            after = output[0] if isinstance(output, tuple) else output
            assert isinstance(after, Tensor), "a layer returns its hidden states, alone or first"
            seen[index] = before, after

        return layer.register_forward_hook(note, with_kwargs=True)

    hooks = [watch(index, layer) for index, layer in enumerate(layers_of(model))]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
