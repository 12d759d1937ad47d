"""Recognition of the baseline record."""

from effcomp.record import Record


def is_baseline(record: Record) -> bool:
    """Return True if this is the float32 model that the others are compared with."""
    same_artifact = record.truth.artifact == record.truth.baseline_artifact
    return same_artifact and record.choices["runtime"] == "torch"
