"""Adapters on a quantized base: frozen weights are stored in few bits while the adapters are trained in float."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from effcomp.finetune.lora import LoraFinetune
from effcomp.models.linear import restore_conv1d, unify_linear
from effcomp.quant.base import Quant
from effcomp.quant.bnb import FourBit, Int8Bnb, quiet
from effcomp.quant.lowering import TensorLowering, lowering
from effcomp.quant.tensors import stored_state

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from effcomp.models.heads import Head


class QuantizedLora(LoraFinetune):
    """Base class of adapters on quantized weights. The checkpoint has these weights, dequantized to float32, with the
    adapters added: the trained function, in a format that any compression can start from."""

    packages: ClassVar[tuple[str, ...]] = ("peft", "bitsandbytes")

    @abstractmethod
    def base(self) -> Quant:
        """Return the number format of the frozen weights."""

    def key(self) -> dict[str, Any]:
        return {**super().key(), "base": self.base().key()}

    def adapt(self, model: "PreTrainedModel", head: "Head", place: str) -> "PreTrainedModel":
        quiet()
        base = self.base()
        unify_linear(model)
        lowered = lowering(base, "torch", TensorLowering)
        tensors = lowered.encode(base, model)
        floats = {  # an artifact may round what has no codes; training does not
            name: tensor
            for name, tensor in stored_state(model).items()
            if name in tensors and tensors[name].is_floating_point()
        }
        lowered.move(lowered.decode(base, model, tensors | floats), place)
        for layer in model.modules():
            if hasattr(layer, "support_avx512bf16_for_cpu"):
                # bitsandbytes rearranges 4-bit weights at the first call in eval mode, for a kernel without gradient:
                # after one evaluation nothing could be trained, or read back, any more.
                layer.support_avx512bf16_for_cpu = False
        return super().adapt(model, head, place)

    def merge(self, model: "PreTrainedModel") -> "PreTrainedModel":
        restore_linear(model)
        merged = super().merge(model.to("cpu"))
        restore_conv1d(merged)
        return merged


class QloraFinetune(QuantizedLora):
    """Adapters on a base in 4-bit NormalFloat with 8-bit scales (Dettmers et al. 2023, "QLoRA", section 3)."""

    id: ClassVar[str] = "finetune/qlora"
    bytes_per_parameter: ClassVar[float] = 0.5

    def base(self) -> Quant:
        return FourBit(name="nf4", values="nf4", block_size=64, double_quant=True)


class Int8Finetune(QuantizedLora):
    """Adapters on a base in 8 bit (Dettmers et al. 2022, "LLM.int8()", section 3)."""

    id: ClassVar[str] = "finetune/int8"
    bytes_per_parameter: ClassVar[float] = 1

    def base(self) -> Quant:
        return Int8Bnb(name="int8_bnb", threshold=6.0)


def restore_linear(model: "nn.Module") -> None:
    """Replace each layer of bitsandbytes by a float32 nn.Linear, in place. Its weight is on the CPU: a GPU that can
    train the model may lack the memory for it in float32."""
    from bitsandbytes.nn import Linear4bit, Linear8bitLt
    from peft.utils.integrations import dequantize_module_weight
    from torch import nn

    for name, layer in list(model.named_modules()):
        if isinstance(layer, Linear4bit | Linear8bitLt):
            linear = nn.Linear(layer.in_features, layer.out_features, device="meta")
            linear.weight = nn.Parameter(dequantize_module_weight(layer).float().cpu(), requires_grad=False)
            linear.bias = layer.bias
            model.set_submodule(name, linear)
