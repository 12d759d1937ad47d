"""All checks of a configuration: of its components against each other, then of model, data, settings and GPU.

Each raises UserError before anything is computed or written.
"""

from collections import Counter
from copy import deepcopy
from typing import TYPE_CHECKING

from effcomp.artifact.architectures import check_architecture, takes_cache
from effcomp.core import machine
from effcomp.core.component import nested, packages_of
from effcomp.core.errors import Skipped, UserError
from effcomp.core.packages import require
from effcomp.core.writable import check_writable
from effcomp.finetune.base import Finetune
from effcomp.finetune.qat import QuantAwareFinetune
from effcomp.models.heads import HEADS, POSITIONS_AFTER_PAD, Head, empty_model, longest_sequence
from effcomp.pipeline import tokens
from effcomp.pipeline.emulation import check_emulated
from effcomp.pipeline.matrices import check_matrices
from effcomp.prune.base import NoPrune, as_recovery
from effcomp.quant.base import Quant
from effcomp.quant.lowering import Lowering, lowering
from effcomp.runtimes.base import Runtime
from effcomp.tasks.base import Examples, Splits
from effcomp.tasks.encoding import blocks
from effcomp.tasks.generation import GenerationTask

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

    from effcomp.pipeline.compose import Components
    from effcomp.pipeline.stage import Run


def check(parts: "Components", in_sweep: bool = False) -> None:
    """Check the components against each other and against this machine, in seconds; nothing is written.

    Args:
        in_sweep: leave out what the processor emulates, unless device.emulated=true.

    Raises:
        UserError: the runtime does not execute the format; a package, data or a device is missing.
    """
    quant, runtime, task, model = parts.quant, parts.runtime, parts.task, parts.model
    if (task.problem, model.kind) not in HEADS:
        raise Skipped(f"task={task.name} has texts to write, which model={model.name}, an {model.kind}, does not")
    if task.problem == "generation" and not runtime.generates:
        raise Skipped(
            f"task={task.name} has texts to write, which runtime={runtime.name} does not; use torch or compile"
        )
    if parts.fold is not None and not task.folds:
        reason = f"task={task.name} tests on other data than it trains on (prompts, languages, another data set)"
        raise UserError(f"fold={parts.fold}: {reason}; leave fold out")
    if task.problem == "language_modelling" and parts.prune.remaps_tokens:
        reason = f"prune={parts.prune.name} changes the tokens, and task={task.name} compares the loss of each token"
        raise Skipped(f"{reason}; choose a task with classes, or with texts to write")
    quant.check(changes=parts.finetune.trains or not isinstance(parts.prune, NoPrune))
    lowering(quant, runtime.name, Lowering)
    if parts.device.kind != "auto":
        check_runs_on(parts.device.kind, f"device={parts.device.kind}", quant, runtime)
    for group, part in (("quant", quant), ("runtime", runtime), ("finetune", parts.finetune), ("prune", parts.prune)):
        for package in packages_of(part):
            require(package, f"{group}={part.name}")
    check_writable(parts.store, "store")
    parts.bench.check()
    parts.tracking.check()
    runtime.check()
    model.check(HEADS[task.problem, model.kind], as_it_is=not parts.finetune.trains)
    task.check()
    parts.finetune.check()
    parts.finetune.check_model(model)
    check_trained_format(parts)
    parts.prune.check(model)
    parts.device.check()
    resolved = parts.device.resolved()
    check_runs_on(resolved.kind, f"{resolved.kind}, which device=auto found", quant, runtime)
    if resolved.kind == "cuda":
        import torch

        gpu = torch.cuda.get_device_name(resolved.index)
        check_capability(torch.cuda.get_device_capability(resolved.index), gpu, quant, runtime)
    parts.finetune.check_device(resolved)
    parts.prune.check_device(resolved)
    check_emulated(quant, runtime, resolved, machine.cpu_info()[1], in_sweep)


def check_trained_format(parts: "Components") -> None:
    """Raise Skipped where quantization-aware training, or such a recovery, does not fit the runtime's codes."""
    for part in (*nested(parts.finetune), *nested(parts.prune)):
        if isinstance(part, QuantAwareFinetune):
            part.quant.check_training(parts.runtime.name)


