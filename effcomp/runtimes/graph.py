"""Base class of the engines that execute a graph."""

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from effcomp.artifact.file_format import with_positions
from effcomp.core.batches import IGNORED, LABELS, Batch
from effcomp.models.heads import Head
from effcomp.runtimes.base import Loaded


class GraphModel(Loaded):
    """Base class of graphs from token ids to logits, as effcomp.artifact writes them."""

    def __init__(self, head: Head, names: set[str]) -> None:
        """Keep the names of the graph's inputs, which may be fewer than the tokenizer's columns."""
        self.head, self.names = head, names

    @abstractmethod
    def logits(self, inputs: Batch) -> NDArray[np.float32]:
        """Return logits (batch, classes), or (batch, positions, vocabulary)."""

    def inputs(self, batch: Batch, positions: NDArray[np.int64]) -> Batch:
        """Return the graph's inputs.

        Args:
            positions: those whose logits a language model that predicts the next token computes.
        """
        return self.own(with_positions(batch, self.head, positions))

    def own(self, given: Batch) -> Batch:
        """Return those of the arrays that are inputs of the graph."""
        return {name: ids for name, ids in given.items() if name in self.names}

    def last(self, batch: Batch) -> Batch:
        """Return the graph's inputs for the logits of the last position alone."""
        return self.inputs(batch, np.array([batch["input_ids"].shape[1] - 1]))

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        logits = self.logits(self.last(batch))
        return logits if self.head == "sequence_classification" else logits[:, 0]

    def token_losses(self, batch: Batch) -> NDArray[np.float64]:
        from scipy.special import log_softmax

        labels = batch[LABELS]
        logits = self.logits(self.inputs(batch, np.arange(labels.shape[1])))
        if self.head == "causal_lm":  # the logits at a position are of the next token
            logits, labels = logits[:, :-1], labels[:, 1:]
        losses = np.empty((len(labels), 2))
        for row, wanted in enumerate(labels):
            places = np.flatnonzero(wanted != IGNORED)
            likely = log_softmax(logits[row, places].astype(np.float64), axis=-1)
            losses[row] = -likely[np.arange(len(places)), wanted[places]].sum(), len(places)
        return losses
