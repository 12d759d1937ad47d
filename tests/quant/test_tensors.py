"""The linear layers that formats code: those of the encoder or decoder, whatever the head's are called."""

import pytest
from transformers import AutoConfig

from effcomp.models.heads import Head, empty_model
from effcomp.quant.tensors import body_layers, linear_layers
from tests.architectures import ARCHITECTURES


@pytest.mark.parametrize(
    ("model_type", "head", "names"),
    [
        ("bert", "sequence_classification", {"classifier"}),
        ("distilbert", "sequence_classification", {"pre_classifier", "classifier"}),
        ("xlnet", "sequence_classification", {"sequence_summary.summary", "logits_proj"}),
        ("modernbert", "sequence_classification", {"head.dense", "classifier"}),
        ("deberta-v2", "sequence_classification", {"pooler.dense", "classifier"}),
        ("electra", "masked_lm", {"generator_predictions.dense", "generator_lm_head"}),
        ("llama", "causal_lm", {"lm_head"}),
    ],
)
def test_the_head_is_what_follows_the_base_model(model_type: str, head: Head, names: set[str]) -> None:
    model = empty_model(head, AutoConfig.for_model(model_type, **ARCHITECTURES[model_type]))
    assert linear_layers(model).keys() - body_layers(model).keys() == names
