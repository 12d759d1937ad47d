"""Training examples as rows of tokens with their labels, and batches of them."""

from typing import TYPE_CHECKING, Any

from effcomp.finetune.base import TrainingRow, TrainingSetup
from effcomp.tasks.base import Examples
from effcomp.tasks.encoding import blocks, token_columns
from effcomp.tasks.splits import subset

if TYPE_CHECKING:
    from transformers import BatchEncoding, PreTrainedTokenizerBase

BATCH = 16
"""Number of rows in a batch of `drawn_batches`."""


def the_tokenizer(setup: TrainingSetup) -> "PreTrainedTokenizerBase":
    assert setup.tokenizer is not None, "an architecture alone is not trained"
    return setup.tokenizer


def training_rows(setup: TrainingSetup, examples: Examples) -> list[TrainingRow]:
    """Return the Trainer's data set: a row for each example, or for each block of the documents."""
    tokenizer = the_tokenizer(setup)
    if setup.head == "sequence_classification":
        columns = token_columns(examples, tokenizer, setup.max_length)
        return [
            {**{name: rows[i] for name, rows in columns.items()}, "labels": label}
            for i, label in enumerate(examples.labels)
        ]
    packed = blocks(examples, tokenizer, setup.max_length, setup.head)
    if setup.head == "masked_lm":
        return [{"input_ids": block} for block in packed]
    return [{"input_ids": block, "labels": block} for block in packed]


def drawn_rows(setup: TrainingSetup, samples: int) -> list[TrainingRow]:
    """Return rows of training examples.

    Args:
        samples: maximum number of examples, drawn with the run's seed, or of blocks of documents.
    """
    return training_rows(setup, subset(setup.examples, min(samples, len(setup.examples)), setup.seed))[:samples]


def drawn_batches(setup: TrainingSetup, samples: int) -> "list[BatchEncoding]":
    """Return such rows in batches of BATCH on the run's device; masks of a masked language model by the run's seed."""
    from transformers import set_seed

    rows, collate = drawn_rows(setup, samples), collator(setup)
    set_seed(setup.seed)
    batches = (collate(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH))
    return [batch.to(setup.device.torch_name) for batch in batches]


def collator(setup: TrainingSetup) -> Any:
    """Return the function that makes a batch of such rows; a masked model's draws new masks at each epoch."""
    from transformers import DataCollatorForLanguageModeling, DataCollatorForSeq2Seq, DataCollatorWithPadding

    makers = {
        "sequence_classification": DataCollatorWithPadding,
        "masked_lm": DataCollatorForLanguageModeling,
        "causal_lm": DataCollatorForSeq2Seq,
    }
    return makers[setup.head](the_tokenizer(setup))