def check_runs_on(kind: str, called: str, quant: Quant, runtime: Runtime) -> None:
    """Raise Skipped where a kind of device does not run the runtime, or the number format on it."""
    for what, devices in (
        (f"runtime={runtime.name}", runtime.devices),
        (f"quant={quant.name} on runtime={runtime.name}", lowering(quant, runtime.name, Lowering).devices),
    ):
        if kind not in devices:
            raise Skipped(f"{what} does not run on {called}; it runs on: {', '.join(devices)}")


def check_capability(there: tuple[int, int], gpu: str, quant: Quant, runtime: Runtime) -> None:
    """Raise Skipped where the number format or the runtime needs a younger GPU than this one."""
    needs = lowering(quant, runtime.name, Lowering).capability
    for what, needed in ((f"quant={quant.name}", needs), (f"runtime={runtime.name}", runtime.capability)):
        if there < needed:
            raise Skipped(
                f"{what} needs a GPU of compute capability {needed[0]}.{needed[1]}, and {gpu} has "
                f"{there[0]}.{there[1]}; choose another, or device=cpu"
            )


def check_fit(run: "Run") -> None:
    """Check the configuration against the model's config and the data.

    Raises:
        UserError: the model does not reach a length; there are too few examples or tokens; a model that is to be used
            as it is has learned nothing for this task; a teacher has other tokens.
    """
    parts, store, splits, head = run.components, run.store, run.splits, run.head
    before = parts.model.config(store)
    parts.prune.check_config(with_tokens(before, run.tokenizer) if parts.prune.remaps_tokens else before)
    parts.finetune.check_task(splits, head, parts.task.max_length)
    parts.prune.check_task(splits, head, parts.task.max_length)
    check_lengths(parts, head, longest_sequence(before.to_dict()))
    runtime, after = parts.runtime, parts.prune.config_after(before)
    check_architecture(after.model_type, runtime.file_format.name, runtime.name)
    if parts.task.problem == "generation" and not takes_cache(after, runtime.file_format.name):
        reason = f"task={parts.task.name} has texts to write, which needs a cache of keys and values"
        way_on = f"runtime={runtime.name} has none of {after.model_type}: choose another runtime or model"
        raise Skipped(f"{reason}; {way_on}")
    runtime.file_format.check_model(after, head, reshaped=parts.prune.reshapes)
    parts.quant.check_config(after)
    check_matrices(parts, head, before, after)
    if not parts.prune.reshapes and not parts.prune.remaps_tokens:
        parts.quant.check_shapes(empty_model(head, after))
    runtime.check_model(after, pairs=bool(splits.test.pairs))
    runtime.check_writing(head, after, run.tokenizer)
    check_counts(parts, splits)
    if run.device.kind == "cuda":
        import torch

        parameters = count_parameters(head, before)
        memory_bytes = torch.cuda.get_device_properties(run.device.index).total_memory
        check_gpu_memory(parts.model.name, parts.finetune, parameters, memory_bytes)
    tokenizer = parts.model.tokenizer(store)
    if parts.prune.remaps_tokens and after is before:  # a model of other tokens has its own positions
        check_pad_id(before.model_type, tokenizer, run.tokenizer)
    check_samples(parts, splits.train, tokenizer, head)
    check_tokens(run)
    if parts.model.weights == "random":
        return
    if isinstance(parts.task, GenerationTask):
        parts.task.check_headline(splits.test, store)
    if parts.task.problem == "language_modelling" and tokenizer is not None:
        check_blocks(parts.task.max_length, splits.test, tokenizer, head)
    if not parts.finetune.trains:
        parts.model.check_trained(head, store)
    check_students(run, before, tokenizer)
    if head != "sequence_classification":
        parts.finetune.check_vocabulary(tokenizer)
        parts.prune.check_vocabulary(tokenizer)


def with_tokens(config: "PretrainedConfig", tokenizer: "PreTrainedTokenizerBase | None") -> "PretrainedConfig":
    """Return the config of a model whose embeddings have the tokens of another tokenizer; None: its own."""
    if tokenizer is None:
        return config
    changed = deepcopy(config)
    changed.vocab_size, changed.pad_token_id = len(tokenizer), tokenizer.pad_token_id
    return changed


def check_students(run: "Run", config: "PretrainedConfig", tokenizer: "PreTrainedTokenizerBase | None") -> None:
    """Check that the teachers of the fine-tuning can teach this model, and those of recoveries the pruned one."""
    parts = run.components
    for part in nested(parts.finetune):
        if isinstance(part, Finetune):
            part.check_student(config, tokenizer)
    after = parts.prune.config_after(config)
    with as_recovery():
        for part in nested(parts.prune):
            if isinstance(part, Finetune):
                part.check_student(after, run.tokenizer, (config, tokenizer))


