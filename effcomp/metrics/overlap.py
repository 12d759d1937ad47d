"""Overlap of the outputs' wording with the references': ROUGE by rouge-score, BLEU and chrF by sacrebleu.

An empty output scores 0, and so does an output whose reference is empty. Outputs may have different numbers of
references.
"""

from collections.abc import Sequence
from importlib.metadata import version
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from effcomp.core.statistics import Ints
from effcomp.metrics.registry import Outputs, score
from effcomp.metrics.scores import CorpusScores, NoScore, Scores, check_references

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

ROUGE = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L"}


def rouge(kind: str, outputs: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    """Return the F-measure `rouge1`, `rouge2` or `rougeL` (Lin 2004, "ROUGE: A Package for Automatic Evaluation of
    Summaries"), from 0 to 1, without stemming; of several references the highest.

    rouge-score keeps only the letters a to z and digits, so the numbers are meaningful for English, less for languages
    with some other letters, and not at all for other scripts.

    Raises:
        ValueError: no outputs, or not at least one reference for each.
        NoScore: most letters of the references are no letters to rouge-score.
    """
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    check_references(outputs, references)
    read = [letter.isascii() for of_one in references for text in of_one for letter in text if letter.isalnum()]
    if sum(read) < len(read) / 2:
        unread = 1 - sum(read) / len(read)
        raise NoScore(f"rouge-score reads the letters a to z, and {unread:.0%} of the references' are others")
    scorer = RougeScorer([kind], tokenizer=DefaultTokenizer())
    scored = [
        scorer.score_multi(list(of_one), output)[kind].fmeasure
        for output, of_one in zip(outputs, references, strict=True)
    ]
    return Scores(f"{ROUGE[kind]} F (rouge-score {version('rouge-score')})", np.array(scored, float))


def bleu(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> CorpusScores:
    """Return BLEU of the corpus from 0 to 100, with sacrebleu's defaults (Post 2018, "A Call for Clarity in Reporting
    BLEU Scores"); the name has its signature.

    Raises:
        ValueError: no outputs, or not at least one reference for each.
    """
    from sacrebleu import BLEU

    return corpus_scores(BLEU(), outputs, references)


def chrf(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> CorpusScores:
    """Return chrF2 of the corpus from 0 to 100, with sacrebleu's defaults (Popović 2015, "chrF: character n-gram
    F-score for automatic MT evaluation"); the name has its signature.

    Raises:
        ValueError: no outputs, or not at least one reference for each.
    """
    from sacrebleu import CHRF

    return corpus_scores(CHRF(), outputs, references)


def corpus_scores(metric: "Metric", outputs: Sequence[str], references: Sequence[Sequence[str]]) -> CorpusScores:
    """Return sacrebleu's counts of each example as scores. Its public functions give no counts; its own significance
    tests resample through the same two methods.
    """
    check_references(outputs, references)
    columns = list(zip_longest(*references))  # sacrebleu wants the first references of all, then the second; None: none
    counts = np.array(metric._extract_corpus_statistics(list(outputs), columns))

    def score(summed: Ints) -> float:
        return float(metric._compute_score_from_stats(summed.tolist()).score)

    return CorpusScores(f"{type(metric).__name__}|{metric.get_signature()}", counts, score)


@score("rouge1", library="rouge_score", compares=True)
def rouge1(outputs: Outputs) -> Scores:
    return rouge("rouge1", outputs.texts, outputs.listed)


@score("rouge2", library="rouge_score", compares=True)
def rouge2(outputs: Outputs) -> Scores:
    return rouge("rouge2", outputs.texts, outputs.listed)


@score("rougeL", library="rouge_score", compares=True)
def rouge_l(outputs: Outputs) -> Scores:
    return rouge("rougeL", outputs.texts, outputs.listed)


@score("bleu", library="sacrebleu", compares=True, share=False)
def bleu_of(outputs: Outputs) -> CorpusScores:
    return bleu(outputs.texts, outputs.listed)


@score("chrf", library="sacrebleu", compares=True, share=False)
def chrf_of(outputs: Outputs) -> CorpusScores:
    return chrf(outputs.texts, outputs.listed)
