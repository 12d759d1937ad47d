"""BERTScore against the paper's formula and its authors' library, with encoders that need no network."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from effcomp.metrics.bertscore import bertscore
from effcomp.metrics.encoder import MINILM, minilm_folder

OUTPUTS = ["28-year-old chef found dead in San Francisco mall", "A 28-year-old chef was found dead.", "Rates rose."]
REFERENCES = [
    "28-Year-Old Chef Found Dead at San Francisco Mall",
    "The chef, 28, has been found dead in a mall",
    "Shares fell",
]
LAYER = 5


def by_the_formula(output: str, reference: str, layer: int) -> float:
    """The paper's section 3: each token with the most similar one of the other text; [CLS] and [SEP] are not counted,
    but may be matched, as in the authors' library."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(minilm_folder()), AutoModel.from_pretrained(minilm_folder()).eval()
    ours, theirs = (
        torch.nn.functional.normalize(
            model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[layer][0].detach(),
            dim=1,
        )
        for text in (output, reference)
    )
    similarities = (ours @ theirs.T).numpy()
    precision, recall = similarities.max(axis=1)[1:-1].mean(), similarities.max(axis=0)[1:-1].mean()
    return float(2 * precision * recall / (precision + recall))


def scored(outputs: list[str], references: list[list[str]]) -> np.ndarray:
    return bertscore(outputs, references, minilm_folder(), MINILM, LAYER).per_example


def test_it_is_the_papers_formula_at_that_layer() -> None:
    expected = [by_the_formula(output, reference, LAYER) for output, reference in zip(OUTPUTS, REFERENCES, strict=True)]
    assert scored(OUTPUTS, [[text] for text in REFERENCES]) == pytest.approx(expected, abs=1e-5)


def test_it_is_what_the_authors_library_says_with_one_reference_and_with_several() -> None:
    from bert_score import score

    references = [[REFERENCES[0]], [REFERENCES[1], REFERENCES[0]], [REFERENCES[2], "Interest rates rose again.", "x"]]
    _, _, expected = score(
        OUTPUTS, references, model_type=str(minilm_folder()), num_layers=LAYER, device="cpu", use_fast_tokenizer=True
    )[:3]
    assert scored(OUTPUTS, references) == pytest.approx(expected.numpy(), abs=1e-6)


def test_the_name_has_the_encoder_and_the_layer(tiny_bert: Path) -> None:
    assert "(all-MiniLM-L6-v2, layer 5, " in bertscore(["a"], [["a"]], minilm_folder(), MINILM, LAYER).name
    assert "(tiny, layer 1, " in bertscore(["good film"], [["film"]], tiny_bert, "tiny", 1).name


def test_the_same_text_scores_1_and_a_paraphrase_more_than_another_text() -> None:
    same, paraphrase, another = scored([OUTPUTS[1]] * 3, [[OUTPUTS[1]], [REFERENCES[1]], [REFERENCES[2]]])
    assert same == pytest.approx(1, abs=1e-5)
    assert same > paraphrase > another


def test_an_empty_output_or_reference_scores_0_and_changes_no_other_score() -> None:
    scores = scored(["", OUTPUTS[0], "x", " "], [["text"], [REFERENCES[0]], [""], ["\n"]])
    assert scores[[0, 2, 3]].tolist() == [0, 0, 0]
    assert scores[1] == pytest.approx(scored(OUTPUTS[:1], [[REFERENCES[0]]])[0], abs=1e-5)
    assert scored([""], [["text"]]).tolist() == [0]


def test_a_text_longer_than_the_encoder_reads_is_cut() -> None:
    assert scored(["chef " * 700], [["chef " * 700]])[0] == pytest.approx(1, abs=1e-4)


def test_a_layer_that_the_encoder_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="has the layers 0 to 6, not 9"):
        bertscore(["a"], [["a"]], minilm_folder(), MINILM, 9)


@pytest.mark.parametrize("name", ["best5", "scibert-1"])  # which the library reads as T5 and SciBERT
def test_the_name_of_the_folder_does_not_change_the_encoder(
    name: str, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_bert, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    outputs, references = ["a warm film"], [["the music is warm"]]
    expected = bertscore(outputs, references, tiny_bert, "tiny", 2).per_example
    assert bertscore(outputs, references, Path(name), "tiny", 2).per_example == pytest.approx(expected)