def count_parameters(head: Head, config: "PretrainedConfig") -> int:
    """Count the parameters of the architecture with a head, tied ones once; takes no memory for them."""
    return sum(parameter.numel() for parameter in empty_model(head, config).parameters())


def check_gpu_memory(model: str, finetune: Finetune, parameters: int, memory_bytes: int) -> None:
    """Raise UserError where the GPU cannot hold the float32 baseline of this many parameters, or their training; both
    are lower bounds, without activations."""
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


def check_lengths(parts: "Components", head: Head, longest: int | None) -> None:
    """Check the lengths of the settings against the model's.

    Args:
        longest: number of tokens that the model reads; None where its config sets no limit.
    """
    if longest is None:
        return
    if isinstance(parts.task, GenerationTask):
        parts.task.check_reach(longest)
    asked = {"task.max_length": parts.task.max_length, "bench.fixed_length": parts.bench.fixed_length}
    for setting, length in asked.items():
        if length is not None and length > longest:
            raise UserError(f"{setting}={length}: this model reads at most {longest} tokens; give at most {longest}")
    if head == "causal_lm" and parts.bench.new_tokens > longest - 2:
        reason = f"this model reads at most {longest} tokens, a prompt of 2 or more among them"
        raise UserError(f"bench.new_tokens={parts.bench.new_tokens}: {reason}; give at most {longest - 2}")


def check_counts(parts: "Components", splits: Splits) -> None:
    """Check that there are two test examples, which an interval needs; of each language, where there are several."""
    if parts.task.problem == "language_modelling":
        return  # its blocks count
    groups = Counter(splits.test.groups or ["test"] * len(splits.test))
    if alone := [group for group, count in groups.items() if count < 2]:
        raise UserError(f"task={parts.task.name}: {alone[0]} has 1 example, and an interval needs at least 2: add some")


def check_samples(
    parts: "Components", train: Examples, tokenizer: "PreTrainedTokenizerBase | None", head: Head
) -> None:
    """Check that there are enough training examples, or blocks of documents, to fit the number format to."""
    asked, there, what = parts.quant.calibration_samples, len(train), "examples"
    if asked and head != "sequence_classification" and tokenizer is not None:
        there, what = count_blocks(train, tokenizer, parts.task.max_length, head, asked), "blocks"
    if asked > there:
        raise UserError(
            f"quant.samples={asked}: the task has {there} training {what} to fit the format to; give at most {there}"
        )


def check_tokens(run: "Run") -> None:
    """Check that each prompt is short enough for baseline and variant, and the test long enough for one sequence of the
    length that is timed."""
    length = run.components.bench.fixed_length
    if length is None and run.components.task.problem != "generation":
        return
    sides = (run.baseline(), run) if run.components.prune.remaps_tokens else (run,)
    there = min(int(tokens.inputs(side).lengths.sum()) for side in sides)
    if length is not None and there < length:
        raise UserError(f"bench.fixed_length={length}: the test has {there} tokens; give at most {there}")


def check_pad_id(
    model_type: str, before: "PreTrainedTokenizerBase | None", after: "PreTrainedTokenizerBase | None"
) -> None:
    """Check that positions which are counted from the pad id stay with fewer tokens."""
    pads = {None if tokenizer is None else tokenizer.pad_token_id for tokenizer in (before, after)}
    if model_type in POSITIONS_AFTER_PAD and len(pads) > 1:
        raise UserError(
            f"prune=vocabulary moves the pad token, from which {model_type} counts positions; choose another"
        )


def check_blocks(max_length: int, test: Examples, tokenizer: "PreTrainedTokenizerBase", head: Head) -> None:
    if count_blocks(test, tokenizer, max_length, head, 2) < 2:
        raise UserError(
            f"task.max_length={max_length}: the test is one block of so many tokens, and an interval needs at least 2; "
            "give a smaller one, or more text"
        )


def count_blocks(
    examples: Examples, tokenizer: "PreTrainedTokenizerBase", max_length: int, head: Head, enough: int
) -> int:
    """Count the blocks that the examples make; no more examples are read than make `enough`."""
    first = 1  # documents: most are longer than a block
    while (count := len(blocks(examples.take(list(range(first))), tokenizer, max_length, head))) < enough:
        if first == len(examples):
            break
        first = min(2 * first, len(examples))
    return count
