"""Do the intervals and verdicts hold effects that are known because they were planted? By simulation.

    python benchmarks/planted_effects.py          (about three minutes on a core; no model is loaded)

Speed: logarithms of turns' times have an error for each pair of processes and one for each turn; the variant is faster
by exactly the planted factor. Accuracy: predictions of a classifier that is right in nine of ten examples are flipped
so that the true difference is exactly the planted one. Every interval is computed by the functions that a run calls.
Writes planted_effects.json and planted_effects.png beside this file.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import binomtest

from effcomp.core.interval import Interval
from effcomp.core.pairs import pairs_interval
from effcomp.core.statistics import paired_difference, ratio_interval, verdict
from effcomp.measure.stopping import LOOKS, ends
from effcomp.report.choose.multiplicity import stretch

SPEEDUPS = (1.02, 1.1, 1.3, 3.0)
PAIRS = {"quick": (1, 15), "standard": (3, 8), "thorough": (5, 24)}
"""Pairs, and turns in each, of the choices of bench."""
MACHINES = {"steady": (0.008, 0.02, None), "moving": (0.036, 0.05, None), "heavy tails": (0.008, 0.02, 3)}
"""Standard deviation between pairs and between turns, as measured on a CPU (same_model_twice.json) and a GPU (h100.md);
degrees of freedom of the errors' t distribution, None for normal errors."""
PRECISION = 0.02
DROPS = (0.002, 0.005, 0.01)
MARGIN = 0.005
EXAMPLES, RIGHT, FLIPPED = (872, 5000), 0.9, 0.03
CONFIGURATIONS = 12
SHOWN = {1: "one pair of processes: interval over its turns", 3: "three pairs: interval over pairs"}
DRAWN, TURNS = 20, 120
SPEED_TRIES, ACCURACY_TRIES, CHOICES = 400, 2000, 500


def errors(generator: np.random.Generator, size: tuple[int, ...], deviation: float, tail: int | None) -> Any:
    """Return errors of this standard deviation."""
    if tail is None:
        return generator.normal(0, deviation, size)
    return generator.standard_t(tail, size) * deviation / np.sqrt(tail / (tail - 2))


def measured_speedup(generator: np.random.Generator, truth: float, bench: str, machine: str) -> Interval:
    """Return the speed-up that one simulated measurement reports."""
    pairs, turns = PAIRS[bench]
    between, within, tail = MACHINES[machine]
    ratios = truth * np.exp(
        errors(generator, (pairs, 1), between, tail) + errors(generator, (pairs, turns), within, tail)
    )
    return pairs_interval([ratio_interval(one[:, None], np.ones((turns, 1))) for one in ratios])


def answers(generator: np.random.Generator, examples: int, drop: float) -> Sequence[NDArray[np.bool_]]:
    """Return which examples baseline and variant answer correctly; the true accuracy falls by exactly `drop`."""
    lost, won = (FLIPPED + drop) / 2, (FLIPPED - drop) / 2
    kinds = generator.choice(4, size=examples, p=[RIGHT - lost, lost, won, 1 - RIGHT - won])
    return kinds <= 1, (kinds == 0) | (kinds == 2)


def share(times: int, tries: int) -> dict[str, float]:
    """Return a share of tries with its exact 95 % interval."""
    bounds = binomtest(times, tries).proportion_ci()
    return {"value": times / tries, "low": round(float(bounds.low), 4), "high": round(float(bounds.high), 4)}


def held(tries: Sequence[Interval], truth: float) -> dict[str, dict[str, float]]:
    """Return how often the interval of a measurement holds the truth, and the value of the next measurement."""
    again = [*tries[1:], tries[0]]
    inside = sum(one.low <= later.value <= one.high for one, later in zip(tries, again, strict=True))
    true = sum(one.low <= truth <= one.high for one in tries)
    return {"holds_the_truth": share(true, len(tries)), "holds_a_repeat": share(inside, len(tries))}


def of_speed(generator: np.random.Generator) -> list[dict[str, Any]]:
    """Return what intervals of planted speed-ups hold, and their median width in per cent."""
    found = []
    for machine in MACHINES:
        for bench in PAIRS:
            for truth in SPEEDUPS:
                tries = [measured_speedup(generator, truth, bench, machine) for _ in range(SPEED_TRIES)]
                width = float(np.median([100 * (one.high / one.low - 1) for one in tries]))
                row = {"machine": machine, "bench": bench, "speedup": truth, "median_width_percent": round(width, 1)}
                found.append(row | held(tries, truth))
    return found


