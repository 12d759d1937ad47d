"""Symmetric int8 weights, written from scratch, and the two ways to compute with them.

A weight w becomes integer codes q and a scale s with w ≈ s * q, where s = max|w| / 127 over the whole
tensor or over each output channel, and q = round(w / s) lies in [-127, 127] (Jacob et al. 2018,
"Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
section 2.1, with zero_point 0). The rounding error of each weight is at most s / 2.
"""

from typing import TYPE_CHECKING, ClassVar, Literal

from effcomp.compress.quant.base import Arithmetic, Quant, linear_layers, load_floats, stored_state

if TYPE_CHECKING:
    from torch import Tensor, nn

Granularity = Literal["per_tensor", "per_channel"]
LARGEST_CODE = 127
CODES, SCALE = ".codes", ".scale"


def quantise(weight: "Tensor", granularity: Granularity) -> "tuple[Tensor, Tensor]":
    """Integer codes and scales of a float weight.

    Args:
        weight: (out, in), floating point, finite.
        granularity: one scale for the tensor, or one for each output channel (row).

    Returns:
        codes (out, in) int8 in [-127, 127], and scale float32: () per tensor, (out, 1) per channel.
        An all-zero tensor or channel gets scale 1.

    Raises:
        ValueError: the weight holds NaN or infinity.
    """
    import torch

    if not torch.isfinite(weight).all():
        raise ValueError("the weight holds NaN or infinity")
    weight = weight.float()
    largest = weight.abs().amax() if granularity == "per_tensor" else weight.abs().amax(dim=1, keepdim=True)
    # Below the smallest normal number the division would lose its precision: such weights are zeros to any layer.
    scale = torch.where(largest / LARGEST_CODE < torch.finfo(torch.float32).tiny, 1.0, largest / LARGEST_CODE)
    codes = torch.round(weight / scale).clamp(-LARGEST_CODE, LARGEST_CODE).to(torch.int8)
    return codes, scale


def dequantise(codes: "Tensor", scale: "Tensor") -> "Tensor":
    """The float32 weight that codes and scale stand for."""
    return codes.float() * scale


def split_codes(
    tensors: "dict[str, Tensor]",
) -> "tuple[dict[str, tuple[Tensor, Tensor]], dict[str, Tensor]]":
    """Stored tensors as {weight name: (codes, scale)} and the rest, which stayed float."""
    coded = {
        name.removesuffix(CODES): (codes, tensors[name.removesuffix(CODES) + SCALE])
        for name, codes in tensors.items()
        if name.endswith(CODES)
    }
    return coded, {name: tensor for name, tensor in tensors.items() if not name.endswith((CODES, SCALE))}


class Int8Scratch(Quant):
    """Weight-only int8: codes and scales on disk, a quarter of the float file, dequantised at load.

    Every matrix is coded: linear layers and embeddings. It computes in float32, so it saves disk and
    download, neither time nor memory.
    """

    runtimes: ClassVar[tuple[str, ...]] = ("torch", "compile")
    granularity: Granularity

    def encode(self, model: "nn.Module") -> "dict[str, Tensor]":
        tensors: dict[str, Tensor] = {}
        for name, tensor in stored_state(model).items():
            if tensor.is_floating_point() and tensor.ndim == 2:
                tensors[name + CODES], tensors[name + SCALE] = quantise(tensor, self.granularity)
            else:
                tensors[name] = tensor
        return tensors

    def decode(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
        coded, floats = split_codes(tensors)
        floats.update({name: dequantise(codes, scale) for name, (codes, scale) in coded.items()})
        load_floats(skeleton, floats)
        return skeleton


class Int8Dynamic(Quant):
    """int8 weights and int8 activations, the activations' scale found at run time, multiplied in int8.

    Linear layers only; embeddings, normalisation and biases stay float32. The kernel is PyTorch's own
    (torch.ao.nn.quantized.dynamic.Linear, FBGEMM or oneDNN). torch.ao is deprecated: this class is the one
    place that uses it.
    """

    runtimes: ClassVar[tuple[str, ...]] = ("torch",)
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    promises: ClassVar[tuple[str, ...]] = ("quantized::linear_dynamic",)
    granularity: Granularity

    @property
    def arithmetic(self) -> Arithmetic:
        return "int8"

    def encode(self, model: "nn.Module") -> "dict[str, Tensor]":
        tensors = stored_state(model)
        for name in linear_layers(model):
            if f"{name}.weight" not in tensors:  # a head that is tied to the embeddings
                continue
            weight = tensors.pop(f"{name}.weight")
            tensors[f"{name}.weight{CODES}"], tensors[f"{name}.weight{SCALE}"] = quantise(weight, self.granularity)
        return tensors

    def decode(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
        coded, floats = split_codes(tensors)
        load_floats(skeleton, floats)
        for name, layer in linear_layers(skeleton).items():
            if f"{name}.weight" not in coded:
                continue
            codes, scale = coded[f"{name}.weight"]
            skeleton.set_submodule(name, dynamic_linear(codes, scale, layer.bias))
        return skeleton


def dynamic_linear(codes: "Tensor", scale: "Tensor", bias: "Tensor | None") -> "nn.Module":
    """PyTorch's dynamically quantised linear layer, holding exactly these codes and scales.

    Args:
        codes: (out, in) int8; scale: () or (out, 1) float32; bias: (out,) float32.
    """
    import warnings

    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", UserWarning)
        from torch.ao.nn.quantized.dynamic import Linear

        out_features, in_features = codes.shape
        layer = Linear(in_features, out_features, bias_=bias is not None, dtype=torch.qint8)
        if scale.ndim == 0:
            weight = torch._make_per_tensor_quantized_tensor(codes, float(scale), 0)
        else:
            zero_point = torch.zeros(out_features, dtype=torch.int64)
            weight = torch._make_per_channel_quantized_tensor(codes, scale.flatten().double(), zero_point, 0)
        layer.set_weight_bias(weight, bias)
    return layer
