"""A decoder in llama.cpp with the cache of one text."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from effcomp.runtimes.llama_library import Capacity, Context, Model, Settings
from effcomp.runtimes.speculative import DRAFTED


class LlamaReader:
    """Decoder that reads one text and can take tokens back (effcomp.runtimes.speculative.Reader)."""

    def __init__(self, model: Model, settings: Settings) -> None:
        self.model, self.settings = model, settings
        self.context: Context | None = None

    def begin(self, tokens: int) -> None:
        size = Capacity(1, tokens, 1 + DRAFTED)
        if self.context is None or not self.context.size.holds(size):
            if self.context is not None:
                self.context.close()
            self.context = Context(self.model, size, self.settings)
        self.context.clear()

    def read(self, tokens: Sequence[int], place: int, outputs: int) -> NDArray[np.float32]:
        assert self.context is not None, "begin makes it"
        self.context.forget(place)
        count = len(tokens)
        wanted = np.arange(count) >= count - outputs
        ids = np.array(tokens, dtype=np.int32)
        return self.context.call(ids, np.arange(place, place + count), np.zeros(count, dtype=int), wanted).copy()

    def cache_bytes(self) -> int:
        return 0 if self.context is None else self.context.cache_bytes()