def of_stopping(generator: np.random.Generator) -> list[dict[str, Any]]:
    """Return what intervals hold when pairs are added until the speed-up is precise: corrected for the looks, and with
    95 % at each."""
    truth, every, found = SPEEDUPS[1], PAIRS["standard"][0], []
    for machine in MACHINES:
        tries = [measured_until_precise(generator, truth, machine) for _ in range(SPEED_TRIES)]
        corrected, alone = (
            held([pairs_interval(pairs, looks=looks) for pairs in tries], truth) for looks in (LOOKS, 1)
        )
        found.append(
            {
                "machine": machine,
                "precision": PRECISION,
                "mean_pairs": round(float(np.mean(list(map(len, tries)))), 1),
                "most_pairs": every * LOOKS,
                "corrected": corrected,
                "at_95_percent_each_look": alone,
            }
        )
    return found


def measured_until_precise(generator: np.random.Generator, truth: float, machine: str) -> list[Interval]:
    """Return the speed-ups of the pairs that one simulated measurement makes."""
    (every, turns), (between, within, tail) = PAIRS["standard"], MACHINES[machine]
    pairs: list[Interval] = []
    while not pairs or not ends(pairs, every, PRECISION):
        logarithms = errors(generator, (1,), between, tail) + errors(generator, (turns,), within, tail)
        pairs.append(ratio_interval(truth * np.exp(logarithms)[:, None], np.ones((turns, 1))))
    return pairs


def of_accuracy(generator: np.random.Generator) -> list[dict[str, Any]]:
    """Return the coverage of planted drops, and the share that is called not worse by more than MARGIN."""
    found = []
    for examples in EXAMPLES:
        for drop in DROPS:
            tries = [paired_difference(*answers(generator, examples, drop)) for _ in range(ACCURACY_TRIES)]
            inside = sum(one.low <= -drop <= one.high for one in tries)
            passed = sum(verdict(one, MARGIN) == "not worse" for one in tries)
            row = {"examples": examples, "drop_points": 100 * drop, "coverage": share(inside, ACCURACY_TRIES)}
            found.append(row | {"called_not_worse": share(passed, ACCURACY_TRIES)})
    return found


def of_choices(generator: np.random.Generator) -> dict[str, Any]:
    """Return how often any of CONFIGURATIONS that lose exactly the limit is kept, at 95 % each and corrected."""
    alone = together = 0
    for _ in range(CHOICES):
        found = [paired_difference(*answers(generator, EXAMPLES[0], MARGIN)) for _ in range(CONFIGURATIONS)]
        alone += any(one.low > -MARGIN for one in found)
        together += any(stretch(one, CONFIGURATIONS, geometric=False).low > -MARGIN for one in found)
    return {
        "configurations": CONFIGURATIONS,
        "any_kept_at_95_percent_each": share(alone, CHOICES),
        "any_kept_with_corrected_intervals": share(together, CHOICES),
    }


def figure() -> Figure:
    """Draw measurements of one speed-up with intervals over the turns of one pair, and over three pairs."""
    truth, (between, within, _) = SPEEDUPS[1], MACHINES["steady"]
    drawn = Figure(figsize=(9, 3.6), layout="constrained")
    panels = drawn.subplots(1, 2, sharey=True)
    for panel, (pairs, title) in zip(panels, SHOWN.items(), strict=True):
        generator = np.random.default_rng(0)
        panel.axhline(truth, color="grey", linestyle=":")
        for number in range(DRAWN):
            turns = TURNS // pairs
            logarithms = generator.normal(0, between, (pairs, 1)) + generator.normal(0, within, (pairs, turns))
            of_turns = [ratio_interval(truth * np.exp(one)[:, None], np.ones((turns, 1))) for one in logarithms]
            found = pairs_interval(of_turns) if pairs > 1 else of_turns[0]
            holds = found.low <= truth <= found.high
            reach = [[found.value - found.low], [found.high - found.value]]
            panel.errorbar(number, found.value, reach, fmt="o" if holds else "x", color="C0" if holds else "C3")
        panel.set(title=title, xlabel="measurement", xticks=[])
    panels[0].set_ylabel("speed-up")
    return drawn


def main() -> None:
    generator = np.random.default_rng(0)
    result = {
        "command": "python benchmarks/planted_effects.py",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "tries": {"speed": SPEED_TRIES, "accuracy": ACCURACY_TRIES, "choices": CHOICES},
        "speed": of_speed(generator),
        "accuracy": of_accuracy(generator),
        "choice_of_the_best": of_choices(generator),
        "stopping": of_stopping(generator),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    figure().savefig(Path(__file__).with_suffix(".png"))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
