"""PyTorch's dynamically quantized linear layer.

Imported where a model is decoded or a machine's rates are measured: it needs PyTorch. torch.ao is deprecated; this
module alone uses it.
"""

import warnings

import torch
from torch import Tensor, nn


def dynamic_linear(codes: Tensor, scale: Tensor, bias: Tensor | None) -> nn.Module:
    """Make the layer that holds exactly these codes and scales.

    Args:
        codes: (out, in) int8; scale: () or (out, 1) float32; bias: (out,) float32.
    """
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
