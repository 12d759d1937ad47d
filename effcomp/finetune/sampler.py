"""The order of the training examples: batches of like length, decided by seed and epoch alone."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import BatchSampler, Sampler

POOL_BATCHES = 50
"""Examples are shuffled, and sorted by length within so many batches: like lengths meet, and the order stays random."""


class LengthGrouped(Sampler[int]):
    """transformers' own sampler draws from the global generator, so that a training that goes on in the middle of an
    epoch sees another order than one that was never interrupted; this one does not."""

    def __init__(self, lengths: list[int], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = np.array(lengths), batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; accelerate calls this before each epoch, and before the one that an interrupted training
        continues.
        """
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng([self.seed, self.epoch])
        order = generator.permutation(len(self.lengths))
        pool = POOL_BATCHES * self.batch_size
        pools = [order[start : start + pool] for start in range(0, len(order), pool)]
        ordered = np.concatenate([part[np.argsort(-self.lengths[part], kind="stable")] for part in pools])
        batches = [ordered[start : start + self.batch_size] for start in range(0, len(ordered), self.batch_size)]
        whole = [batch for batch in batches if len(batch) == self.batch_size]
        rest = [batch for batch in batches if len(batch) < self.batch_size]
        for number in generator.permutation(len(whole)):
            yield from whole[number].tolist()
        for batch in rest:
            yield from batch.tolist()


class Share(BatchSampler):
    """One process's part of each batch: all parts together are the batch that a single process reads.

    Every second, third, ... example, so that the processes have texts of like length; of a batch with fewer examples
    than there are processes some have none.
    """

    def __init__(self, order: Sampler[int], batch_size: int, process: int, processes: int) -> None:
        super().__init__(order, batch_size, drop_last=False)
        self.process, self.processes = process, processes

    def __iter__(self) -> Iterator[list[int]]:
        for batch in super().__iter__():
            yield batch[self.process :: self.processes]
