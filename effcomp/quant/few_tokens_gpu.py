"""Products of a few tokens with a matrix on a GPU, in Triton: the time is that of reading the weights once.

A library's product is made for many tokens: for one it splits the sum over blocks and adds these up in a second kernel,
and it reads no codes. Imported where a model is decoded.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

COLUMNS = 1024
"""Number of weights of a row that a program reads at a time; all of a short row where there are few rows."""


@triton.jit
def store_outputs(  # type: ignore[no-untyped-def]
    found,
    token,
    rows,
    there,
    bias,
    residual,
    output,
    outputs,
    BIASED: tl.constexpr,
    ACTIVATION: tl.constexpr,
    ADDED: tl.constexpr,
):
    """Store activation(found + bias) + residual for these rows of a token."""
    if BIASED:
        found += tl.load(bias + rows, mask=there, other=0).to(tl.float32)
    if ACTIVATION == "gelu_new":  # x sigmoid(2 z) is x (1 + tanh z) / 2
        found *= tl.sigmoid(1.5957691216057308 * (found + 0.044715 * found * found * found))
    if ACTIVATION == "gelu":
        found *= 0.5 * (1.0 + tl.erf(found * 0.7071067811865476))
    if ACTIVATION == "relu":
        found = tl.maximum(found, 0.0)
    place = token * outputs + rows
    if ADDED:
        found += tl.load(residual + place, mask=there, other=0).to(tl.float32)
    tl.store(output + place, found.to(output.dtype.element_ty), mask=there)


@triton.jit
def rows_kernel(  # type: ignore[no-untyped-def]
    values,
    weight,
    scale,
    bias,
    residual,
    output,
    outputs,
    width,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SCALED: tl.constexpr,
    BIASED: tl.constexpr,
    ACTIVATION: tl.constexpr,
    ADDED: tl.constexpr,
    EARLY: tl.constexpr,
):
    """Compute ROWS outputs of one token. values: (tokens, width), weight: (outputs, width), scale, bias: (outputs,),
    residual: (tokens, outputs).
    """
    token, rows = tl.program_id(1), tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    there, columns = rows < outputs, tl.arange(0, COLUMNS)
    place = weight + rows.to(tl.int64)[:, None] * width + columns[None, :]
    if EARLY:
        gdc_launch_dependents()
    stored = tl.load(place, mask=there[:, None] & (columns < width)[None, :], other=0)
    if EARLY:
        gdc_wait()
    value = tl.load(values + token * width + columns, mask=columns < width, other=0)
    sums = stored.to(tl.float32) * value.to(tl.float32)[None, :]
    for first in range(COLUMNS, width, COLUMNS):
        inside = first + columns < width
        stored = tl.load(place + first, mask=there[:, None] & inside[None, :], other=0)
        value = tl.load(values + token * width + first + columns, mask=inside, other=0)
        sums += stored.to(tl.float32) * value.to(tl.float32)[None, :]
    found = tl.sum(sums, axis=1)
    if SCALED:
        found *= tl.load(scale + rows, mask=there, other=0)
    store_outputs(found, token, rows, there, bias, residual, output, outputs, BIASED, ACTIVATION, ADDED)


def early(values: Tensor) -> bool:
    """Tell whether a kernel may start while the one before it ends: from Hopper on."""
    return torch.cuda.get_device_capability(values.device) >= (9, 0)


@torch.library.custom_op("effcomp::few_tokens_rows", mutates_args=())
def few_tokens_rows(
    values: Tensor,
    weight: Tensor,
    scale: Tensor | None,
    bias: Tensor | None,
    activation: str = "",
    residual: Tensor | None = None,
) -> Tensor:
    """Return activation(values @ weight^T * scale + bias) + residual, summed in float32.

    Args:
        values: (tokens, in), floating point.
        weight: (out, in), floating point or int8.
        scale: (out,) float32.
        bias: (out,).
        activation: "gelu_new", "gelu", "relu" or "", which is none.
        residual: (tokens, out).

    Returns:
        (tokens, out), as values.
    """
    values, (outputs, width) = values.contiguous(), weight.shape
    output, padded = values.new_empty(len(values), outputs), triton.next_power_of_2(width)
    rows = 4 if width <= COLUMNS else 2  # the fastest on an H200, as are the four warps
    rows_kernel[(triton.cdiv(outputs, rows), len(values))](
        values,
        weight,
        scale,
        bias,
        None if residual is None else residual.contiguous(),
        output,
        outputs,
        width,
        ROWS=rows,
        COLUMNS=padded if padded <= 4 * COLUMNS and outputs <= 2 * COLUMNS else min(COLUMNS, padded),
        SCALED=scale is not None,
        BIASED=bias is not None,
        ACTIVATION=activation,
        ADDED=residual is not None,
        EARLY=early(values),
        num_warps=4,
        **({"launch_pdl": True} if early(values) else {}),
    )
    return output


@few_tokens_rows.register_fake
def _(
    values: Tensor,
    weight: Tensor,
    scale: Tensor | None,
    bias: Tensor | None,
    activation: str = "",
    residual: Tensor | None = None,
) -> Tensor:
    return values.new_empty(values.shape[0], weight.shape[0])
