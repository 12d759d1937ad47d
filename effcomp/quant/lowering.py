"""Registry of lowerings: how a runtime executes a number format.

    @lowers(Int8Dynamic, "torch", "compile")
    def to_torch(quant: Int8Dynamic) -> TensorLowering: ...

registers, for a format on each of these runtimes, the function that makes its lowering. The function stands in the
module of the format or of the runtime, whichever was written later: both modules are imported before a lowering is
looked up. So no list of modules is kept, a format or a runtime can come from any package, and the module of a format
names all that its artifact depends on. Importing such a module imports no heavy library: the functions of a lowering
import what they need when called.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from effcomp.core.batches import Batch
from effcomp.core.errors import Skipped
from effcomp.core.processors import ComputeDtype, emulation
from effcomp.quant.base import Quant
from effcomp.quant.tensors import ParameterGroup

if TYPE_CHECKING:
    from openvino import Model as OpenVinoModel
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Lowering(ABC):
    """One number format on one runtime. Its functions take the format first."""

    applies_to: tuple[ParameterGroup, ...]
    """Parameters that are stored in the format."""
    expected_kernels: tuple[str, ...] = ()
    """Expected kernels: regular expressions, searched for in the names of the kernels that a call executes. A run that
    executes none of them is flagged. Empty where any kernel of the library will do."""
    devices: tuple[str, ...] = ("cpu", "cuda")
    """Devices that execute it, among those of the runtime."""
    capability: tuple[int, int] = (0, 0)
    """Least compute capability of a GPU."""
    compute_dtype: ComputeDtype
    """Type that products are computed in where the format pays; the roofline uses its rate."""
    fixed_dtype: bool = False
    """The products need `compute_dtype`: a processor without instructions for it emulates them."""
    tolerance: float
    """Largest difference of a logit from the float32 model's that the tests accept, as a share of the logits' range."""

    def lacks(self, flags: Collection[str]) -> str | None:
        """Return what a processor with these flags lacks for it, as a phrase; None where it executes it in hardware."""
        return emulation(self.compute_dtype if self.fixed_dtype else None, self.expected_kernels, flags)

    @property
    @abstractmethod
    def writes(self) -> Callable[..., Any]:
        """Function that makes the contents of the artifact."""


def to_device(model: "nn.Module", place: str) -> "nn.Module":
    """Move a decoded model to a device by PyTorch's name: `cpu`, `cuda:0`."""
    return model.to(place)


@dataclass(frozen=True, kw_only=True)
class TensorLowering(Lowering):
    """Lowering for the runtimes that read model.safetensors: torch, compile, cuda_graphs."""

    encode: "Callable[[Any, nn.Module], dict[str, Tensor]]"
    """encode(quant, model): the tensors to store for a float32 model, which stays as it is. Raises ValueError for a
    weight that holds NaN or infinity."""
    decode: "Callable[[Any, nn.Module, dict[str, Tensor]], nn.Module]"
    """decode(quant, skeleton, tensors): the model that runs, on the CPU. skeleton: the architecture, its parameters on
    the meta device."""
    move: "Callable[[nn.Module, str], nn.Module]" = to_device

    @property
    def writes(self) -> Callable[..., Any]:
        return self.encode


@dataclass(frozen=True, kw_only=True)
class OnnxLowering(Lowering):
    """Lowering for the runtimes that read model.onnx."""

    rewrite: Callable[[Any, Path, list[Batch]], None]
    """rewrite(quant, file, samples): turn a float32 ONNX file into this format, in place. samples:
    `quant.calibration_samples` training examples, each a batch of one."""

    @property
    def writes(self) -> Callable[..., Any]:
        return self.rewrite


@dataclass(frozen=True, kw_only=True)
class OpenVinoLowering(Lowering):
    """Lowering for the runtimes that read openvino_model.xml.

    OpenVINO's own defaults for the settings depend on the processor.
    """

    rewrite: "Callable[[Any, OpenVinoModel, list[Batch]], OpenVinoModel]"
    """rewrite(quant, model, samples): a float32 model in this format; the model itself may be changed."""
    inference_precision: str = "f32"
    """INFERENCE_PRECISION_HINT."""
    activation_group_size: int = 0
    """DYNAMIC_QUANTIZATION_GROUP_SIZE: activations of a token that share an int8 scale; 0 leaves activations float."""

    @property
    def writes(self) -> Callable[..., Any]:
        return self.rewrite


Q = TypeVar("Q", bound=Quant)
L = TypeVar("L", bound=Lowering)
REGISTRY: dict[tuple[type[Quant], str], Callable[[Any], Lowering | None]] = {}
"""Function that makes the lowering of a format class on a runtime; None where these settings do not run there."""


def lowers(
    quant_class: type[Q], *runtimes: str
) -> Callable[[Callable[[Q], Lowering | None]], Callable[[Q], Lowering | None]]:
    """Register the decorated function for a format class on runtimes of these names.

    Raises:
        ValueError: the format has a lowering for one of them already.
    """

    def register(make: Callable[[Q], Lowering | None]) -> Callable[[Q], Lowering | None]:
        for runtime in runtimes:
            if (quant_class, runtime) in REGISTRY:
                raise ValueError(f"{quant_class.__name__} has a lowering for runtime={runtime} already")
            REGISTRY[quant_class, runtime] = make
        return make

    return register


def lowerings(quant: Quant) -> dict[str, Lowering]:
    """Return the lowerings of a format by the names of the runtimes; those of its base classes too."""
    made = {runtime: make(quant) for (cls, runtime), make in REGISTRY.items() if isinstance(quant, cls)}
    return {runtime: one for runtime, one in made.items() if one is not None}


def lowering(quant: Quant, runtime: str, kind: type[L]) -> L:
    """Return the lowering of this kind for a format on a runtime.

    Raises:
        Skipped: the runtime does not execute the format.
        TypeError: the lowering is of another kind.
    """
    found = lowerings(quant)
    if runtime not in found:
        there = ", ".join(found) or "no runtime that is loaded"
        raise Skipped(f"quant={quant.name} does not run on runtime={runtime}; it runs on: {there}")
    if not isinstance(one := found[runtime], kind):
        raise TypeError(f"the lowering of quant={quant.name} for runtime={runtime} is no {kind.__name__}")
    return one


def writer(quant: Quant, kind: type[L]) -> L:
    """Return the lowering that writes the artifact for all runtimes that read files of this kind: they share it.

    Raises:
        Skipped: none of these runtimes executes the format.
        ValueError: their lowerings would write different artifacts.
    """
    found = [one for one in lowerings(quant).values() if isinstance(one, kind)]
    if not found:
        raise Skipped(f"quant={quant.name} has no {kind.__name__}")
    if len({one.writes for one in found}) > 1:
        raise ValueError(f"quant={quant.name}: its {kind.__name__}s write different artifacts; let them share one")
    return found[0]
