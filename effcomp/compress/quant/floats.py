"""Floating-point formats: float32 as trained, and bfloat16."""

from typing import TYPE_CHECKING, ClassVar, Literal

from effcomp.compress.quant.base import Arithmetic, Quant, load_floats, stored_state

if TYPE_CHECKING:
    from torch import Tensor, nn


class Float(Quant):
    """Weights and activations in one floating-point type."""

    runtimes: ClassVar[tuple[str, ...]] = ("torch", "compile")
    dtype: Literal["float32", "bfloat16"]

    @property
    def arithmetic(self) -> Arithmetic:
        return self.dtype

    def encode(self, model: "nn.Module") -> "dict[str, Tensor]":
        import torch

        dtype = getattr(torch, self.dtype)
        return {
            name: tensor.to(dtype) if tensor.is_floating_point() else tensor
            for name, tensor in stored_state(model).items()
        }

    def decode(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
        import torch

        load_floats(skeleton, tensors)
        return skeleton.to(getattr(torch, self.dtype))
