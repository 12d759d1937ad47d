"""ROUGE, BLEU and chrF against the examples that their reference implementations publish."""

from functools import partial

import numpy as np
import pytest
import sacrebleu

from effcomp.metrics.overlap import ROUGE, bleu, chrf, rouge
from effcomp.metrics.scores import NoScore

OUTPUTS = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
REFERENCES = [
    ["The dog bit the man.", "The dog had bit the man."],
    ["It was not unexpected.", "No one was surprised."],
    ["The man bit him first.", "The man had bitten the dog."],
]
"""The example of sacrebleu's README and of its test_bleu.py."""

ROUGE_155 = [
    (
        "rFDJCRtion Ht-LM EKtDXkME,yz'RBr q'wer wrojNbN wL,b .a-'XdQggyFl jB-RPP'iyOIcUxi",
        "ZfbCUIUuePaiLVUlCaUXxkpu XPeWing tUHfPMuZ',-Xd Y BrUgVJing M-HV.-DgdDaY.rFDJCRing Ht-LM EKBDXkME,yz'RBr "
        "q'wtion wIojNbN wL,b .a-'XdQggyFl jB-RPP'iyOIcUxer tKM L",
        {"rouge1": 0.51163, "rouge2": 0.39024, "rougeL": 0.51163},
    ),
    (
        "nn cw-WeFyu vC MoBL Xdn g wkvcEiGvKtion BDFhrpMer pstion sbKao Q m qier LMmed HqqLFXe,XPY,J XsurkMeo ,ed "
        "nB'wH'bWVHjWFEer tQ.saefZwJtKrTlixYpMMNJtion UCAPwNHeYVjD",
        "KsJdPByEtAor fE-Qg Dpdbring cw-WeFyu vC MoBL Xdn g wkvcEiGvKtion BDFhrpMtion psing sbKao Q m qiing LMmer "
        "HqqLFXe,XPY,J XsurkMer ,ed nB'wH'bWVHjWFEing tQ.saefZwJtKrTlixYpMMsJing UCAPwNHeYVjDing c T BUySKtion "
        "gMPfJpwGw p'NvxAoping eu pBwMBKV'I DNxqelhu,PHPxDEq,mtion SN",
        {"rouge1": 0.50000, "rouge2": 0.36364, "rougeL": 0.50000},
    ),
]
"""Output, reference, and the F-measures that ROUGE-1.5.5 itself gave: rouge-score's rouge_scorer_test.py."""


@pytest.mark.parametrize(("output", "reference", "expected"), ROUGE_155)
def test_rouge_is_that_of_the_original_perl_program(output: str, reference: str, expected: dict[str, float]) -> None:
    found = {kind: rouge(kind, [output], [[reference]]).per_example[0] for kind in expected}
    assert found == pytest.approx(expected, abs=5e-6)


def test_rouge_takes_the_reference_that_fits_best() -> None:
    scores = rouge("rougeL", ["testing one"], [["something else", "testing one two"]])
    assert scores.per_example[0] == pytest.approx(0.8)


def test_bleu_is_sacrebleus_published_number_with_its_signature() -> None:
    scores = bleu(OUTPUTS, REFERENCES)
    assert scores.value == pytest.approx(48.530827)
    assert scores.name == f"BLEU|nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|version:{sacrebleu.__version__}"


@pytest.mark.parametrize(
    ("output", "reference", "expected"),
    [
        (
            "Co nás nejvíc trápí, protože lékaři si vybírají, kdo bude žít a kdo zemře.",
            "Nejvíce smutní jsme z toho, že musíme rozhodovat o tom, kdo bude žít a kdo zemře.",
            39.14078509,
        ),
        (
            "Nebo prostě nemají vybavení, které by jim pomohlo, uvedli lékaři.",
            "A někdy nemáme ani potřebný materiál, abychom jim pomohli, popsali lékaři.",
            31.22557079,
        ),
    ],
)
def test_chrf_is_sacrebleus_published_number(output: str, reference: str, expected: float) -> None:
    assert chrf([output], [[reference]]).value == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("metric", [bleu, chrf])
def test_each_example_may_have_another_number_of_references(metric: type) -> None:
    references = [REFERENCES[0], REFERENCES[1][:1], REFERENCES[2]]
    columns = [[one[0] for one in references], [REFERENCES[0][1], None, REFERENCES[2][1]]]
    library = {bleu: sacrebleu.corpus_bleu, chrf: sacrebleu.corpus_chrf}[metric]
    scores = metric(OUTPUTS, references)
    assert scores.value == pytest.approx(library(OUTPUTS, columns).score)
    assert "nrefs:var" in scores.name


@pytest.mark.parametrize("metric", [bleu, chrf])
def test_an_empty_output_scores_nothing_and_an_empty_reference_gives_nothing(metric: type) -> None:
    assert metric([""], [["ref"]]).value == 0
    assert metric(["ref"], [[""]]).value == 0
    assert metric([""], [[""]]).value == 0


def test_rouge_of_an_empty_output_or_reference_is_0() -> None:
    for kind in ROUGE:
        assert (rouge(kind, ["", "ref", ""], [["ref"], [""], [""]]).per_example == 0).all()


def test_rouge_has_no_score_for_references_in_a_script_that_it_does_not_read() -> None:
    for words in ("фильм 2024 года", "映画は良い", "φιλμ a"):
        with pytest.raises(NoScore, match=r"reads the letters a to z, and \d+% of the references' are others"):
            rouge("rougeL", ["a film"] * 2, [[words], [words]])
    assert rouge("rougeL", ["für größere Häuser"], [["für größere Häuser"]]).value == 1


@pytest.mark.parametrize("metric", [partial(rouge, "rougeL"), bleu, chrf])
def test_outputs_that_cannot_be_paired_are_refused(metric: type) -> None:
    with pytest.raises(ValueError, match="no output"):
        metric([], [])
    with pytest.raises(ValueError, match="2 outputs cannot be paired with 1 lists"):
        metric(["a", "b"], [["a"]])
    with pytest.raises(ValueError, match="example 1 are \\[\\]"):
        metric(["a", "b"], [["a"], []])
    with pytest.raises(ValueError, match="example 0 are 'text'"):
        metric(["text"], ["text"])


def test_the_interval_of_bleu_agrees_with_sacrebleus_own_bootstrap() -> None:
    generator = np.random.default_rng(0)
    words = ["the", "cat", "sat", "on", "a", "mat", "and", "then", "went", "home"]
    references = [" ".join(generator.choice(words, 20)) for _ in range(120)]
    outputs = [" ".join(w if generator.random() < 0.8 else "dog" for w in text.split()) for text in references]
    interval = bleu(outputs, [[text] for text in references]).interval(seed=0)
    theirs = sacrebleu.BLEU().corpus_score(outputs, [references], n_bootstrap=1000)
    assert interval.value == pytest.approx(theirs.score)
    assert interval.high - interval.low == pytest.approx(2 * theirs._ci, rel=0.15)
