"""Weights that were quantized elsewhere: in a folder of transformers, or llama.cpp's in a GGUF file."""

from collections.abc import Iterable
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from effcomp.core.checksum import contents_sha256
from effcomp.core.errors import UserError
from effcomp.core.store import folder_sha256
from effcomp.models.folder import SAVE_AGAIN, check_headers, read_config
from effcomp.models.linear import unify_linear
from effcomp.models.weights import check_left_over
from effcomp.quant.base import Quant
from effcomp.quant.bnb import Int8Bnb, decode_four_bit, decode_int8, move_int8
from effcomp.quant.gguf import GgufLowering
from effcomp.quant.lowering import TensorLowering, lowers
from effcomp.quant.quantization_config import IN_WORDS, READ, is_read, weight_format
from effcomp.quant.tensors import CODES, linear_layers

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig, PreTrainedModel

    from effcomp.quant.word_layouts import Layout

SETTING = "quant.path"
MAGIC = b"GGUF"
"""First bytes of a GGUF file."""
THRESHOLD = "threshold"
"""Name of the outliers' bound among the stored tensors, of LLM.int8() alone."""


class Checkpoint(Quant):
    """Quantized checkpoint, measured as it is against the float model that it was made from.

    `model` names the float model, whose tokenizer and baseline count. runtime=torch reads a folder as save_pretrained
    writes it, and on a GPU runtime=cuda_graphs, except bitsandbytes' (torch there too); runtime=llama_cpp reads a GGUF
    file. The libraries of gptq, awq and compressed-tensors are not needed.

    bitsandbytes        4 or 8 bits, on its own kernels
    gptq                2, 3, 4 or 8 bits, activation order included
    awq                 4 bits, version gemm
    compressed-tensors  pack-quantized, 4 or 8 bits

    The last three are stored exactly. On a CPU layers of 4 bits in groups of 32, 64, 128 or 256 run on quant=int4's
    kernel, with scales in bfloat16; on a GPU layers of 2 or 4 bits run on its kernels there. Others are dequantized to
    bfloat16 at load.
    """

    id: ClassVar[str] = "quant/checkpoint"
    packages: ClassVar[tuple[str, ...]] = ("bitsandbytes",)
    path: Path | None
    """Folder of the quantized model, or a GGUF file; `model` names the float model. A folder is as save_pretrained
    writes it: config.json with its quantization, safetensors."""

    @property
    def place(self) -> Path:
        """Return `path`.

        Raises:
            UserError: it is not given.
        """
        if self.path is None:
            raise UserError(f"quant={self.name} needs {SETTING}: a quantized model's folder, or a GGUF file")
        return self.path

    @property
    def is_gguf(self) -> bool:
        return self.path is not None and self.path.suffix == ".gguf"

    @property
    def method(self) -> str | None:
        """Method of the folder's quantization; None where the folder is gone, whose artifact loads without it."""
        with suppress(UserError):
            quantization = read_config(self.place, SETTING).get("quantization_config")
            return quantization.get("quant_method") if isinstance(quantization, dict) else None
        return None

    def key(self) -> dict[str, Any]:
        """Identify the checkpoint by its contents, not its path."""
        key, digest = super().key(), contents_sha256 if self.is_gguf else folder_sha256
        return {**key, "fields": {**key["fields"], "path": digest(self.place)}}

    def check(self, *, changes: bool) -> None:
        whose = f"{SETTING}={self.place}"
        if changes:
            raise UserError(f"{whose}: its weights are measured as they are; give finetune=none prune=none with it")
        if self.is_gguf:
            check_gguf(self.place, whose)
            return
        quantization = read_config(self.place, SETTING).get("quantization_config")
        if not isinstance(quantization, dict) or quantization.get("quant_method") is None:
            raise UserError(f"{whose} holds no quantized model: config.json with a quantization_config is missing")
        if not is_read(quantization):
            how = f"{quantization['quant_method']} {weight_format(quantization)}".rstrip()
            raise UserError(f"{whose} is quantized by {how}, which is not read; these are: {READ}; GGUF files")
        if quantization.get("kv_cache_scheme") is not None:
            reason = "quantizes keys and values too (kv_cache_scheme), which is not read"
            raise UserError(f"{whose} {reason}; give a model without")
        check_headers(weight_files(self.place), whose, SAVE_AGAIN, packed=True)

    def check_config(self, config: "PretrainedConfig") -> None:
        from transformers import AutoConfig

        if self.is_gguf:  # the names and shapes of its tensors are compared when the artifact is written
            return
        theirs = AutoConfig.from_pretrained(self.place)
        if theirs.model_type != config.model_type:
            kinds = f"a {theirs.model_type}, and the model a {config.model_type}"
            raise UserError(f"{SETTING}={self.path} is {kinds}; give the float model that it was made from")
        if theirs.id2label != config.id2label:
            names = [", ".join(one.id2label.values()) for one in (theirs, config)]
            raise UserError(f"{SETTING}={self.path} has the labels {names[0]}, and the model {names[1]}, in this order")

    def check_shapes(self, model: "PreTrainedModel") -> None:
        if self.is_gguf:
            return
        from effcomp.quant.word_layouts import LAYOUTS

        unify_linear(model)
        stored, layout = shapes(self.place), LAYOUTS.get(self.method or "")
        for name, parameter in model.named_parameters():
            fits = holds(stored, name, parameter, layout)
            if not fits:
                found = "is missing" if fits is None else "has another shape"
                raise UserError(f"{SETTING}={self.path}: {name} {found}; give the float model that it was made from")
        body = f"{model.base_model_prefix}."
        names = [name for name in model.state_dict() if name.startswith(body)]
        check_left_over(stored.keys() - set(read_by(model, stored)), names, body, f"{SETTING}={self.path}")


