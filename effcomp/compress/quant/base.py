"""A number format as a pair of functions: encode to the tensors on disk, decode to a model that runs."""

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from effcomp.part import Part

if TYPE_CHECKING:
    from torch import Tensor, nn

Arithmetic = Literal["float32", "bfloat16", "int8"]


class Quant(Part):
    """How weights are stored and computed with.

    To add a format: subclass this, write conf/quant/<name>.yaml, and a test beside
    tests/compress/quant/ that encodes, decodes and compares.
    """

    runtimes: ClassVar[tuple[str, ...]]
    """The runtimes that can execute the format; any other pair is refused before work begins."""
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    packages: ClassVar[tuple[str, ...]] = ()
    """Libraries that must be installed, by import name."""
    promises: ClassVar[tuple[str, ...]] = ()
    """Operators that make the format what it is: one whose name contains any of these must run, or the record says
    that none did. Nothing is promised where computing is left to float32."""

    @property
    def arithmetic(self) -> Arithmetic:
        """The type that products are computed in where the format pays: what the floor of its time is counted by."""
        return "float32"

    @abstractmethod
    def encode(self, model: "nn.Module") -> "dict[str, Tensor]":
        """The tensors to store for a float32 model; the model itself is not changed.

        Raises:
            ValueError: a weight holds NaN or infinity.
        """

    def moved(self, model: "nn.Module", place: str) -> "nn.Module":
        """The decoded model on a device: `cpu`, `cuda:0`."""
        return model.to(place)

    @abstractmethod
    def decode(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
        """The model that runs, from a skeleton (the architecture, its parameters on the meta device)."""


def stored_state(model: "nn.Module") -> "dict[str, Tensor]":
    """The model's tensors by name, each storage once: tied weights keep their first name.

    Raises:
        ValueError: a tensor holds NaN or infinity; such a model cannot be compressed or compared.
    """
    import torch

    state: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"{name} holds NaN or infinity")
        if tensor.numel() and tensor.data_ptr() in seen:
            continue
        seen.add(tensor.data_ptr())
        state[name] = tensor.detach().contiguous()
    return state


def load_floats(skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> None:
    """Put stored float tensors in place of the skeleton's meta ones and tie what is tied.

    Layers that a quantiser fills itself may be missing; a tensor that has no place is an error.
    """
    _, unexpected = skeleton.load_state_dict(tensors, strict=False, assign=True)
    if unexpected:
        raise ValueError(f"the stored tensors {unexpected} do not fit the architecture")
    if hasattr(skeleton, "tie_weights"):
        skeleton.tie_weights()  # type: ignore[operator]  # transformers models have it


HEADS = ("classifier", "pre_classifier", "score", "lm_head", "cls", "vocab_projector", "vocab_transform")
"""The modules behind the encoder or decoder: sensitive, and often tied to the embeddings."""


def linear_layers(model: "nn.Module", skip: tuple[str, ...] = ()) -> "dict[str, nn.Linear]":
    """Every nn.Linear by its name, without those in a module of these names."""
    from torch import nn

    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and not set(skip) & set(name.split("."))
    }
