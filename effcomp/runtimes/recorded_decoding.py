"""Greedy decoding in CUDA graphs: a prompt is one launch, and so is each token after it.

The host launches a step before it reads the token of the step before, so the GPU never waits for it. A text that ends
costs one step that nobody reads.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from effcomp.core.batches import Batch
from effcomp.runtimes.decoding import Decoded, cache_bytes
from effcomp.runtimes.likeliest_gpu import likeliest_on_gpu
from effcomp.runtimes.static_cache import ShapeProbe, StaticDecoder, probe_shapes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WARM_UPS = 2
"""Calls before one is recorded: the first compiles, the second finds its memory."""
FEWEST_SLOTS = 64


def capture(call: Callable[[], Tensor], pool: Any) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    """Record a call as a CUDA graph; return it with the tensor that holds its result after each replay.

    Args:
        pool: of torch.cuda.graph_pool_handle; the memory that graphs share.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.inference_mode(), torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(), torch.cuda.graph(graph, pool=pool):
        result = call()
    return graph, result


def slots_for(tokens: int) -> int:
    """Return the size of the cache that is recorded for texts of so many tokens: a power of two."""
    return max(FEWEST_SLOTS, 1 << (tokens - 1).bit_length())


class RecordedDecoder:
    """The graphs of one number of rows and slots: one for each bucket of prompts, and one for a step."""

    def __init__(self, model: "PreTrainedModel", probes: list[ShapeProbe], rows: int, slots: int, pool: Any) -> None:
        with torch.inference_mode():
            self.decoder = StaticDecoder(model, probes, rows, slots, likeliest_on_gpu)
        self.rows, self.place, self.pool = rows, model.device, pool
        self.prompts: dict[int, tuple[torch.cuda.CUDAGraph, Tensor, Tensor]] = {}
        with torch.inference_mode():
            self.prompt(2)  # the masks of a call with one token have the types of those of a prompt
            self.decoder.cache.slot.zero_()
            self.decoder.position.zero_()
        self.step, self.step_answer = capture(self.decoder.step, pool)

    def prompt(self, tokens: int) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor]:
        """Return the graph of prompts of this length, its inputs (2, rows, tokens) int64 (ids and mask), and its
        answer."""
        if tokens not in self.prompts:
            inputs = torch.ones(2, self.rows, tokens, dtype=torch.int64, device=self.place)
            graph, answer = capture(lambda: self.decoder.prefill(inputs[0], inputs[1]), self.pool)
            self.prompts[tokens] = graph, inputs, answer
        return self.prompts[tokens]

    def decode(self, batch: Batch, tokens: int, new_tokens: int, ended: Callable[[list[int]], bool]) -> Decoded:
        """Write after each prompt.

        Args:
            batch: input_ids and attention_mask, each (rows, longest), padded on the left.
            tokens: the length of the recorded prompt.
            new_tokens: the most that is written.
            ended: tells whether a text with these tokens is finished. The batch goes on until all are.
        """
        graph, inputs, answer = self.prompt(tokens)
        width = batch["input_ids"].shape[1]
        host = torch.zeros(inputs.shape, dtype=torch.int64).pin_memory()
        for column, name in enumerate(("input_ids", "attention_mask")):
            host[column, :, tokens - width :] = torch.from_numpy(batch[name])
        answers = torch.empty(new_tokens, 2, self.rows, dtype=torch.float64).pin_memory()
        events = [torch.cuda.Event() for _ in range(new_tokens)]
        written = Decoded.empty(self.rows)
        torch.cuda.synchronize(self.place)

        last = time.perf_counter_ns()
        inputs.copy_(host, non_blocking=True)
        graph.replay()
        answers[0].copy_(answer, non_blocking=True)
        events[0].record()
        for number in range(new_tokens):
            if number + 1 < new_tokens:
                self.step.replay()
                answers[number + 1].copy_(self.step_answer, non_blocking=True)
                events[number + 1].record()
            events[number].synchronize()
            now = time.perf_counter_ns()
            written.step_ns.append(now - last)
            last = now
            chosen, losses = answers[number].tolist()
            written.add([int(token) for token in chosen], losses, ended)
            if not written.unfinished:
                break
        torch.cuda.synchronize(self.place)  # the step that nobody reads writes to the cache
        written.cache_bytes = cache_bytes(self.decoder.cache)
        return written


class RecordedDecoders:
    """The graphs of a model, each recorded when it is first met."""

    def __init__(self, model: "PreTrainedModel", pool: Any) -> None:
        """Find the shapes of the cache.

        Args:
            model: its blocks are CachedBlocks (effcomp.runtimes.static_cache).
        """
        self.model, self.pool, self.probes = model, pool, probe_shapes(model)
        self.recorded: dict[tuple[int, int], RecordedDecoder] = {}

    def of(self, rows: int, slots: int) -> RecordedDecoder:
        """Return the graphs of so many rows and slots."""
        if (rows, slots) not in self.recorded:
            self.recorded[rows, slots] = RecordedDecoder(self.model, self.probes, rows, slots, self.pool)
        return self.recorded[rows, slots]
