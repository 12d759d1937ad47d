"""Instruction sets of processors and GPUs: the number types that each multiplies in hardware, and the kernels that run.

Sources: Intel 64 and IA-32 Software Developer's Manual, volume 1, chapters 5 and 14 to 18; Arm Architecture Reference
Manual for A-profile, features FEAT_DotProd, FEAT_I8MM, FEAT_BF16, FEAT_FP16, FEAT_SVE; CUDA C++ Programming Guide,
"Arithmetic Instructions" and "Tensor Cores" by compute capability. Kernel names: tests/data/kernels.json.
"""

import re
from collections.abc import Collection
from typing import Literal, NamedTuple

ComputeDtype = Literal["float32", "bfloat16", "float16", "float8", "int8"]


class InstructionSet(NamedTuple):
    """An extension of a processor's instruction set that counts for matrix products."""

    name: str
    flag: str
    """Its name in /proc/cpuinfo."""
    multiplies: tuple[ComputeDtype, ...]
    """Number types whose products it computes."""
    kernels: tuple[str, ...]
    """Parts of the names of oneDNN's and OpenVINO's kernels that use it. PyTorch and ONNX Runtime choose by the
    processor too, but name the operator alone."""


INSTRUCTION_SETS = (
    InstructionSet("AVX2", "avx2", ("float32", "int8"), ("avx2", "jit_gemm", "gemm:jit", "gemm_mlas")),
    InstructionSet("AVX-512", "avx512f", ("float32", "int8"), ("avx512_core", "avx512")),
    InstructionSet("AVX-512 VNNI", "avx512_vnni", ("int8",), ("avx512_core_vnni", "brgemm_avx512")),
    InstructionSet("AVX-VNNI", "avx_vnni", ("int8",), ("avx2_vnni", "brgemm_avx2")),
    InstructionSet("AVX-512 BF16", "avx512_bf16", ("bfloat16",), ("avx512_core_bf16", "brgemm_avx512")),
    InstructionSet("AVX-512 FP16", "avx512_fp16", ("float16",), ("avx512_core_fp16", "avx10_1_512")),
    InstructionSet("AMX int8", "amx_int8", ("int8",), ("avx512_core_amx", "avx10_1_512_amx", "avx512_amx")),
    InstructionSet("AMX bfloat16", "amx_bf16", ("bfloat16",), ("avx512_core_amx", "avx10_1_512_amx", "avx512_amx")),
    InstructionSet("AMX float16", "amx_fp16", ("float16",), ("avx512_core_amx_fp16", "avx10_1_512_amx_fp16")),
    InstructionSet("NEON", "asimd", ("float32", "int8"), ("acl", "kleidiai", "gemm")),
    InstructionSet("NEON float16", "asimdhp", ("float16",), ("acl", "kleidiai")),
    InstructionSet("Arm dot product", "asimddp", ("int8",), ("acl", "kleidiai")),
    InstructionSet("Arm int8 matrices", "i8mm", ("int8",), ("acl", "kleidiai")),
    InstructionSet("Arm bfloat16", "bf16", ("bfloat16",), ("acl", "kleidiai")),
    InstructionSet("SVE", "sve", ("float32",), ("sve", "acl")),
)
GPU_CAPABILITY: dict[ComputeDtype, tuple[int, int]] = {
    "float32": (0, 0),
    "float16": (7, 0),
    "int8": (7, 5),
    "bfloat16": (8, 0),
    "float8": (8, 9),
}
"""Compute capability from which a GPU multiplies matrices of a number type in its tensor cores."""
SCALAR_WITHOUT = {"_int_mm": "avx512f"}
"""Operators that run as scalar code where an instruction set is missing: PyTorch hands `_int_mm` to oneDNN on AVX-512
alone (as bitsandbytes/backends/cpu/ops.py notes)."""
OPENVINO_INT8 = r"^(FullyConnected|MatMul|Convolution)\w* \S*_[iI]8$"
"""Names of OpenVINO's products of int8: each of its nodes is called by operator, kernel and type of the first input."""
INT8_PRODUCTS = {
    "cpu": re.compile(
        r"aten::_int_mm|effcomp::integer_product|quantized::linear|onednn::qlinear"
        r"|^(MatMulInteger|DynamicQuantizeMatMul|QLinearMatMul|QGemm|QAttention)"
        rf"|{OPENVINO_INT8}"
        r"|^MUL_MAT I?[QT]Q?\d"
    ),
    "cuda": re.compile(r"aten::_int_mm|int8_linear_matmul|igemm|imma|i8i32|gemm_s8|few_tokens_kernel|product_kernel"),
}
"""Names of kernels that multiply int8 by int8, by kind of device. On a processor: operators of PyTorch, of ONNX Runtime
and of llama.cpp, nodes of OpenVINO. bitsandbytes' operators do not count there, because without AVX-512 they multiply
in float32."""


def multiplied(flags: Collection[str]) -> set[ComputeDtype]:
    """Return the number types that a processor with these flags of /proc/cpuinfo multiplies in hardware."""
    return {compute_dtype for one in INSTRUCTION_SETS if one.flag in flags for compute_dtype in one.multiplies}


def is_int8_product(kernel: str, device_kind: str) -> bool:
    """Return whether a kernel of this name multiplies int8 matrices; device_kind: cpu or cuda."""
    return INT8_PRODUCTS[device_kind].search(kernel) is not None


def emulation(compute_dtype: ComputeDtype | None, operators: Collection[str], flags: Collection[str]) -> str | None:
    """Return what a processor lacks for a number format, as a phrase; None where it executes the format in hardware.

    Args:
        compute_dtype: the type that the format multiplies in; None: no type that the processor could lack.
        operators: those of which the format runs one.
        flags: of the processor, as in /proc/cpuinfo.
    """
    if compute_dtype is not None and compute_dtype not in multiplied(flags):
        having = [one.name for one in INSTRUCTION_SETS if compute_dtype in one.multiplies]
        return f"{compute_dtype} products ({', '.join(having)})"
    for operator, flag in SCALAR_WITHOUT.items():
        if flag not in flags and operators and all(operator in name for name in operators):
            name = next(one.name for one in INSTRUCTION_SETS if one.flag == flag)
            return f"vector code for {operator} ({name})"
    return None
