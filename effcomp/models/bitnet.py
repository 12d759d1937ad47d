"""BitNet for sequence classification: transformers has the causal model alone."""


def register() -> None:
    """Give BitNet a classifier the way its siblings have it: a head on the last token that is not padding.

    Done at use, so that no other model pays for the import.
    """
    from transformers import AutoModelForSequenceClassification, BitNetConfig

    if BitNetConfig in AutoModelForSequenceClassification._model_mapping:
        return
    from transformers.modeling_layers import GenericForSequenceClassification
    from transformers.models.bitnet.modeling_bitnet import BitNetPreTrainedModel

    class BitNetForSequenceClassification(GenericForSequenceClassification, BitNetPreTrainedModel):
        """logits (batch, labels) of the last real token, as LlamaForSequenceClassification."""

    AutoModelForSequenceClassification.register(BitNetConfig, BitNetForSequenceClassification)
