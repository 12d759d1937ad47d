"""BitNet b1.58 (Ma et al. 2024, "The Era of 1-bit LLMs", section 2; Ma et al. 2025, "BitNet b1.58 2B4T", section 2).

Linear layers compute with ternary weights and 8-bit activations, made from float masters at each call:

    weight      s * clip(round(w / s), -1, 1)           s = mean |w|
    activation  round(x * 127 / max|x|) * max|x| / 127  for each token

In training the gradient passes both roundings unchanged (straight-through; Bengio et al. 2013), and so
reaches the masters. transformers has the architecture with plain layers, and no classifier.
"""

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import BitNetConfig, PreTrainedModel
from transformers.modeling_layers import GenericForSequenceClassification
from transformers.models.bitnet.modeling_bitnet import BitNetForCausalLM as PlainBitNetForCausalLM
from transformers.models.bitnet.modeling_bitnet import BitNetPreTrainedModel

SMALLEST = 1e-5
"""Lower bound of a mean or maximum, so that weights of zero do not divide by zero."""
PER_BYTE = 4
"""Ternary weights in a byte of the published packed format."""


def ternary(weight: Tensor) -> Tensor:
    """Return the weight with every value one of -s, 0, s; s = mean |weight|. Any shape, same dtype."""
    scale = weight.float().abs().mean().clamp(min=SMALLEST)
    return ((weight.float() / scale).round().clamp(-1, 1) * scale).to(weight.dtype)


def int8_activations(values: Tensor) -> Tensor:
    """Round (..., features) to 255 steps between -max and max of each token; same dtype."""
    scale = 127 / values.float().abs().amax(dim=-1, keepdim=True).clamp(min=SMALLEST)
    return ((values.float() * scale).round().clamp(-128, 127) / scale).to(values.dtype)


def passed(value: Tensor, rounded: Tensor) -> Tensor:
    """Return exactly the rounded value, with the gradient of the value (straight-through estimator)."""
    return rounded.detach() + (value - value.detach())


class TernaryLinear(nn.Linear):
    """Linear layer of ternary weights and 8-bit activations; computes as BitLinear, with the weight made once."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(int8_activations(input), self.weight, self.bias)


class BitLinear(nn.Linear):
    """Linear layer of float masters, quantized at each call; its parameters have nn.Linear's names and shapes."""

    def forward(self, input: Tensor) -> Tensor:
        values, weight = passed(input, int8_activations(input)), passed(self.weight, ternary(self.weight))
        return functional.linear(values, weight, self.bias)

    def for_inference(self) -> TernaryLinear:
        """Return the layer with its weight made ternary once."""
        layer = TernaryLinear(self.in_features, self.out_features, bias=False, device="meta")
        layer.weight = nn.Parameter(ternary(self.weight.detach()))
        layer.bias = self.bias
        return layer


def use_bitlinear(model: PreTrainedModel) -> None:
    """Replace every linear layer of the decoder's blocks by BitLinear, in place; embeddings and heads stay."""
    for layer in model.base_model.layers.modules():
        if type(layer) is nn.Linear:
            layer.__class__ = BitLinear


class BitNetForSequenceClassification(GenericForSequenceClassification, BitNetPreTrainedModel):
    """Classifier by the last real token, as LlamaForSequenceClassification; logits (batch, labels)."""

    def __init__(self, config: BitNetConfig) -> None:
        super().__init__(config)
        use_bitlinear(self)


class BitNetForCausalLM(PlainBitNetForCausalLM):
    """Language model, as transformers has it, with BitLinear in the decoder's blocks."""

    def __init__(self, config: BitNetConfig) -> None:
        super().__init__(config)
        use_bitlinear(self)


# transformers chooses the loss by the end of a class's name, and writes the name into config.json.
CLASSES: dict[str, type[PreTrainedModel]] = {
    "sequence_classification": BitNetForSequenceClassification,
    "causal_lm": BitNetForCausalLM,
}
"""Class of each head."""


def unpacked(packed: Tensor, scale: Tensor) -> Tensor:
    """Return float32 masters that `ternary` turns into the published weight `scale * codes`.

    Args:
        packed: (out / 4, in) uint8. Bits 2i and 2i+1 of row r hold the code + 1 of output i * out / 4 + r.
        scale: (1,), the layer's weight_scale.
    """
    codes = torch.cat([(packed >> shift) & 3 for shift in range(0, 2 * PER_BYTE, 2)]).float() - 1
    share = codes.abs().mean()  # mean |codes * c| = c * share has to be the scale
    return codes * (scale.float() / share) if share > 0 else codes


def unpack_folder(source: Path, target: Path) -> None:
    """Turn the published packed model into a folder of float masters: weights, config and tokenizer.

    Raises:
        ValueError: the folder is packed in another way.
    """
    found = BitNetConfig.from_pretrained(source)
    how = found.quantization_config
    if (how.get("linear_class"), how.get("quantization_mode")) != ("autobitlinear", "offline"):
        raise ValueError(f"{source} is not packed as autobitlinear, offline: {how}")
    tensors = {}
    for file in sorted(source.glob("*.safetensors")):
        with safe_open(file, framework="pt") as stored:
            names = set(stored.keys())
            for name in sorted(name for name in names if not name.endswith("weight_scale")):
                tensor = stored.get_tensor(name)
                if tensor.dtype == torch.uint8:
                    tensors[name] = unpacked(tensor, stored.get_tensor(f"{name}_scale"))
                else:
                    tensors[name] = tensor.float()
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    del found.quantization_config
    found.dtype = "float32"
    found.save_pretrained(target)
    for file in source.iterdir():
        if file.name.startswith(("tokenizer", "special_tokens")):
            (target / file.name).write_bytes(file.read_bytes())
