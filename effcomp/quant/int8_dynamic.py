"""int8 whose activation scales are found at run time: each engine's own, from the same weights."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from effcomp.core.batches import Batch
from effcomp.quant.base import Quant
from effcomp.quant.grid import Granularity
from effcomp.quant.lowering import Lowering, OnnxLowering, OpenVinoLowering, TensorLowering, lowering, lowers
from effcomp.quant.onnx_graph import read_graph
from effcomp.quant.tensors import CODES, SCALE, linear_layers, load_floats, split_codes, stored_state, untied_layers

if TYPE_CHECKING:
    from openvino import Model as OpenVinoModel
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from effcomp.quant.rounding.fake_quant import FakeQuant

TOLERANCE = 0.10


class Int8Dynamic(Quant):
    """int8 weights and int8 activations, multiplied in int8; the activations' scale is found at run time.

    torch, compile   linear layers; PyTorch's own kernel (torch.ao.nn.quantized.dynamic.Linear, FBGEMM or oneDNN), one
                     scale for the activations of a call
    onnxruntime      linear layers and embeddings; one scale for the activations of a call
    openvino         linear layers and embeddings; one scale for every 32 activations of a token
    """

    id: ClassVar[str] = "quant/int8_dynamic"
    granularity: Granularity
    """Weights that share a scale: one output channel, or the whole matrix. openvino has channels alone."""

    def check_training(self, runtime: str) -> None:
        if isinstance(lowering(self, runtime, Lowering), OpenVinoLowering):  # scales of max|w| / 128, embeddings too
            raise self.other_grid(runtime)

    def fake_quant(self, model: "PreTrainedModel") -> "dict[str, FakeQuant]":
        from effcomp.quant.rounding.fake_quant import FakeInt8, int8_by_call

        return {name: FakeInt8(self.granularity, int8_by_call) for name in untied_layers(model)}


def encode(quant: Int8Dynamic, model: "nn.Module") -> "dict[str, Tensor]":
    from effcomp.quant.int8_linear import quantize

    tensors = stored_state(model)
    for name in linear_layers(model):
        if f"{name}.weight" not in tensors:  # a head that is tied to the embeddings
            continue
        weight = tensors.pop(f"{name}.weight")
        tensors[f"{name}.weight{CODES}"], tensors[f"{name}.weight{SCALE}"] = quantize(weight, quant.granularity)
    return tensors


def decode(quant: Int8Dynamic, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    from effcomp.quant.dynamic_linear import dynamic_linear

    coded, floats = split_codes(tensors)
    load_floats(skeleton, floats)
    for name, layer in linear_layers(skeleton).items():
        if f"{name}.weight" not in coded:
            continue
        codes, scale = coded[f"{name}.weight"]
        skeleton.set_submodule(name, dynamic_linear(codes, scale, layer.bias))
    return skeleton


def rewrite_onnx(quant: Int8Dynamic, file: Path, samples: list[Batch]) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        read_graph(file),
        file,
        op_types_to_quantize=["MatMul", "Gather"],
        per_channel=quant.granularity == "per_channel",
        weight_type=QuantType.QInt8,
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT, "MatMulConstBOnly": True},
    )


def rewrite_openvino(quant: Int8Dynamic, model: "OpenVinoModel", samples: list[Batch]) -> "OpenVinoModel":
    import nncf

    from effcomp.quant.openvino_graph import silence_nncf

    silence_nncf()
    return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)


@lowers(Int8Dynamic, "torch", "compile")
def to_torch(quant: Int8Dynamic) -> TensorLowering:
    return TensorLowering(
        applies_to=("linear", "head"),
        expected_kernels=("quantized::linear_dynamic",),
        devices=("cpu",),
        compute_dtype="int8",
        tolerance=TOLERANCE,
        encode=encode,
        decode=decode,
    )


@lowers(Int8Dynamic, "onnxruntime")
def to_onnx(quant: Int8Dynamic) -> OnnxLowering:
    return OnnxLowering(
        applies_to=("linear", "head", "embeddings"),
        expected_kernels=("MatMulInteger", "DynamicQuantizeMatMul"),
        devices=("cpu",),
        compute_dtype="int8",
        tolerance=TOLERANCE,
        rewrite=rewrite_onnx,
    )


@lowers(Int8Dynamic, "openvino")
def to_openvino(quant: Int8Dynamic) -> OpenVinoLowering | None:
    if quant.granularity == "per_tensor":
        return None
    return OpenVinoLowering(
        applies_to=("linear", "head", "embeddings"),
        expected_kernels=("FullyConnectedCompressed",),
        devices=("cpu",),
        compute_dtype="int8",
        tolerance=TOLERANCE,
        rewrite=rewrite_openvino,
        activation_group_size=32,
    )
