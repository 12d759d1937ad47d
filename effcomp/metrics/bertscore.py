"""BERTScore (Zhang et al. 2020, "BERTScore: Evaluating Text Generation with BERT"), by the authors' own library."""

from collections import defaultdict
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from effcomp.metrics.encoder import load_encoder
from effcomp.metrics.registry import Outputs, score
from effcomp.metrics.scores import Scores, check_references

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

BATCH_SIZE = 64
"""Texts that the encoder reads at once; the scores do not depend on it."""


def answer_with_layer(model: "PreTrainedModel", number: int) -> None:
    """Let a model answer with the hidden states of one layer, in place: the library reads a model's first output."""

    def ask(
        module: "nn.Module", given: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return given, named | {"output_hidden_states": True}

    model.register_forward_pre_hook(ask, with_kwargs=True)
    model.register_forward_hook(lambda module, given, answer: (answer.hidden_states[number],))


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
    from bert_score.utils import bert_cos_score_idf

    check_references(outputs, references)
    model, tokenizer = load_encoder(folder)
    layers = model.config.num_hidden_layers
    if not 0 <= layer <= layers:
        raise ValueError(f"{encoder} has the layers 0 to {layers}, not {layer}")
    # For empty texts the library calls a method of the tokenizer that transformers 5 no longer has.
    pairs = [
        (number, output, reference)
        for number, (output, of_one) in enumerate(zip(outputs, references, strict=True))
        for reference in of_one
        if output.strip() and reference.strip()
    ]
    # The library's own loader would take the model's class from the path: a T5 for any with "t5" in it.
    answer_with_layer(model, layer)
    scores = np.full(len(outputs), -np.inf)
    if pairs:
        numbers, candidates, chosen = zip(*pairs, strict=True)
        weights = defaultdict(lambda: 1.0, {tokenizer.sep_token_id: 0.0, tokenizer.cls_token_id: 0.0})
        found = bert_cos_score_idf(
            model, list(chosen), list(candidates), tokenizer, weights, batch_size=BATCH_SIZE, device="cpu"
        )
        np.maximum.at(scores, np.array(numbers), found[:, 2].double().numpy())  # precision, recall, F
    scores[np.isneginf(scores)] = 0.0
    return Scores(f"BERTScore F ({encoder}, layer {layer}, bert-score {version('bert-score')})", scores)


@score("bertscore", library="bert_score", compares=True, embeds=True)
def bertscore_of(outputs: Outputs) -> Scores:
    readers = outputs.readers
    return bertscore(outputs.texts, outputs.listed, readers.folder, readers.encoder_name, readers.layer)
