"""Records that repeat each other: their baseline, their calls, and how quiet the machine was."""

from effcomp.record.record import Record


def is_noisy(record: Record) -> bool:
    """Tell whether other work disturbed the measurement."""
    return record.truth.conditions is not None and bool(record.truth.conditions.noise)


def setting_of_baseline(record: Record) -> tuple[object, ...]:
    """Return the baseline that a record was measured beside, the machine and the texts."""
    truth = record.truth
    return (truth.baseline_artifact, truth.machine.device, truth.machine.threads, truth.data.fingerprint)


def setting_of_calls(record: Record) -> tuple[object, ...]:
    """Return the setting of calls with whole texts."""
    return (*setting_of_baseline(record), record.speed.fixed_length, *record.speed.by_batch_size)


def setting_of_decoding(record: Record) -> tuple[object, ...]:
    """Return the setting of decoding token by token."""
    generation = record.speed.generation
    return (*setting_of_baseline(record), *((generation.prompt_tokens, generation.new_tokens) if generation else ()))
