"""Refusal of models whose matrices lie outside linear layers."""

import pytest
from transformers import AutoConfig

from effcomp.core.errors import Skipped
from effcomp.pipeline.matrices import check_matrices
from tests.architectures import ARCHITECTURES
from tests.conftest import compose_parts


def check(model_type: str, *settings: str) -> None:
    config = AutoConfig.for_model(model_type, vocab_size=64, **ARCHITECTURES[model_type])
    check_matrices(compose_parts(*settings), "sequence_classification", config, config)


@pytest.mark.parametrize(
    ("model_type", "settings", "message"),
    [
        ("mixtral", ["quant=nf4"], r"^quant=nf4 changes .* \d\d% .*experts\.gate_up_proj\); choose quant=none, fp16"),
        ("mixtral", ["finetune=lora"], "^finetune=lora changes .* choose finetune=full"),
        ("xlnet", ["prune=l1_unstructured"], "^prune=l1_unstructured changes .* choose prune=none"),
        (
            "xlnet",
            ["prune=depth", "finetune@prune.recovery=qlora"],
            "^finetune@prune.recovery=qlora changes .* choose finetune@prune.recovery=full",
        ),
    ],
)
def test_matrices_that_would_stay_as_they_are_are_said(model_type: str, settings: list[str], message: str) -> None:
    with pytest.raises(Skipped, match=message):
        check(model_type, *settings)


@pytest.mark.parametrize(("model_type", "quant"), [("mixtral", "bf16"), ("mixtral", "none"), ("llama", "nf4")])
def test_other_models_and_formats_of_every_parameter_are_not_refused(model_type: str, quant: str) -> None:
    check(model_type, f"quant={quant}")
