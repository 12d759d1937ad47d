"""Models that llama.cpp has loaded: what decoders and classifiers share, and decoders."""

import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from effcomp.core.batches import IGNORED, LABELS, Batch
from effcomp.runtimes.base import Loaded, Ran
from effcomp.runtimes.decoding import Decoded, log_sum_exp, never
from effcomp.runtimes.llama_library import Capacity, Context, Model, Operator, Settings, Watch, llama

Rows = Sequence[NDArray[np.int32]]
"""Token ids of each sequence of a batch, without padding."""
SCORED = 128
"""Positions whose logits are kept at once for perplexity: those of a long text fill gigabytes."""


class LlamaModel(Loaded):
    """Common base of decoders and classifiers: one context, made again when a call does not fit into it."""

    def __init__(self, model: Model, settings: Settings) -> None:
        self.model, self.settings = model, settings
        self.context: Context | None = None

    @abstractmethod
    def size(self, rows: Rows) -> Capacity:
        """Return the room that `outputs` needs for rows of tokens."""

    @abstractmethod
    def outputs(self, rows: Rows, context: Context) -> NDArray[np.float32]:
        """Compute the answer to each row in a context that has room for it: (rows, classes or vocabulary)."""

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        rows = rows_of(batch)
        return self.outputs(rows, self.empty_context(self.size(rows)))

    def prepare(self, batches: Iterable[Batch]) -> None:
        sizes = [self.size(rows_of(batch)) for batch in batches]
        self.empty_context(Capacity(*(max(column) for column in zip(*sizes, strict=True))))

    def make_context(self, size: Capacity, watch: Watch | None = None) -> Context:
        return Context(self.model, size, self.settings, watch)

    def empty_context(self, size: Capacity) -> Context:
        """Return a context without tokens that has room for so many."""
        if self.context is None or not self.context.size.holds(size):
            if self.context is not None:
                self.context.close()
            self.context = self.make_context(size)
        self.context.clear()
        return self.context

    def ran(self, batch: Batch) -> list[Ran]:
        """Time each operator of one call: llama.cpp's scheduler calls back before and after it."""
        calls, seconds, start = Counter[str](), Counter[str](), 0.0

        def watch(tensor: int, before: bool) -> bool:
            nonlocal start
            if not before:
                name = operator_name(tensor)
                calls[name] += 1
                seconds[name] += time.perf_counter() - start  # type: ignore[assignment]
            start = time.perf_counter()
            return True

        rows = rows_of(batch)
        context = self.make_context(self.size(rows), watch)
        self.outputs(rows, context)
        context.close()
        return [Ran(name, calls[name], seconds[name]) for name in calls]


class Decoder(LlamaModel):
    """Language model that writes one token after another."""

    def size(self, rows: Rows) -> Capacity:
        return Capacity(len(rows), longest(rows), len(rows))

    def outputs(self, rows: Rows, context: Context) -> NDArray[np.float32]:
        return read_last(context, rows).copy()

    def decode(self, batch: Batch, new_tokens: int, ended: Callable[[list[int]], bool] = never) -> Decoded:
        if self.speculation is not None:
            return self.speculation.decode(batch, new_tokens, ended)
        rows = rows_of(batch)
        context = self.empty_context(Capacity(len(rows), longest(rows) + new_tokens, len(rows)))
        written = Decoded([[] for _ in rows], [0.0] * len(rows))
        unfinished, unread, places = list(range(len(rows))), rows, [0] * len(rows)
        while True:
            start = time.perf_counter_ns()
            logits = read_last(context, unread, unfinished, [places[row] for row in unfinished])
            likeliest = logits.argmax(axis=1)
            losses = log_sum_exp(logits) - np.take_along_axis(logits, likeliest[:, None], axis=1)[:, 0]
            written.step_ns.append(time.perf_counter_ns() - start)
            for row, read, token, loss in zip(unfinished, unread, likeliest.tolist(), losses.tolist(), strict=True):
                places[row] += len(read)
                written.tokens[row].append(token)
                written.losses[row] += loss
            unfinished = [row for row in unfinished if not ended(written.tokens[row])]
            if not unfinished or len(written.step_ns) == new_tokens:
                written.cache_bytes = context.cache_bytes()
                return written
            unread = [np.array(written.tokens[row][-1:], dtype=np.int32) for row in unfinished]

    def token_losses(self, batch: Batch) -> NDArray[np.float64]:
        masks = batch["attention_mask"].astype(bool)
        found = []
        for tokens, labels, mask in zip(rows_of(batch), batch[LABELS], masks, strict=True):
            context = self.empty_context(Capacity(1, len(tokens), SCORED))
            targets = np.append(labels[mask][1:], IGNORED)  # the logits at a position are of the next token
            parts = [slice(first, first + SCORED) for first in range(0, len(tokens), SCORED)]
            losses = [losses_of(read_all(context, tokens[part], part.start), targets[part]) for part in parts]
            found.append(np.sum(losses, axis=0))
        return np.array(found)


def rows_of(batch: Batch) -> Rows:
    """Return the tokens of each row without padding."""
    masks = batch["attention_mask"].astype(bool)
    return [ids[mask].astype(np.int32) for ids, mask in zip(batch["input_ids"], masks, strict=True)]


def longest(rows: Rows) -> int:
    return max(len(row) for row in rows)


def read_last(
    context: Context, rows: Rows, sequences: Sequence[int] | None = None, places: Sequence[int] | None = None
) -> NDArray[np.float32]:
    """Read tokens of several sequences and return the outputs at each one's last token, (rows, width).

    Args:
        sequences: the number of each row's sequence in the context; None: 0, 1, 2, ...
        places: the position of each row's first token; None: 0.
    """
    lengths = [len(row) for row in rows]
    ends = np.cumsum(lengths)
    offsets = np.repeat((places or np.zeros(len(rows), dtype=int)) - ends + lengths, lengths)
    wanted = np.zeros(ends[-1], dtype=bool)
    wanted[ends - 1] = True
    of_sequence = np.repeat(range(len(rows)) if sequences is None else sequences, lengths)
    return context.call(np.concatenate(rows), np.arange(ends[-1]) + offsets, of_sequence, wanted)


def read_all(context: Context, tokens: NDArray[np.int32], place: int) -> NDArray[np.float32]:
    """Read tokens of the context's first sequence and return the outputs at each, (tokens, width).

    Args:
        place: the position of the first token.
    """
    count = len(tokens)
    return context.call(tokens, np.arange(place, place + count), np.zeros(count, dtype=int), np.ones(count, dtype=bool))


def losses_of(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> tuple[float, int]:
    """Return the cross-entropy in nats of the targets that count, summed, and their number.

    Args:
        logits: (positions, vocabulary).
        targets: (positions,); IGNORED where none is.
    """
    counted = np.flatnonzero(targets != IGNORED)
    losses = log_sum_exp(logits)[counted] - logits[counted, targets[counted]]
    return float(losses.sum(dtype=np.float64)), len(counted)


def operator_name(address: int) -> str:
    """Name an operator with the type of the weights that it reads: `MUL_MAT Q4_K`; `repacked` follows where llama.cpp
    has reordered them for this processor."""
    tensor = Operator.from_address(address)
    name = llama().ggml_op_desc(address).decode()
    if not tensor.sources[0]:
        return str(name)
    weights = Operator.from_address(tensor.sources[0])
    kind = llama().ggml_type_name(weights.type).decode().upper()
    holder = llama().ggml_backend_buffer_name(weights.buffer).decode() if weights.buffer else ""
    return f"{name} {kind}{' repacked' if 'REPACK' in holder else ''}"
