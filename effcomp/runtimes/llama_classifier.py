"""Classifiers on llama.cpp: it computes the features of one position, and NumPy the layers after them, in float32."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effcomp.artifact.gguf_tensors import SUPPORTED
from effcomp.core.batches import Batch
from effcomp.runtimes.llama_library import Capacity, Context, Model, Settings
from effcomp.runtimes.llama_model import LlamaModel, Rows, longest, read_all, read_last

ACTIVATIONS: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "tanh": np.tanh,
    "relu": lambda values: np.maximum(values, 0.0),
    "none": lambda values: values,
}


class Classifier(LlamaModel):
    """An encoder classifies by its first token, a decoder by its last."""

    def __init__(self, model: Model, head: Path, model_type: str, settings: Settings) -> None:
        """Hold a loaded model. head: the file of the layers after the features; model_type: in transformers' words."""
        from safetensors.numpy import load_file

        architecture = SUPPORTED[model_type]
        super().__init__(model, settings)
        self.encodes, stored = architecture.name == "bert", load_file(head)
        self.layers = [
            (stored[f"{name}.weight"], stored.get(f"{name}.bias"), ACTIVATIONS[activation])
            for name, activation in architecture.classifier
        ]

    def size(self, rows: Rows) -> Capacity:
        together = 1 if self.encodes else len(rows)
        return Capacity(together, longest(rows), together * longest(rows))

    def outputs(self, rows: Rows, context: Context) -> NDArray[np.float32]:
        values = self.first_features(rows, context) if self.encodes else read_last(context, rows)
        for weight, bias, activation in self.layers:
            values = activation(values @ weight.T + (0.0 if bias is None else bias))
        return values

    def first_features(self, rows: Rows, context: Context) -> NDArray[np.float32]:
        """Compute the features of each row's first token, one row after another: together, llama.cpp would compute the
        attention of each row to all others."""
        return np.stack([read_all(context, row, 0)[0] for row in rows])

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """Compute the logits of the classes.

        Raises:
            ValueError: a token is of a second text; llama.cpp gives all tokens the embedding of the first.
        """
        if batch.get("token_type_ids", np.zeros(1)).any():
            raise ValueError("llama.cpp reads no second text: use another runtime for this task")
        return super().__call__(batch)

    def token_losses(self, batch: Batch) -> NDArray[np.float64]:
        raise NotImplementedError("a classifier has no token losses")
