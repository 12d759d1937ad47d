"""BERTScore (Zhang et al. 2020, "BERTScore: Evaluating Text Generation with BERT"), by the authors' own library."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from effcomp.metrics.registry import Outputs, score
from effcomp.metrics.scores import Scores, check_references

BATCH_SIZE = 64
"""Texts that the encoder reads at once; the scores do not depend on it."""


def bertscore(
    outputs: Sequence[str],
    references: Sequence[Sequence[str]],
    folder: Path,
    encoder: str,
    layer: int,
) -> Scores:
    """Return the F-measure of each output, without word weights and without a baseline; of several references the
    highest. An empty output or reference gives 0, as in the library.

    Args:
        folder: an encoder and its tokenizer, as written by save_pretrained; nothing is fetched.
        encoder: name of the encoder, for the name of the scores.
        layer: the layer whose hidden states are compared; 0 are the embeddings.

    Raises:
        ValueError: no outputs, not at least one reference for each, or the encoder has no such layer.
    """
    from bert_score import BERTScorer
    from transformers import AutoConfig

    check_references(outputs, references)
    layers = AutoConfig.from_pretrained(folder).num_hidden_layers
    if not 0 <= layer <= layers:
        raise ValueError(f"{encoder} has the layers 0 to {layers}, not {layer}")
    # For empty texts the library calls a method of the tokenizer that transformers 5 no longer has.
    pairs = [
        (number, output, reference)
        for number, (output, of_one) in enumerate(zip(outputs, references, strict=True))
        for reference in of_one
        if output.strip() and reference.strip()
    ]
    scores = np.full(len(outputs), -np.inf)
    if pairs:
        numbers, candidates, chosen = zip(*pairs, strict=True)
        scorer = BERTScorer(
            model_type=str(folder), num_layers=layer, batch_size=BATCH_SIZE, device="cpu", use_fast_tokenizer=True
        )
        _, _, f_measures = scorer.score(list(candidates), list(chosen), batch_size=BATCH_SIZE)
        np.maximum.at(scores, np.array(numbers), f_measures.double().numpy())
    scores[np.isneginf(scores)] = 0.0
    return Scores(f"BERTScore F ({encoder}, layer {layer}, bert-score {version('bert-score')})", scores)


@score("bertscore", library="bert_score", compares=True, embeds=True)
def bertscore_of(outputs: Outputs) -> Scores:
    readers = outputs.readers
    return bertscore(outputs.texts, outputs.listed, readers.folder, readers.encoder_name, readers.layer)
