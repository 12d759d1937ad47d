"""Stage that stores the token ids of the test, and token ids of calibration examples."""

from importlib.metadata import version
from typing import TYPE_CHECKING

from effcomp.core.batches import Batch, Ragged
from effcomp.core.code_key import code_key
from effcomp.core.store import Entry
from effcomp.tasks.base import Examples
from effcomp.tasks.encoding import encode, encode_blocks, encode_prompts
from effcomp.tasks.splits import subset
from effcomp.tasks.synthetic import synthetic_tokens

if TYPE_CHECKING:
    from effcomp.pipeline.stage import Run

TOKENS_FILE = "tokens.safetensors"
FEW = 3
MASK_SEED = 0
"""Seed of the masked positions; fixed so that all runs share them."""


def tokens(run: "Run") -> Entry:
    """Store the token ids of the test examples as the run's artifact reads them, in their order: a folder with
    TOKENS_FILE."""
    model, task, prune = run.components.model, run.components.task, run.components.prune
    key = {
        "model": model.identity(run.store),
        "data": run.splits.fingerprint(),
        "max_length": task.max_length,
        "head": run.head,
        "problem": task.problem,
        "code": code_key(__name__, type(model).__module__),
        "transformers": version("transformers"),
        "remapped": prune.key() if prune.remaps_tokens else None,
    }
    return run.store.get("tokens", key, lambda folder: inputs(run).save(folder / TOKENS_FILE))


def inputs(run: "Run") -> Ragged:
    """Encode the test examples as the artifact reads them; for generation the prompts alone."""
    task = run.components.task
    if task.problem == "generation" and run.tokenizer is not None:
        return encode_prompts(run.splits.test, run.tokenizer, task.max_length)
    return token_ids(run, run.splits.test)


def token_ids(run: "Run", examples: Examples) -> Ragged:
    """Encode examples as the artifact reads them: a sequence for each in classification, blocks of them all in language
    modelling, random ids where the model has no tokenizer."""
    max_length, tokenizer = run.components.task.max_length, run.tokenizer
    if tokenizer is None:
        return synthetic_tokens(examples, run.components.model.config(run.store).vocab_size, max_length, MASK_SEED)
    if run.head == "sequence_classification":
        return encode(examples, tokenizer, max_length)
    return encode_blocks(examples, tokenizer, max_length, run.head, MASK_SEED)


def few(run: "Run") -> list[Batch]:
    """Encode three training examples in one padded batch and the first of them alone, without labels: the logits of an
    artifact are compared on them with its checkpoint's."""
    made = token_ids(run, run.splits.train.take(list(range(min(FEW, len(run.splits.train))))))
    return [made.batch(list(range(min(FEW, len(made))))), made.batch([0])]


def calibration(run: "Run") -> list[Batch]:
    """Encode the training examples that the number format is fitted to, each a batch of one; of documents blocks."""
    if (count := run.components.quant.calibration_samples) == 0:
        return []
    train = run.splits.train
    examples = subset(train, count, run.components.seed) if run.head == "sequence_classification" else train
    made = token_ids(run, examples)
    return [made.batch([index]) for index in range(count)]
