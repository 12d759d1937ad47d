"""Generation tasks: the model continues a prompt, and its text is scored."""

from abc import abstractmethod
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field

from effcomp.core.errors import UserError
from effcomp.core.store import Store
from effcomp.metrics.choice import Score, TextMetrics, scored
from effcomp.metrics.exact_match import strict_answer
from effcomp.metrics.registry import METRICS, Outputs
from effcomp.models.heads import Problem
from effcomp.tasks.base import Examples, Splits, Task
from effcomp.tasks.documents import DocumentsTask
from effcomp.tasks.signature import Signature
from effcomp.tasks.splits import subset

SUBSET_SEED = 0
"""Seed of the `test_size` test examples; fixed so that all runs share them."""


class GenerationTask(Task):
    """Task of prompts with references to test on, and documents to train on, as in language modelling.

    `max_length` is the largest number of tokens of a prompt, and the block length in training."""

    problem: ClassVar[Problem] = "generation"
    folds: ClassVar[bool] = False
    source: Task
    """Task that the documents come from."""
    test_size: Annotated[int, Field(ge=2)] | None
    """Number of prompts, drawn with a seed of their own; null: all."""
    max_length: Annotated[int, Field(ge=4)]
    """Maximum number of tokens of a prompt, and of a block in training."""
    data_dir: Path | None = None
    """Folder with the files of the source, used instead of its own."""
    new_tokens: Annotated[int, Field(ge=1)]
    """Maximum number of tokens written after a prompt."""
    stop: list[Annotated[str, Field(min_length=1)]]
    """A text ends where one of these begins, or with the model's end of text."""
    headline: Score
    """Score that the verdict compares."""
    metrics: TextMetrics
    """Scores to compute, and the models that they need."""

    def pinned(self) -> Self:
        return self.model_copy(update={"source": self.source.pinned(), "metrics": self.metrics.pinned()})

    def check(self) -> None:
        self.source.check()
        self.metrics.check()
        if self.headline not in self.metrics.scores:
            raise UserError(
                f"task.headline={self.headline} is not computed: it is none of task.metrics.scores "
                f"({', '.join(self.metrics.scores)})"
            )
        if not METRICS[self.headline].share:
            wanted = "a score between 0 and 1 of which more is better"
            raise UserError(f"task.headline={self.headline}: the verdict needs {wanted}; give rougeL, say")

    def signature(self) -> Signature:
        return Signature(self.problem, self.max_length, new_tokens=self.new_tokens, stop=tuple(self.stop))

    def check_reach(self, longest: int | None) -> None:
        """Check that the model reads a prompt and its output; longest: tokens that it reads, None where unlimited.

        Raises:
            UserError: max_length and new_tokens together are more than that.
        """
        if longest is not None and self.max_length + self.new_tokens > longest:
            raise UserError(
                f"task.max_length={self.max_length} and task.new_tokens={self.new_tokens}: this model reads at most "
                f"{longest} tokens in all"
            )

    def check_headline(self, test: Examples, store: Store) -> None:
        """Check that the headline has a value for these references: score them as if a model had written them.

        Raises:
            UserError: it has none.
        """
        references = list(test.references)
        readers, losses = self.metrics.readers(references, store), np.zeros((len(test), 2))
        _, missing = scored(Outputs(list(test.texts), references, references, losses, readers), [self.headline])
        if missing:
            reason = f"task.headline={self.headline} has no value for these references: {missing[self.headline]}"
            raise UserError(f"{reason}; choose another headline, say bertscore with an encoder of their language")

    def load(self) -> Splits:
        train, test = self.documents(), self.prompts()
        if self.test_size is not None and len(test) < self.test_size:
            raise UserError(f"task.test_size={self.test_size}: the data has {len(test)} prompts")
        return Splits(train, subset(test, self.test_size, SUBSET_SEED), rows=self.source.load().rows)

    @abstractmethod
    def documents(self) -> Examples:
        """Return the documents to train on."""

    @abstractmethod
    def prompts(self) -> Examples:
        """Return all prompts of the test, with their references."""

    def scoring_key(self, store: Store) -> dict[str, Any]:
        writing = {"new_tokens": self.new_tokens, "stop": self.stop, "headline": self.headline}
        return {**writing, "metrics": self.metrics.identity(store)}


class Gsm8kGeneration(GenerationTask):
    """Grade-school problems (Cobbe et al. 2021), asked after some with solutions; the final number counts."""

    id: ClassVar[str] = "task/gsm8k_generation"
    source: DocumentsTask
    """Task that problems and solutions come from."""
    shots: Annotated[int, Field(ge=0)]
    """Number of training problems with solutions before the question. They are the first of the file, as
    in lm-evaluation-harness."""

    def documents(self) -> Examples:
        return Examples(tuple(f"{asked(question)} {answer}" for question, answer in self.source.parts("train")[0]))

    def prompts(self) -> Examples:
        solved = "".join(f"{text}\n\n" for text in self.documents().texts[: self.shots])
        rows, _ = self.source.parts("test")
        for number, (_, answer) in enumerate(rows, start=1):
            if strict_answer(answer) is None:
                reason = f"row {number} of the test has no number after '#### ' in its answer ({answer[-30:]!r})"
                raise UserError(f"task={self.name}: {reason}; write it as in '#### 18', without a currency sign")
        return Examples(
            tuple(solved + asked(question) for question, _ in rows), references=tuple(answer for _, answer in rows)
        )


def asked(question: str) -> str:
    """Return the prompt of a question, as lm-evaluation-harness words it."""
    return f"Question: {question}\nAnswer:"


class Continuation(GenerationTask):
    """Continuation of the beginnings of the source's test documents; the reference is the rest of the document."""

    id: ClassVar[str] = "task/continuation"
    prompt_words: Annotated[int, Field(ge=0)]
    """Number of words of a prompt; 0: the model begins from its beginning-of-text token alone."""
    reference_words: Annotated[int, Field(ge=1)]
    """Number of words of the true continuation that the written text is compared with. They are about as long as
    new_tokens."""

    def documents(self) -> Examples:
        return self.source.load().train

    def prompts(self) -> Examples:
        """Return the first words of each document that is long enough, and the rest as its reference; words are divided
        by white space.
        """
        end = self.prompt_words + self.reference_words
        documents = [words for text in self.source.load().test.texts if len(words := text.split()) >= end]
        if not documents:
            wanted = f"task.prompt_words={self.prompt_words} and task.reference_words={self.reference_words}"
            raise UserError(f"{wanted}: no document of the test has {end} words; give fewer")
        return Examples(
            tuple(" ".join(words[: self.prompt_words]) for words in documents),
            references=tuple(" ".join(words[self.prompt_words : end]) for words in documents),
        )
