"""A configuration in a sentence."""

from effcomp.record import LanguageVersus, NotMeasured
from effcomp.report.rows import Row, is_baseline, spread


def verdict(row: Row) -> str:
    """One configuration against the baseline, in a sentence with every interval."""
    speedup, versus, cost = row.record.speed.speedup, row.record.versus_baseline, row.record.cost
    times = f"{spread(speedup, 2)} times the baseline's speed"
    if is_baseline(row.record):
        return f"{row.name}: measured against itself, {times}; that is the noise of this measurement"
    if speedup.low > 1:
        pace = times
    elif speedup.high < 1:
        pace = f"slower than the baseline ({times})"
    else:
        pace = f"neither faster nor slower for certain ({times})"
    share = 1 - cost.artifact_bytes / cost.baseline_artifact_bytes
    size = f"{share:.0%} smaller" if share >= 0.005 else "larger" if share <= -0.005 else "the same size"
    if isinstance(versus, NotMeasured):
        return f"{row.name}: {pace}, {size}, quality {versus.status}"
    if isinstance(versus, LanguageVersus):
        margin, change = f"{versus.margin:g} nats a token", f"perplexity times {spread(versus.perplexity_ratio, 3)}"
    else:
        margin = f"{versus.margin * 100:g} points"
        change = f"accuracy {spread(versus.accuracy_difference, 1, 100, '+')} points"
    judged = {
        "not worse": f"not worse by more than {margin}",
        "worse": f"worse by more than {margin}",
        "undecided": f"too few examples to say whether it is worse by more than {margin}",
    }[versus.verdict]
    return f"{row.name}: {pace}, {size}, {change}: {judged}"


def doubts(row: Row) -> list[str]:
    """Why a row's numbers should be read with care, each in a sentence."""
    truth, found = row.record.truth, []
    if truth.conditions is not None:
        found += [f"{row.name}: noisy: {reason}" for reason in truth.conditions.noise]
    if truth.promised_kernel_ran is False:
        found.append(f"{row.name}: no operator ran that makes this number format what it is")
    return found