def check_gguf(file: Path, whose: str) -> None:
    """Raise UserError for a file that is not there, or does not begin as GGUF does."""
    if file.is_file():
        with file.open("rb") as stream:
            if stream.read(len(MAGIC)) == MAGIC:
                return
    raise UserError(f"{whose} is no GGUF file; give one, or the folder of a quantized model")


def weight_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a folder, from the headers."""
    from safetensors import safe_open

    found: dict[str, tuple[int, ...]] = {}
    for file in weight_files(folder):
        with safe_open(file, framework="pt") as tensors:
            found |= {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    return found


def holds(stored: dict[str, tuple[int, ...]], name: str, weight: "Tensor", layout: "Layout | None") -> bool | None:
    """Tell whether tensors of these shapes can stand for a weight of this name; None: there are none."""
    if layout is not None and (shape := stored.get(f"{name.removesuffix('.weight')}.{layout.words}")) is not None:
        return shape in layout.shapes(*weight.shape)
    if name not in stored:
        return None
    if f"{name}.absmax" in stored:  # bitsandbytes: two codes of 4 bits in a byte
        return (weight.numel() + 1) // 2 == prod(stored[name])
    return weight.numel() == prod(stored[name])


def read_by(model: "nn.Module", stored: Iterable[str]) -> list[str]:
    """Return the stored names that the model reads: of its own tensors, and of the parts of its coded layers. Older
    libraries stored buffers too, which are made from the config: masks, frequencies of rotary positions."""
    own, layers = model.state_dict().keys(), linear_layers(model).keys()
    return [name for name in stored if name in own or any(name.startswith(f"{layer}.") for layer in layers)]


def encode(quant: Checkpoint, model: "nn.Module") -> "dict[str, Tensor]":
    """Return the tensors of the checkpoint as they are: bitsandbytes' under the names of quant=nf4 and quant=int8_bnb,
    others' as effcomp stores codes in groups.

    Raises:
        UserError: a layer lacks a tensor, or its groups have different sizes.
    """
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for file in weight_files(quant.place):
        tensors |= load_file(file)
    tensors = {name: tensors[name] for name in read_by(model, tensors)}
    quantization = read_config(quant.place, SETTING)["quantization_config"]
    if quant.method not in IN_WORDS:
        return encode_bitsandbytes(tensors, quantization)
    from effcomp.quant.stored_groups import in_own_layout

    try:
        return in_own_layout(tensors, model, quantization)
    except KeyError as error:
        raise UserError(f"{SETTING}={quant.place}: a layer has no {error.args[0]}; fetch it again") from error
    except ValueError as error:
        raise UserError(f"{SETTING}={quant.place}: {error}; give a checkpoint with groups of one size") from error


def encode_bitsandbytes(tensors: "dict[str, Tensor]", quantization: dict[str, Any]) -> "dict[str, Tensor]":
    import torch

    if in_eight_bits := [name.removesuffix(".SCB") for name in tensors if name.endswith(".SCB")]:
        tensors[THRESHOLD] = torch.tensor(float(quantization.get("llm_int8_threshold", 6.0)))
    for name in in_eight_bits:
        tensors[f"{name}.CB"] = tensors.pop(f"{name}.weight")
        tensors.pop(f"{name}.weight_format", None)
    return tensors


def decode(quant: Checkpoint, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    """Build the model with the layers that its codes are for; what is not coded is computed in float32 beside
    bitsandbytes' layers, in bfloat16 beside others."""
    if any(name.endswith(CODES) for name in tensors):
        from effcomp.quant.stored_groups import load_stored_groups

        return load_stored_groups(skeleton, tensors)
    if THRESHOLD not in tensors:
        return decode_four_bit(quant, skeleton, tensors)
    threshold = float(tensors.pop(THRESHOLD))
    floats = {name: one.float() if one.is_floating_point() else one for name, one in tensors.items()}
    return decode_int8(Int8Bnb(name="int8_bnb", threshold=threshold), skeleton, floats)


@lowers(Checkpoint, "torch")
def checkpoint_to_torch(quant: Checkpoint) -> TensorLowering | None:
    if quant.path is None or quant.is_gguf:
        return None
    in_words = quant.method in IN_WORDS
    bitsandbytes = ("_int_mm", "int8_linear_matmul", "igemm", "gemv_4bit", "gemm_4bit")
    return TensorLowering(
        applies_to=("linear",),
        expected_kernels=() if in_words else bitsandbytes,  # layers that no kernel takes are dequantized
        devices=("cpu",) if in_words else ("cpu", "cuda"),
        capability=(7, 5),
        compute_dtype="bfloat16",
        tolerance=0.50,
        encode=encode,
        decode=decode,
        move=move_int8,
    )


def decode_fused(quant: Checkpoint, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    from effcomp.quant.stored_groups import load_fused_groups

    return load_fused_groups(skeleton, tensors)


@lowers(Checkpoint, "cuda_graphs")
def checkpoint_to_cuda_graphs(quant: Checkpoint) -> TensorLowering | None:
    if quant.path is None or quant.is_gguf or quant.method not in (*IN_WORDS, None):
        return None
    return TensorLowering(
        applies_to=("linear",), compute_dtype="bfloat16", tolerance=0.50, encode=encode, decode=decode_fused
    )


@lowers(Checkpoint, "llama_cpp")
def checkpoint_to_gguf(quant: Checkpoint) -> GgufLowering | None:
    if quant.path is None or not quant.is_gguf:
        return None
    return GgufLowering(
        applies_to=("embeddings", "linear"),
        expected_kernels=("^MUL_MAT",),
        devices=("cpu",),
        compute_dtype="int8",
        tolerance=0.50,
        source=quant.path,
    )
