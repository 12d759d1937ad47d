"""Pruning of the vocabulary: tokens that the task does not need leave the tokenizer and the embeddings."""

import re
from collections import Counter
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from effcomp.core.device import Device
from effcomp.core.errors import UserError
from effcomp.finetune.base import Finetune, TrainingCurve, TrainingSetup
from effcomp.finetune.distill import DistillFinetune
from effcomp.models.base import Model
from effcomp.models.costs import Costs
from effcomp.models.heads import Head
from effcomp.prune.base import Prune, PruneAndRecover, as_nested, joined
from effcomp.tasks.base import Examples, Splits
from effcomp.tasks.encoding import second_texts

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

MULTIPLE = 64
"""The number of kept tokens is filled up to a multiple of it: kernels compute the output matrix in blocks."""
UNUSED = re.compile(r"\[unused\d+\]")
"""Tokens of BERT that no text has."""


class Vocabulary(PruneAndRecover):
    """Removal of the tokens that neither the training texts nor the general list need.

    A word whose token is gone is spelled in smaller tokens, down to its characters, which all stay; a training text
    keeps the tokens that it had where `min_count` is 1. Abdaoui et al. 2020 ("Load What You Need: Smaller Versions of
    Multilingual BERT") choose tokens by their frequency in a language so.
    """

    id: ClassVar[str] = "prune/vocabulary"
    remaps_tokens: ClassVar[bool] = True
    min_count: Annotated[int, Field(ge=1)]
    """Keep the tokens that the training texts have at least this many times."""
    general: Annotated[float, Field(ge=0, le=1)]
    """Also keep this share of all tokens, the most frequent in general. They are the first by their ids: those of
    BERT's and of byte-pair tokenizers are numbered from frequent to rare."""
    then: Prune
    """Pruning of what is left, with a recovery of its own, which trains on the new tokens."""

    @property
    def trains(self) -> bool:
        return super().trains or self.then.trains

    @property
    def recoveries(self) -> list[tuple[str, Finetune]]:
        """Return the recovery after this pruning and that after the next, each with its setting."""
        found = [("prune.recovery", self.recovery)]
        if isinstance(self.then, PruneAndRecover):
            found.append(("prune.then.recovery", self.then.recovery))
        return found

    @property
    def reshapes(self) -> bool:
        return self.then.reshapes

    @property
    def measures(self) -> str | None:
        return self.then.measures

    def check_costs(self, config: "PretrainedConfig", costs: Costs) -> None:
        with as_nested():
            self.then.check_costs(config, costs)

    def check(self, model: Model) -> None:
        super().check(model)
        if self.then.remaps_tokens:
            raise UserError(f"prune@prune.then={self.then.name}: the tokens are pruned already; choose another")
        with as_nested():
            self.then.check(model)

    def check_device(self, device: Device) -> None:
        super().check_device(device)
        with as_nested():
            self.then.check_device(device)

    def check_config(self, config: "PretrainedConfig") -> None:
        with as_nested():
            self.then.check_config(config)

    def check_task(self, splits: Splits, head: Head, max_length: int) -> None:
        super().check_task(splits, head, max_length)
        with as_nested():
            self.then.check_task(splits, head, max_length)

    def check_vocabulary(self, tokenizer: "PreTrainedTokenizerBase | None") -> None:
        for setting, recovery in self.recoveries:
            if isinstance(recovery, DistillFinetune):
                reason = "a teacher of a language model must have its tokens, which the model before pruning has not"
                raise UserError(f"finetune@{setting}={recovery.name}: {reason}; use finetune@{setting}=full")

    def precision_on(self, device: Device) -> str:
        nested = [self.then.precision_on(device)] if isinstance(self.then, PruneAndRecover) else []
        return ", ".join([super().precision_on(device), *nested])

    def remapped(
        self, tokenizer: "PreTrainedTokenizerBase | None", train: Examples
    ) -> "PreTrainedTokenizerBase | None":
        from effcomp.models.vocabulary import without_tokens  # a heavy library: imported where the work begins

        if tokenizer is None:
            raise UserError(
                f"prune={self.name} needs a tokenizer, which the architecture alone has not; choose another"
            )
        try:
            return without_tokens(tokenizer, self.kept(tokenizer, train))
        except UserError as error:
            raise UserError(f"prune={self.name} cannot remap the model's tokenizer: {error}; choose another") from error

    def kept(self, tokenizer: "PreTrainedTokenizerBase", train: Examples) -> set[str]:
        """Return the tokens that stay.

        Raises:
            UserError: the tokenizer is not one that can be remapped. The message is the reason alone.
        """
        from effcomp.models.vocabulary import complete

        ids = tokenizer.get_vocab()
        general = [token for token in sorted(ids, key=lambda token: ids[token]) if not UNUSED.fullmatch(token)]
        counts = count_tokens(train, tokenizer)
        seen = {token for token, count in counts.items() if count >= self.min_count}
        stay = complete(tokenizer, seen.union(general[: round(self.general * len(general))]))
        more = (token for token in general if token not in stay)
        return stay.union(islice(more, -len(stay) % MULTIPLE))

    def prune(self, setup: TrainingSetup, dense: Path) -> tuple[TrainingSetup, TrainingCurve, float]:
        from effcomp.models.vocabulary import keep_tokens

        after = self.remapped(setup.tokenizer, setup.examples)
        assert setup.tokenizer is not None and after is not None, "`remapped` refuses it"
        keep_tokens(setup.model, setup.tokenizer, after)
        own = replace(setup, tokenizer=after, scratch=setup.scratch / "vocabulary")
        own, curve, seconds = self.recover(own, dense)
        if not isinstance(self.then, PruneAndRecover):
            return own, curve, seconds
        with as_nested():
            then, later, more = self.then.prune(replace(own, scratch=setup.scratch), dense)
        return then, joined(curve, later), seconds + more


def count_tokens(examples: Examples, tokenizer: "PreTrainedTokenizerBase") -> Counter[str]:
    """Count the tokens of all texts, pairs and references, whole."""
    texts = [*examples.texts, *second_texts(examples.pairs, tokenizer), *examples.references]
    encoded = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    counts = Counter(chain.from_iterable(encoded))
    return Counter(dict(zip(tokenizer.convert_ids_to_tokens(list(counts)), counts.values(), strict=True)))
