"""Generation of the continuations of all prompts of a test, in batches."""

from collections.abc import Callable

import numpy as np

from effcomp.core.batches import Ragged, batches_by_length
from effcomp.core.progress import Progress
from effcomp.measure.generated_texts import Written
from effcomp.runtimes.base import Loaded


def write(
    model: Loaded, prompts: Ragged, batch_size: int, new_tokens: int, ended: Callable[[list[int]], bool]
) -> Written:
    """Generate a text after each prompt and return them in order; prompts of similar length are batched together.

    Args:
        new_tokens: maximum number of tokens generated after a prompt.
        ended: function that tells whether a text with these tokens is finished.
    """
    batches = batches_by_length(prompts.lengths, batch_size)
    decoded = []
    with Progress("writing texts", len(prompts)) as progress:
        for indices in batches:
            decoded.append(model.decode(prompts.batch(indices, left=True), new_tokens, ended))
            progress.add(len(indices))
    order = np.argsort(np.concatenate(batches))
    tokens = [of_one for batch in decoded for of_one in batch.tokens]
    losses = np.array([loss for batch in decoded for loss in batch.losses])
    prefill_s = sum(batch.step_ns[0] for batch in decoded) / 1e9
    decode_s = sum(sum(batch.step_ns[1:]) for batch in decoded) / 1e9
    after_the_first = sum(len(of_one) - 1 for of_one in tokens)
    return Written(
        tokens=[tokens[index] for index in order],
        losses=losses[order],
        ended=[ended(tokens[index]) for index in order],
        batch_size=batch_size,
        prefill_tokens_per_s=int(prompts.lengths.sum()) / prefill_s,
        decode_tokens_per_s=after_the_first / decode_s if after_the_first else None,
    )
