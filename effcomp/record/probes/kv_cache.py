"""Bytes of a decoder's cache of keys and values."""

from effcomp.core.batches import Batch
from effcomp.record.probe import MeasuredModel, probe
from effcomp.record.quantity import MIB, Quantity


@probe(
    Quantity(
        "KV cache",
        "MiB",
        scale=1 / MIB,
        better="lower",
        words=("a smaller cache", "a larger cache"),
        objective=True,
        column=True,
    )
)
def kv_cache_bytes(model: MeasuredModel, context: Batch | None) -> float | None:
    """Return the bytes of keys and values of one text as long as those of `speed.generation` (prompt and written
    tokens), as the runtime holds them. CUDA graphs reserve more than the text needs, and all of it counts."""
    if context is None:
        return None
    prompt = {name: ids[:, :-1] for name, ids in context.items()}
    return model.decode(prompt, 2).cache_bytes
