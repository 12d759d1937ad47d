"""Exact products of int8 activations and integer codes on a processor: int8, and ternary in two bits.

PyTorch's own product of int8, `_int_mm`, is scalar code without AVX-512, and nothing in PyTorch reads weights of two
bits. The C compiler of the machine translates integer_products.c for its processor, once for each user; the result
lies in the user's cache. Imported where a model is decoded: it needs PyTorch.
"""

import ctypes
import logging
import os
import shutil
import subprocess
import tempfile
from functools import cache
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor, nn

from effcomp.core.machine import cpu_info, has_vector_code
from effcomp.quant.int8_linear import Int8Linear
from effcomp.quant.ternary_codes import LINE, PER_BYTE, unpack_lines

log = logging.getLogger(__name__)

SOURCE = Path(__file__).with_suffix(".c")
FLAGS = ("-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-shared", "-fPIC", "-fopenmp")
"""They keep IEEE arithmetic: the outputs are those of PyTorch's operators."""
INSTRUCTIONS = {
    "avx512_vnni": ("-mavx512f", "-mavx512bw", "-mavx512vnni"),
    "avx2": ("-mavx2",),
}
"""Flags of the compiler by a flag of the processor, the fastest first."""
INT8, TERNARY = 1, PER_BYTE
"""Number of planes: 64 codes in a line, or four times as many in two bits each."""


@cache
def integer_products(instruction_set: str | None = None) -> ctypes.CDLL | None:
    """Return the compiled products; None where this machine has no C compiler with OpenMP, which the log then says.

    Args:
        instruction_set: the one to compile for, of INSTRUCTIONS; `plain` for plain C; None: the processor's best.
    """
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        log.warning("products of ternary and int8 weights take PyTorch's slower way: there is no C compiler (cc)")
        return None
    flags = cpu_info()[1]
    best = instruction_set or next((name for name in INSTRUCTIONS if name in flags), "plain")
    command = (compiler, *FLAGS, *INSTRUCTIONS.get(best, ()))
    key = sha256("\0".join((*command, SOURCE.read_text())).encode()).hexdigest()
    library = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "effcomp" / f"{key[:16]}.so"
    try:
        if not library.exists():
            library.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryDirectory(dir=library.parent) as folder:
                made = Path(folder) / library.name
                subprocess.run([*command, SOURCE, "-o", made, "-lm"], check=True, capture_output=True, text=True)
                made.replace(library)
        loaded = ctypes.CDLL(str(library))
    except (OSError, subprocess.CalledProcessError) as error:
        why = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[0]
        log.warning("products of ternary and int8 weights take PyTorch's slower way: %s: %s", compiler, why)
        return None
    pointer, size = ctypes.c_void_p, ctypes.c_int64
    loaded.integer_product.argtypes = [
        *(ctypes.c_int, pointer, size, size, size, pointer, pointer, pointer, size, pointer, ctypes.c_int)
    ]
    return loaded


def integer_product(input: Tensor, weights: Tensor, scale: Tensor, bias: Tensor | None, planes: int) -> Tensor:
    """Return y = s_x * scale * (q_x @ codes^T) + bias; each token has a scale s_x = max|x| / 127 of its own.

    Args:
        input: (tokens, in) float32, contiguous. A token that holds NaN or infinity has outputs of NaN.
        weights: (out, padded / planes) bytes, contiguous; padded is a multiple of `planes * LINE`, and at least in.
            planes INT8: int8 codes in [-127, 127]. planes TERNARY: `pack_by_lines`.
        scale: (out,) float32; bias: (out,) float32 or None.

    Returns:
        (tokens, out) float32.
    """
    library = integer_products()
    assert library is not None, "the layer was made where the products are compiled"
    (tokens, inputs), (outputs, width) = input.shape, weights.shape
    output = torch.empty(tokens, outputs)
    failed = library.integer_product(
        *(planes, input.data_ptr(), tokens, inputs, planes * width, weights.data_ptr(), scale.data_ptr()),
        *(None if bias is None else bias.data_ptr(), outputs, output.data_ptr(), torch.get_num_threads()),
    )
    if failed:
        raise MemoryError("no memory for the codes of the activations")
    return output


def shape_of_product(input: Tensor, weights: Tensor, scale: Tensor, bias: Tensor | None, planes: int) -> Tensor:
    return input.new_empty(input.shape[0], weights.shape[0])


# `torch.library.custom_op` would load torch._dynamo, 80 MB, at the first call
OPERATORS = torch.library.Library("effcomp", "FRAGMENT")
OPERATORS.define(
    "integer_product(Tensor input, Tensor weights, Tensor scale, Tensor? bias, int planes) -> Tensor",
    tags=(torch.Tag.pt2_compliant_tag,),
)
OPERATORS.impl("integer_product", integer_product, "CPU")
torch.library.register_fake("effcomp::integer_product", shape_of_product, lib=OPERATORS)


class IntegerLinear(nn.Module):
    """Layer that computes what `Int8Linear` does, with the compiled products."""

    weights: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, weights: Tensor, scale: Tensor, bias: Tensor | None, in_features: int, planes: int) -> None:
        """Take weights, padded, and planes as `integer_product` does; scale: () or (out, 1) float32; bias: (out,)."""
        super().__init__()
        self.in_features, self.planes = in_features, planes
        self.register_buffer("weights", weights)
        self.register_buffer("scale", scale.reshape(-1).expand(len(weights)).contiguous())
        self.register_buffer("bias", None if bias is None else bias.detach().float())

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., in) to (..., out), the input's dtype."""
        tokens = input.reshape(-1, self.in_features).float().contiguous()
        output: Tensor = torch.ops.effcomp.integer_product(tokens, self.weights, self.scale, self.bias, self.planes)
        outputs: Tensor = output.to(input.dtype).reshape(*input.shape[:-1], len(self.weights))
        return outputs


def ternary_linear(lines: Tensor, scale: Tensor, bias: Tensor | None, in_features: int) -> nn.Module:
    """Return the layer of ternary weights that this machine computes fastest, of those that compute what `Int8Linear`
    does.

    Args:
        lines: `pack_by_lines`; scale: () or (out, 1) float32; bias: (out,) float32.
    """
    if integer_products() is None:
        return Int8Linear(unpack_lines(lines, in_features), scale, bias)
    return IntegerLinear(lines, scale, bias, in_features, TERNARY)


def int8_linear(codes: Tensor, scale: Tensor, bias: Tensor | None) -> nn.Module:
    """Return the layer of int8 weights that this machine computes fastest, of those that compute what `Int8Linear`
    does.

    Args:
        codes: (out, in) int8; scale: () or (out, 1) float32; bias: (out,) float32.
    """
    if has_vector_code("_int_mm") or integer_products() is None:
        return Int8Linear(codes, scale, bias)
    padded = nn.functional.pad(codes, (0, -codes.shape[1] % LINE))
    return IntegerLinear(padded, scale, bias, codes.shape[1], INT8)


def leave_the_processor(model: nn.Module) -> None:
    """Replace the layers of ternary weights by such that any device computes, in place."""
    for name, layer in list(model.named_modules()):
        if isinstance(layer, IntegerLinear) and layer.planes == TERNARY:
            codes = unpack_lines(layer.weights, layer.in_features)
            model.set_submodule(name, Int8Linear(codes, layer.scale, layer.bias))
