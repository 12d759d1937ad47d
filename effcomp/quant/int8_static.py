"""int8 whose activation scales are fitted beforehand, to training examples."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from effcomp.core.batches import Batch
from effcomp.core.processors import OPENVINO_INT8
from effcomp.quant.base import Quant
from effcomp.quant.lowering import OnnxLowering, OpenVinoLowering, lowers
from effcomp.quant.onnx_graph import read_graph

if TYPE_CHECKING:
    from openvino import Model as OpenVinoModel

TOLERANCE = 0.10


class Int8Static(Quant):
    """int8 weights and int8 activations with constant scales: nothing is searched for at run time.

    onnxruntime   linear layers, between QuantizeLinear and DequantizeLinear; smallest and largest values
    openvino      linear layers, attention products and embeddings, by NNCF: SmoothQuant (Xiao et al. 2023) moves what
                  is hard to round from activations to weights, and biases take up the mean error
    """

    id: ClassVar[str] = "quant/int8_static"
    samples: Annotated[int, Field(ge=1)]
    """Training examples that the scales are fitted to."""

    @property
    def calibration_samples(self) -> int:
        return self.samples


def rewrite_onnx(quant: Int8Static, file: Path, samples: list[Batch]) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Samples(CalibrationDataReader):
        """Reader of the calibration samples, one at a time."""

        def __init__(self) -> None:
            self.rest: Iterator[Batch] = iter(samples)

        def get_next(self) -> Batch | None:
            return next(self.rest, None)

    quantize_static(
        read_graph(file),
        file,
        Samples(),
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibration_providers=["CPUExecutionProvider"],
        extra_options={"MatMulConstBOnly": True},
    )


def rewrite_openvino(quant: Int8Static, model: "OpenVinoModel", samples: list[Batch]) -> "OpenVinoModel":
    import nncf

    from effcomp.quant.openvino_graph import silence_nncf

    silence_nncf()
    return nncf.quantize(model, nncf.Dataset(samples), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(samples))


@lowers(Int8Static, "onnxruntime")
def to_onnx(quant: Int8Static) -> OnnxLowering:
    return OnnxLowering(
        applies_to=("linear", "head"),
        expected_kernels=("QLinear", "MatMulInteger", "QGemm"),
        devices=("cpu",),
        compute_dtype="int8",
        tolerance=TOLERANCE,
        rewrite=rewrite_onnx,
    )


@lowers(Int8Static, "openvino")
def to_openvino(quant: Int8Static) -> OpenVinoLowering:
    return OpenVinoLowering(
        applies_to=("linear", "head", "embeddings"),
        expected_kernels=(OPENVINO_INT8,),
        devices=("cpu",),
        compute_dtype="int8",
        tolerance=TOLERANCE,
        rewrite=rewrite_openvino,
    )
