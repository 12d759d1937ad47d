"""ggml's number formats, by the library inside the installed package xllamacpp.

The package is pinned: its C symbols are called through ctypes, and C structures change between versions.
"""

import ctypes
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from effcomp.core.errors import UserError

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType

PACKAGE, VERSION = "xllamacpp", "2026.10.11549"
"""The version whose C structures effcomp.runtimes.llama_library declares (llama.cpp b11549)."""


def check_version() -> None:
    """Raise UserError when another version of the package is installed."""
    if (found := version(PACKAGE)) != VERSION:
        raise UserError(f"{PACKAGE} is {found}, and effcomp calls {VERSION}: pip install {PACKAGE}=={VERSION}")


@cache
def library() -> ctypes.CDLL:
    """Load the shared library of llama.cpp and ggml.

    Raises:
        UserError: another version of the package is installed.
    """
    check_version()
    spec = find_spec(PACKAGE)
    assert spec is not None and spec.origin is not None, "check_version found the package"
    (file,) = Path(spec.origin).parent.glob(f"{PACKAGE}*.so")
    loaded = ctypes.CDLL(str(file))
    loaded.ggml_quantize_chunk.restype = ctypes.c_size_t
    loaded.ggml_quantize_chunk.argtypes = [ctypes.c_int, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    loaded.ggml_quantize_requires_imatrix.restype = ctypes.c_bool
    return loaded


def quantize(
    rows: NDArray[np.float32], kind: "GGMLQuantizationType", importance: NDArray[np.float32] | None
) -> NDArray[np.uint8]:
    """Encode a matrix in one of ggml's formats.

    Args:
        rows: (outputs, inputs), float32; inputs is a multiple of the format's block.
        importance: (inputs,), the mean square of each input: a weight's error counts by it. None: all count alike.

    Returns:
        (outputs, bytes of a row).
    """
    from gguf import quant_shape_to_byte_shape

    count, width = rows.shape
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    codes = np.empty(quant_shape_to_byte_shape(rows.shape, kind), dtype=np.uint8)
    weights = None if importance is None else np.ascontiguousarray(importance, dtype=np.float32).ctypes.data
    written = library().ggml_quantize_chunk(int(kind), rows.ctypes.data, codes.ctypes.data, 0, count, width, weights)
    if written != codes.nbytes:
        raise ValueError(f"{kind.name}: {written} bytes were written, not {codes.nbytes}")
    return codes
