"""Registry of the scores of written texts.

    @score("distinct_1")
    def distinct_1(outputs: Outputs) -> Scores: ...

registers a score by the name that task.metrics.scores gives. effcomp.metrics.choice imports every module of this
package, so a new score is a module of its own and no list names it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from effcomp.core.statistics import Floats
from effcomp.metrics.scores import AnyScores

if TYPE_CHECKING:
    from effcomp.metrics.readers import Readers


@dataclass(frozen=True)
class Outputs:
    """Texts that a model wrote, with the inputs of all scores."""

    prompts: list[str]
    texts: list[str]
    references: list[str]
    losses: Floats
    """(texts, 2): the summed loss of each text's tokens under the model itself, in nats, and their number."""
    readers: "Readers"
    """Models that read the texts for a score."""

    @property
    def listed(self) -> list[list[str]]:
        """Return one reference a text, in a list of its own, as the metrics take them."""
        return [[reference] for reference in self.references]

    def likeness_to(self, texts: list[str]) -> "Outputs":
        """Return the same texts with other references."""
        return replace(self, references=texts)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A score of written texts."""

    compute: Callable[[Outputs], AnyScores]
    """Raises NoScore where these outputs do not have it."""
    library: str | None
    """Package of the extra [generation] that it needs, by import name."""
    compares: bool
    """True for the similarity to a reference, which may be another model's text."""
    embeds: bool
    """True if it needs the encoder."""
    share: bool
    """True for a score between 0 and 1 of which more is better, which a verdict can compare."""


METRICS: dict[str, Metric] = {}
"""The registered scores by their names."""


def score(
    name: str, library: str | None = None, compares: bool = False, embeds: bool = False, share: bool = True
) -> Callable[[Callable[[Outputs], AnyScores]], Callable[[Outputs], AnyScores]]:
    """Register the decorated function under this name (see Metric).

    Raises:
        ValueError: the name is registered already.
    """

    def register(compute: Callable[[Outputs], AnyScores]) -> Callable[[Outputs], AnyScores]:
        if name in METRICS:
            raise ValueError(f"there is a score {name} already")
        METRICS[name] = Metric(compute=compute, library=library, compares=compares, embeds=embeds, share=share)
        return compute

    return register
