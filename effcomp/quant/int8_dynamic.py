"""int8 whose activation scales are found at run time: each engine's own, from the same weights."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from effcomp.core.batches import Batch
from effcomp.quant.base import (
    CODES,
    SCALE,
    Arithmetic,
    Granularity,
    Kind,
    Quant,
    Way,
    linear_layers,
    load_floats,
    split_codes,
    stored_state,
)
from effcomp.quant.onnx_graph import read_graph

if TYPE_CHECKING:
    from openvino import Model as OpenVinoModel
    from torch import Tensor, nn


class Int8Dynamic(Quant):
    """int8 weights and int8 activations, the activations' scale found at run time, multiplied in int8.

    torch, compile   linear layers; PyTorch's own kernel (torch.ao.nn.quantized.dynamic.Linear, FBGEMM or oneDNN), one
                     scale for the activations of a call. torch.ao is deprecated: this class alone uses it.
    onnxruntime      linear layers and embeddings; one scale for the activations of a call.
    openvino         linear layers and embeddings; one scale for every 32 activations of a token.
    """

    id: ClassVar[str] = "quant/int8_dynamic"
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    granularity: Granularity

    @property
    def ways(self) -> dict[str, Way]:
        linear: tuple[Kind, ...] = ("linear", "head")
        return {
            "torch": Way(linear, ("quantized::linear_dynamic",)),
            "compile": Way(linear, ("quantized::linear_dynamic",)),
            "onnxruntime": Way((*linear, "embeddings"), ("MatMulInteger", "DynamicQuantizeMatMul")),
            "openvino": Way((*linear, "embeddings"), ("FullyConnectedCompressed",)),
        }

    @property
    def arithmetic(self) -> Arithmetic:
        return "int8"

    def encode(self, model: "nn.Module") -> "dict[str, Tensor]":
        from effcomp.quant.int8_linear import quantize

        tensors = stored_state(model)
        for name in linear_layers(model):
            if f"{name}.weight" not in tensors:  # a head that is tied to the embeddings
                continue
            weight = tensors.pop(f"{name}.weight")
            tensors[f"{name}.weight{CODES}"], tensors[f"{name}.weight{SCALE}"] = quantize(weight, self.granularity)
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

    def quantise_onnx(self, file: Path, samples: list[Batch]) -> None:
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(
            read_graph(file),
            file,
            op_types_to_quantize=["MatMul", "Gather"],
            per_channel=self.granularity == "per_channel",
            weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT, "MatMulConstBOnly": True},
        )

    def quantise_openvino(self, model: "OpenVinoModel", samples: list[Batch]) -> "OpenVinoModel":
        import nncf

        return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)

    def openvino_settings(self) -> dict[str, str]:
        return {**super().openvino_settings(), "DYNAMIC_QUANTIZATION_GROUP_SIZE": "32"}


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
