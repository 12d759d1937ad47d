"""Exact match of the final number of a worked solution, found in two ways.

Patterns and clean-up are those of lm-evaluation-harness's task gsm8k (Gao et al. 2024), for comparable numbers.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np

from effcomp.metrics.registry import Outputs, score
from effcomp.metrics.scores import Matches, NoScore, check_pairs

STRICT = re.compile(r"#### (\-?[0-9\.\,]+)")
"""GSM8K's mark of an answer (Cobbe et al. 2021); the first match counts."""
FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
"""Any number; the last match in the text counts."""


def strict_match(outputs: Sequence[str], answers: Sequence[str]) -> Matches:
    """Tell whether the number after the first `#### ` is the reference's; an output without one is wrong.

    Args:
        answers: worked solutions, each with its `#### NUMBER`.

    Raises:
        ValueError: no outputs, or not an answer for each.
        NoScore: an answer without its number.
    """
    return matches("exact match, strict (number after ####)", outputs, answers, strict_answer)


def flexible_match(outputs: Sequence[str], answers: Sequence[str]) -> Matches:
    """Tell whether the last number of the output is the reference's; an output without one is wrong.

    Raises:
        ValueError, NoScore: as `strict_match`.
    """
    return matches("exact match, flexible (last number)", outputs, answers, flexible_answer)


def matches(name: str, outputs: Sequence[str], answers: Sequence[str], extract: Callable[[str], str | None]) -> Matches:
    check_pairs(outputs, answers, "answers")
    right = [extract(output) == true_answer(answer) for output, answer in zip(outputs, answers, strict=True)]
    return Matches(name, np.array(right, float))


def strict_answer(text: str) -> str | None:
    found = STRICT.search(text)
    return plain(found[1]) if found else None


def flexible_answer(text: str) -> str | None:
    found = FLEXIBLE.findall(text)
    return plain(next(filter(None, found[-1]))) if found else None


def true_answer(answer: str) -> str:
    """Return the number of a reference. Raises NoScore where it has none."""
    if (found := strict_answer(answer)) is None:
        raise NoScore(f"the reference {answer!r} has no number after ####")
    return found


def plain(number: str) -> str:
    """Remove commas, currency signs and a final full stop from a number."""
    return number.replace(",", "").replace("$", "").removesuffix(".")


@score("strict_match")
def strict_match_of(outputs: Outputs) -> Matches:
    return strict_match(outputs.texts, outputs.references)


@score("flexible_match")
def flexible_match_of(outputs: Outputs) -> Matches:
    return flexible_match(outputs.texts, outputs.references)
