"""Result of a single run in a few lines, for a person."""

from effcomp.core.text import labelled
from effcomp.record import Record
from effcomp.report.objectives import OBJECTIVES
from effcomp.report.rows import rows
from effcomp.report.words import doubts, quantity, verdict

SHOWN = (
    *("accuracy", "perplexity", "strict_match", "rougeL", "latency_p50_ms", "decode_ms_per_token"),
    *("artifact_bytes", "peak_rss_bytes", "energy_per_sample_j"),
)
"""Objectives whose values are shown, where the record has them."""


def ending(record: Record) -> str:
    """Return the verdict in a sentence, the numbers behind it, and why to read them with care."""
    (one,) = rows([record])
    found = {name: OBJECTIVES[name].value(record) for name in SHOWN}
    numbers = [
        f"{OBJECTIVES[name].quantity.label} {quantity(OBJECTIVES[name], value)}"
        for name, value in found.items()
        if value is not None
    ]
    lines = [("result", verdict(one)), ("numbers", "; ".join(numbers)), *(("careful", doubt) for doubt in doubts(one))]
    return "\n".join(labelled(name, text) for name, text in lines)
