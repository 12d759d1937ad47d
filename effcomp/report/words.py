"""Sentences about a configuration, and numbers with their units."""

import math

from effcomp.core.interval import Interval
from effcomp.record import GenerationQuality, GenerationVersus, LanguageVersus, NotMeasured, Record, VersusBaseline
from effcomp.report.objectives import Objective
from effcomp.report.rows import NamedRecord, spread


def verdict(row: NamedRecord) -> str:
    """Compare a configuration with the baseline in a sentence with every interval."""
    versus = row.record.versus_baseline
    if row.record.is_baseline or isinstance(versus, NotMeasured):
        return facts(row)
    language = isinstance(versus, LanguageVersus)
    margin = f"{versus.margin:g} nats a token" if language else f"{versus.margin * 100:g} points"
    judged = {
        "not worse": f"not worse by more than {margin}",
        "worse": f"worse by more than {margin}",
        "undecided": f"too few examples to say whether it is worse by more than {margin}",
    }[versus.verdict]
    return f"{facts(row)}: {judged}"


def facts(row: NamedRecord) -> str:
    """State how much faster, smaller and worse than the baseline it is, without a verdict."""
    speedup, cost = row.record.speed.speedup, row.record.cost
    times = f"{spread(speedup, 2)} times the baseline's speed"
    if row.record.is_baseline:
        return f"{row.name}: measured against itself, {times}; that is the noise of this measurement"
    if speedup.low > 1:
        pace = times
    elif speedup.high < 1:
        pace = f"slower than the baseline ({times})"
    else:
        pace = f"neither faster nor slower for certain ({times})"
    if (generation := row.record.speed.generation) is not None:
        pace += f", in decoding {spread(generation.decode_speedup, 2)} times"
    share = 1 - cost.size.artifact_bytes / cost.size.baseline_artifact_bytes
    size = f"{share:.0%} smaller" if share >= 0.005 else "larger" if share <= -0.005 else "the same size"
    return f"{row.name}: {pace}, {size}, {change(row.record)}"


def change(record: Record) -> str:
    """State the change of quality."""
    match record.versus_baseline:
        case NotMeasured() as versus:
            return f"quality {versus.status}"
        case LanguageVersus() as versus:
            return f"perplexity times {spread(versus.perplexity_ratio, 3)}"
        case VersusBaseline() as versus:
            return f"accuracy {spread(versus.accuracy_difference, 1, 100, '+')} points"
        case GenerationVersus() as versus:
            assert isinstance(record.quality, GenerationQuality), "texts are compared where texts are scored"
            headline = record.quality.headline
            points = spread(versus.differences[headline], 1, 100, "+")
            same = spread(versus.identical_tokens, 0, 100)
            return f"{headline} {points} points, {same} % of the baseline's tokens"


def doubts(row: NamedRecord) -> list[str]:
    """Return why a row's numbers should be read with care, each reason in a sentence."""
    truth, found = row.record.truth, []
    if truth.conditions is not None and truth.conditions.noise:
        found.append(f"{row.name}: noisy: {'; '.join(truth.conditions.noise)}")
    if any(speed.floor is not None and speed.floor.rates_exceeded for speed in row.record.speed.by_batch_size.values()):
        found.append(f"{row.name}: faster than the measured rates of this machine allow; its floor is its own time")
    if truth.kernels.expected_ran is False:
        found.append(f"{row.name}: none of the expected kernels of its number format ran")
    return found


def quantity(objective: Objective, interval: Interval) -> str:
    """Return a value in the unit of its objective's label: `4.05 [3.98, 4.11] ms`."""
    return f"{three_digits(objective, interval)} {objective.quantity.unit}".rstrip()


def three_digits(objective: Objective, interval: Interval) -> str:
    """Return a value without its unit, with three significant digits."""
    shown = interval.scaled(objective.quantity.scale)
    size = math.floor(math.log10(abs(shown.value))) if shown.value else 0
    digits = max(0, 2 - size)
    return spread(shown, digits) if shown.high > shown.low else f"{shown.value:.{digits}f}"
