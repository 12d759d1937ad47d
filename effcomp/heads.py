"""What a model is asked to predict, and the class that predicts it."""

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

Objective = Literal["classification", "language_modelling"]
"""What a task asks for."""
Head = Literal["sequence_classification", "masked_lm", "causal_lm"]
"""How a model answers it: encoders fill masks, decoders predict the next token."""
Kind = Literal["encoder", "decoder"]

HEADS: dict[tuple[Objective, Kind], Head] = {
    ("classification", "encoder"): "sequence_classification",
    ("classification", "decoder"): "sequence_classification",
    ("language_modelling", "encoder"): "masked_lm",
    ("language_modelling", "decoder"): "causal_lm",
}


def auto_class(head: Head) -> Any:
    """The transformers Auto class of a head; BitNet's classifier, which transformers lacks, is registered in it."""
    import transformers

    if head == "sequence_classification":
        from effcomp.models import bitnet

        bitnet.register()
        return transformers.AutoModelForSequenceClassification
    return transformers.AutoModelForMaskedLM if head == "masked_lm" else transformers.AutoModelForCausalLM


def model_class(head: Head, config: "PretrainedConfig") -> "type[PreTrainedModel]":
    """The class of an architecture with a head; importing it is most of what loading costs."""
    found: type[PreTrainedModel] = auto_class(head)._model_mapping[type(config)]
    return found
