"""Whether model, data, settings and GPU fit one another, which only the model's config and the data can say: refused
before anything is computed or written."""

from collections import Counter
from typing import TYPE_CHECKING

from effcomp.core.errors import UserError
from effcomp.core.store import Store
from effcomp.finetune.base import Finetune
from effcomp.models.heads import HEADS, Head, longest_sequence, model_class
from effcomp.pipeline import stages
from effcomp.pipeline.compose import Parts
from effcomp.tasks.base import Examples, Splits
from effcomp.tasks.blocks import blocks
from effcomp.tasks.generation import GenerationTask

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase


def check_fit(parts: Parts, store: Store, splits: Splits) -> None:
    """Raises UserError for a length that the model does not reach, for too few examples or tokens, for a model that is
    to be used as it is and has learned nothing for this task, and for a teacher with other tokens."""
    head = HEADS[parts.task.objective, parts.model.kind]
    check_lengths(parts, head, longest_sequence(parts.model.shape(store).to_dict()))
    check_counts(parts, splits)
    device = parts.device.resolved()
    if device.kind == "cuda":
        import torch

        parameters = count_parameters(head, parts.model.shape(store))
        check_gpu_memory(
            parts.model.name, parts.finetune, parameters, torch.cuda.get_device_properties(device.index).total_memory
        )
    tokenizer = parts.model.tokenizer(store)
    check_samples(parts, splits.train, tokenizer, head)
    check_tokens(parts, store, splits, head)
    if parts.model.weights == "random":
        return
    if parts.task.objective == "language_modelling" and tokenizer is not None:
        check_blocks(parts.task.max_length, splits.test, tokenizer, head)
    if not parts.finetune.trains:
        parts.model.check_trained(head, store)
    if head != "sequence_classification":
        parts.finetune.check_vocabulary(tokenizer)
        parts.prune.check_vocabulary(tokenizer)


def count_parameters(head: Head, config: "PretrainedConfig") -> int:
    """Of the architecture with a head, tied ones once; takes no memory for them."""
    from accelerate import init_empty_weights

    with init_empty_weights():
        model = model_class(head, config)(config)
    model.tie_weights()
    return sum(parameter.numel() for parameter in model.parameters())


def check_gpu_memory(model: str, finetune: Finetune, parameters: int, memory_bytes: int) -> None:
    """Raise UserError where the GPU cannot hold the float32 baseline of so many parameters, or their training: the
    least that each takes, without activations."""
    needs = {f"the float32 baseline of model={model}": (4.0, "choose a smaller model")}
    if finetune.trains:
        needs[f"finetune={finetune.name} of model={model}"] = (
            finetune.bytes_per_parameter,
            "finetune=lora and finetune=qlora take less",
        )
    for what, (each, way_on) in needs.items():
        if each * parameters > memory_bytes:
            least, there = each * parameters / 1e9, memory_bytes / 1e9
            reason = f"{what} takes {least:.1f} GB of the GPU's memory at least, and it has {there:.1f} GB"
            raise UserError(f"{reason}; {way_on}, or another GPU")


def check_lengths(parts: Parts, head: Head, longest: int | None) -> None:
    """longest: what the model reads; None where its config does not say."""
    if longest is None:
        return
    if isinstance(parts.task, GenerationTask):
        parts.task.check_reach(longest)
    asked = {"task.max_length": parts.task.max_length, "bench.fixed_length": parts.bench.fixed_length}
    for setting, length in asked.items():
        if length is not None and length > longest:
            raise UserError(f"{setting}={length}: this model reads at most {longest} tokens; give so many or fewer")
    if head == "causal_lm" and parts.bench.new_tokens > longest - 2:
        reason = f"this model reads at most {longest} tokens, a prompt of 2 or more among them"
        raise UserError(f"bench.new_tokens={parts.bench.new_tokens}: {reason}; give {longest - 2} or fewer")


def check_counts(parts: Parts, splits: Splits) -> None:
    """Intervals need two examples; of each language, where there are several."""
    if parts.task.objective == "language_modelling":
        return  # its blocks count
    groups = Counter(splits.test.groups or ["test"] * len(splits.test))
    if alone := [group for group, count in groups.items() if count < 2]:
        raise UserError(f"task={parts.task.name}: {alone[0]} has 1 example, and an interval needs at least 2: add some")


def check_samples(parts: Parts, train: Examples, tokenizer: "PreTrainedTokenizerBase | None", head: Head) -> None:
    """What the number format is fitted to: training examples, or blocks of documents."""
    asked, there, what = parts.quant.calibration_samples, len(train), "examples"
    if asked and head != "sequence_classification" and tokenizer is not None:
        there, what = count_blocks(train, tokenizer, parts.task.max_length, head, asked), "blocks"
    if asked > there:
        raise UserError(f"quant.samples={asked}: the task has {there} training {what} to fit the scales to")


def check_tokens(parts: Parts, store: Store, splits: Splits, head: Head) -> None:
    """Whether each prompt is short enough, and the test long enough for one sequence of the length that is timed."""
    length = parts.bench.fixed_length
    if length is None and parts.task.objective != "generation":
        return
    there = int(stages.inputs(store, parts.model, parts.task, splits, head).lengths.sum())
    if length is not None and there < length:
        raise UserError(f"bench.fixed_length={length}: the test has {there} tokens; give so many or fewer")


def check_blocks(max_length: int, test: Examples, tokenizer: "PreTrainedTokenizerBase", head: Head) -> None:
    if count_blocks(test, tokenizer, max_length, head, 2) < 2:
        raise UserError(
            f"task.max_length={max_length}: the test is one block of so many tokens, and an interval needs at least 2; "
            "give a smaller one, or more text"
        )


def count_blocks(
    examples: Examples, tokenizer: "PreTrainedTokenizerBase", max_length: int, head: Head, enough: int
) -> int:
    """How many blocks the examples make; no more of them are read than make `enough`."""
    first = 1  # documents: most are longer than a block
    while (count := len(blocks(examples.take(list(range(first))), tokenizer, max_length, head))) < enough:
        if first == len(examples):
            break
        first = min(2 * first, len(examples))
    return count
