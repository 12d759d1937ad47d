"""Speculative decoding: how good the drafts were, over all texts that were timed."""

from effcomp.core.batches import Batch
from effcomp.record.probe import MeasuredModel, probe
from effcomp.record.quantity import Quantity


@probe(Quantity("draft accepted", "%", scale=100, digits=1, better="higher", column=True))
def draft_accepted_share(model: MeasuredModel, context: Batch | None) -> float | None:
    """Return the share of the proposed tokens that the model accepted, with runtime.draft."""
    counts = model.speculation
    return None if counts is None or counts.drafted == 0 else counts.accepted / counts.drafted


@probe(Quantity("tokens a call", better="higher", column=True))
def draft_tokens_per_call(model: MeasuredModel, context: Batch | None) -> float | None:
    """Return the number of tokens that a call of the model gave on average after the prompt, with runtime.draft; 1
    without any accepted."""
    counts = model.speculation
    return None if counts is None or counts.calls == 0 else 1 + counts.accepted / counts.calls
