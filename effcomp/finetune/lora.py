"""Low-rank adaptation (Hu et al. 2021, "LoRA", section 4): small matrices are trained, then added to the weights."""

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from effcomp.finetune.full import FullFinetune
from effcomp.quant.tensors import body_layers, linear_layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from effcomp.models.heads import Head


class LoraFinetune(FullFinetune):
    """Adapters on every linear layer after the embeddings; the head of a classifier is trained in full."""

    id: ClassVar[str] = "finetune/lora"
    packages: ClassVar[tuple[str, ...]] = ("peft",)
    refuses: ClassVar[dict[str, str]] = {
        "bitnet": "its weights are made ternary at each call, and adapters added to them would be rounded away; "
        "use finetune=full"
    }
    bytes_per_parameter: ClassVar[float] = 4  # the weights, which have no gradients
    keeps_zeros: ClassVar[bool] = False
    rank: Annotated[int, Field(ge=1)]
    """Rank of the adapters: inner size of their two matrices."""
    alpha: Annotated[float, Field(gt=0)]
    """Numerator of the adapters' scale, alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Share of the inputs of an adapter that is dropped in training."""

    def adapt(self, model: "PreTrainedModel", head: "Head", place: str) -> "PreTrainedModel":
        from peft import LoraConfig, get_peft_model

        after_body = [
            name for name, one in model.named_children() if one is not model.base_model and list(one.parameters())
        ]
        config = LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules="all-linear",
            exclude_modules=sorted(linear_layers(model).keys() - body_layers(model).keys()),
            modules_to_save=after_body if head == "sequence_classification" else None,  # a new head is trained in full
        )
        return get_peft_model(model, config)

    def merge(self, model: "PreTrainedModel") -> "PreTrainedModel":
        """Add the adapters to the weights: a plain model again, of the same size and speed, that can be trained."""
        return model.merge_and_unload().requires_grad_(True)
