"""4-bit integer weights in groups; activations stay float."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from effcomp.core.batches import Batch
from effcomp.quant.few_bits import encode
from effcomp.quant.grouped import Grouped
from effcomp.quant.lowering import OnnxLowering, OpenVinoLowering, TensorLowering, lowers
from effcomp.quant.onnx_graph import read_graph
from effcomp.quant.tensors import cast, linear_layers

if TYPE_CHECKING:
    from openvino import Model as OpenVinoModel
    from torch import Tensor, nn

INT8_ACTIVATIONS = 4
"""ONNX Runtime's accuracy_level that rounds activations to int8."""
TOLERANCE = 0.40


class Int4(Grouped):
    """4-bit weights with a scale for every group of inputs; linear layers without the head.

    Codes are the nearest, or chosen by quant.rounding=hqq, gptq, awq or learned; ONNX Runtime and NNCF round to nearest
    themselves. quant.zero_point=true fits a zero point to each group. quant.embeddings=int8 or int4 stores the
    embeddings in codes too, for PyTorch, which dequantizes them at load.

    torch         effcomp's codes, on a CPU; the kernel multiplies bfloat16 activations, so the rest is bfloat16 too
    cuda_graphs   effcomp's codes, which a compiled kernel dequantizes to bfloat16 in each call
    onnxruntime   MatMulNBits, which rounds activations to int8
    openvino      by NNCF; activations rounded to int8 in groups of 32. Embeddings and head in int8
    """

    id: ClassVar[str] = "quant/int4"
    bits: ClassVar[int] = 4
    group_size: Literal[32, 64, 128]
    """Inputs of a row that share a scale; fewer are more precise and take more bytes."""


def decode(quant: Int4, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    import torch

    from effcomp.quant.grouped_tensors import load_groups
    from effcomp.quant.int4_linear import Int4Linear

    packed = load_groups(skeleton, tensors, quant.group_size)
    cast(skeleton, torch.bfloat16)
    layers = linear_layers(skeleton)
    for name, one in packed.items():
        layer = layers[name]
        skeleton.set_submodule(name, Int4Linear(one.unpacked(), layer.bias, layer.in_features))
    return skeleton


def decode_fused(quant: Int4, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    from effcomp.quant.fused_linear import placed_groups

    return placed_groups(skeleton, tensors, quant.group_size)


def rewrite_onnx(quant: Int4, file: Path, samples: list[Batch]) -> None:
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    from onnxruntime.quantization.onnx_model import ONNXModel

    graph = ONNXModel(read_graph(file))
    graph.replace_gemm_with_matmul()  # poolers and classifiers: the quantizer knows MatMul alone
    quantizer = MatMulNBitsQuantizer(
        graph.model,
        bits=4,
        block_size=quant.group_size,
        is_symmetric=not quant.zero_point,
        accuracy_level=INT8_ACTIVATIONS,
    )
    quantizer.process()
    quantizer.model.save_model_to_file(str(file), use_external_data_format=False)


def rewrite_openvino(quant: Int4, model: "OpenVinoModel", samples: list[Batch]) -> "OpenVinoModel":
    import nncf

    from effcomp.quant.openvino_graph import silence_nncf

    silence_nncf()
    return nncf.compress_weights(
        model,
        mode=nncf.CompressWeightsMode.INT4_ASYM if quant.zero_point else nncf.CompressWeightsMode.INT4_SYM,
        ratio=1.0,
        group_size=quant.group_size,
        advanced_parameters=nncf.AdvancedCompressionParameters(
            group_size_fallback_mode=nncf.GroupSizeFallbackMode.ADJUST
        ),
    )


@lowers(Int4, "torch")
def to_torch(quant: Int4) -> TensorLowering:
    return TensorLowering(
        applies_to=quant.coded,
        expected_kernels=("int4pack_mm",),
        devices=("cpu",),
        compute_dtype="bfloat16",
        tolerance=TOLERANCE,
        encode=encode,
        decode=decode,
    )


@lowers(Int4, "cuda_graphs")
def to_cuda_graphs(quant: Int4) -> TensorLowering:
    return TensorLowering(
        applies_to=quant.coded, compute_dtype="bfloat16", tolerance=TOLERANCE, encode=encode, decode=decode_fused
    )


@lowers(Int4, "onnxruntime")
def to_onnx(quant: Int4) -> OnnxLowering | None:
    if quant.own_codes:
        return None
    return OnnxLowering(
        applies_to=("linear", "head"),
        expected_kernels=("MatMulNBits",),
        compute_dtype="bfloat16",
        tolerance=TOLERANCE,
        rewrite=rewrite_onnx,
    )


@lowers(Int4, "openvino")
def to_openvino(quant: Int4) -> OpenVinoLowering | None:
    if quant.own_codes:
        return None
    return OpenVinoLowering(
        applies_to=("linear", "head", "embeddings"),
        expected_kernels=("FullyConnectedCompressed",),
        compute_dtype="bfloat16",
        tolerance=TOLERANCE,
        rewrite=rewrite_openvino,
        activation_group_size=32,
    )
