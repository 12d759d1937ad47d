"""Order of the training examples: batches of similar length, determined by seed and epoch alone."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import BatchSampler, Sampler

POOL_BATCHES = 50
"""Number of batches in a pool: shuffled examples are sorted by length within a pool, so that the order stays random."""


class LengthGrouped(Sampler[int]):
    """Sampler whose order a resumed training repeats. transformers' own draws from the global generator, so that a
    training resumed in the middle of an epoch sees another order."""

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

    Process i of n takes every n-th example from the i-th on, so that the processes have texts of similar length. Some
    have none of a batch with fewer examples than processes.
    """

    def __init__(self, order: Sampler[int], batch_size: int, process: int, processes: int) -> None:
        super().__init__(order, batch_size, drop_last=False)
        self.process, self.processes = process, processes

    def __iter__(self) -> Iterator[list[int]]:
        for batch in super().__iter__():
            yield batch[self.process :: self.processes]
