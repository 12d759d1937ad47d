"""A number format, and how each runtime comes by it: tensors to encode and decode, or a graph to rewrite."""

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from effcomp.core.batches import Batch
from effcomp.core.component import Component
from effcomp.core.processors import Arithmetic as Arithmetic

if TYPE_CHECKING:
    import torch
    from openvino import Model as OpenVinoModel
    from torch import Tensor, nn

Granularity = Literal["per_tensor", "per_channel"]
"""One scale for a weight, or one for each of its output channels (rows)."""
Kind = Literal["embeddings", "linear", "head", "rest"]
"""What a parameter belongs to; the rest are biases and normalisation."""
EVERY: tuple[Kind, ...] = ("embeddings", "linear", "head", "rest")


class Way(NamedTuple):
    """How one runtime executes a number format."""

    touches: tuple[Kind, ...] = ()
    """The parameters that are stored in the format; the others stay float32."""
    promises: tuple[str, ...] = ()
    """Expected kernels: regular expressions, one of which must match in the name of a kernel that runs, or the record
    says that none did. Empty where the format computes in float32."""
    devices: tuple[str, ...] = ("cpu", "cuda")
    """Of those that the runtime runs on."""
    arithmetic: Arithmetic | None = None
    """Number type that products are computed in here, where the format does not leave it to the processor."""


class Quant(Component):
    """How weights are stored and computed with.

    To add a format: subclass this with a `Way` for each runtime that executes it, and the functions that those need:
    `encode` and `decode` for torch and compile, `decode_fused` for cuda_graphs, `quantise_onnx` for onnxruntime,
    `quantise_openvino` for openvino.
    Then conf/quant/<name>.yaml, and a tolerance in tests/artifact/test_folder.py.
    """

    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    packages: ClassVar[tuple[str, ...]] = ()
    """Libraries that must be installed, by import name."""
    capability: ClassVar[tuple[int, int]] = (0, 0)
    """The compute capability that a GPU must have."""

    @property
    @abstractmethod
    def ways(self) -> dict[str, Way]:
        """By runtime; any other pair is refused before work begins."""

    @property
    def arithmetic(self) -> Arithmetic:
        """The type that products are computed in where the format pays: what the floor of its time is counted by."""
        return "float32"

    @property
    def calibration_samples(self) -> int:
        """How many training examples the format is fitted to."""
        return 0

    def encode(self, model: "nn.Module") -> "dict[str, Tensor]":
        """The tensors to store for a float32 model; the model itself is not changed.

        Raises:
            ValueError: a weight holds NaN or infinity.
        """
        raise NotImplementedError(f"{self.name} is not stored as tensors")

    def moved(self, model: "nn.Module", place: str) -> "nn.Module":
        """The decoded model on a device: `cpu`, `cuda:0`."""
        return model.to(place)

    def decode(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
        """The model that runs, from a skeleton (the architecture, its parameters on the meta device)."""
        raise NotImplementedError(f"{self.name} is not stored as tensors")

    def decode_fused(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
        """The model for runtime cuda_graphs, in bfloat16: weights stay in codes, and a compiled kernel makes them
        bfloat16 in each call (effcomp.quant.fused_linear)."""
        return self.decode(skeleton, tensors)

    def quantise_onnx(self, file: Path, samples: list[Batch]) -> None:
        """Rewrite a float32 ONNX file into this format, in place. samples: `calibration_samples` of single examples."""
        raise NotImplementedError(f"{self.name} has no ONNX form")

    def quantise_openvino(self, model: "OpenVinoModel", samples: list[Batch]) -> "OpenVinoModel":
        """A float32 OpenVINO model in this format; the model itself may be changed."""
        raise NotImplementedError(f"{self.name} has no OpenVINO form")

    def openvino_settings(self) -> dict[str, str]:
        """How OpenVINO computes with it, by its own property names: its own defaults depend on the processor."""
        return {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}


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


def stored_in(model: "nn.Module", dtype: str) -> "dict[str, Tensor]":
    """`stored_state` with what is floating-point in this type of PyTorch: `bfloat16`."""
    import torch

    return {
        name: tensor.to(getattr(torch, dtype)) if tensor.is_floating_point() else tensor
        for name, tensor in stored_state(model).items()
    }


def load_floats(skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> None:
    """Put stored float tensors in place of the skeleton's meta ones and tie what is tied.

    Layers that a quantiser fills itself may be missing; a tensor that has no place is an error.
    """
    _, unexpected = skeleton.load_state_dict(tensors, strict=False, assign=True)
    if unexpected:
        raise ValueError(f"the stored tensors {unexpected} do not fit the architecture")
    if hasattr(skeleton, "tie_weights"):
        skeleton.tie_weights()  # type: ignore[operator]  # transformers models have it


def cast(model: "nn.Module", dtype: "torch.dtype") -> "nn.Module":
    """The model with its floating-point parameters and stored buffers in this type, in place.

    What is computed from the config stays as it is, as with from_pretrained: rotary frequencies in bfloat16 would be
    0.9 rad off at token 2,000.
    """
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if parameter.is_floating_point():
                parameter.data = parameter.data.to(dtype)
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_floating_point() and name not in module._non_persistent_buffers_set:
                module.register_buffer(name, buffer.to(dtype))
    return model


CODES, SCALE = ".codes", ".scale"
"""The names of what is stored for a coded weight end in these."""


def split_codes(
    tensors: "dict[str, Tensor]",
) -> "tuple[dict[str, tuple[Tensor, Tensor]], dict[str, Tensor]]":
    """Stored tensors as {name: (codes, scale)} of those that are coded, and the rest, which stayed float."""
    coded = {
        name.removesuffix(CODES): (codes, tensors[name.removesuffix(CODES) + SCALE])
        for name, codes in tensors.items()
        if name.endswith(CODES)
    }
    return coded, {name: tensor for name, tensor in tensors.items() if not name.endswith((CODES, SCALE))}


def nonzero_scale(scale: "Tensor") -> "Tensor":
    """A scale to divide weights by: 1 instead of one below the smallest normal number, where the division would lose
    its precision. Such weights are zeros to any layer."""
    import torch

    return torch.where(scale < torch.finfo(torch.float32).tiny, 1.0, scale)


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


def parameters_by_kind(model: "nn.Module") -> dict[Kind, int]:
    """How many parameters belong to what; tied ones count once, as embeddings."""
    from torch import nn

    counts: dict[Kind, int] = dict.fromkeys(EVERY, 0)
    linear, heads = linear_layers(model, skip=HEADS), linear_layers(model)
    for name, parameter in model.named_parameters():  # tied ones under their first name
        owner, _, kind = name.rpartition(".")
        if isinstance(model.get_submodule(owner), nn.Embedding):
            counts["embeddings"] += parameter.numel()
        elif kind == "weight" and owner in heads:
            counts["linear" if owner in linear else "head"] += parameter.numel()
        else:
            counts["rest"] += parameter.numel()
    return counts
