"""Weights that were quantized elsewhere: bitsandbytes' in a folder of transformers, llama.cpp's in a GGUF file."""

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from effcomp.core.checksum import contents_sha256
from effcomp.core.errors import UserError
from effcomp.core.store import folder_sha256
from effcomp.models.folder import check_headers, read_config
from effcomp.quant.base import Quant
from effcomp.quant.bnb import Int8Bnb, decode_four_bit_layers, decode_int8, move_int8
from effcomp.quant.gguf import GgufLowering
from effcomp.quant.lowering import TensorLowering, lowers

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig, PreTrainedModel

SETTING = "quant.path"
MAGIC = b"GGUF"
"""First bytes of a GGUF file."""
THRESHOLD = "threshold"
"""Name of the outliers' bound among the stored tensors, of LLM.int8() alone."""


class Checkpoint(Quant):
    """Quantized checkpoint, measured as it is against the float model that it was made from.

    `model` names the float model, whose tokenizer and baseline count. runtime=torch reads a folder that save_pretrained
    wrote with bitsandbytes' weights of 4 or 8 bits, runtime=llama_cpp a GGUF file.
    """

    id: ClassVar[str] = "quant/checkpoint"
    packages: ClassVar[tuple[str, ...]] = ("bitsandbytes",)
    path: Path | None
    """Folder of the quantized model (config.json with its quantization, safetensors), or a GGUF file."""

    @property
    def place(self) -> Path:
        """Return `path`.

        Raises:
            UserError: it is not given.
        """
        if self.path is None:
            raise UserError(f"quant={self.name} needs {SETTING}: a folder with bitsandbytes' weights, or a GGUF file")
        return self.path

    @property
    def is_gguf(self) -> bool:
        return self.path is not None and self.path.suffix == ".gguf"

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
        method = quantization.get("quant_method") if isinstance(quantization, dict) else None
        if method is None:
            raise UserError(f"{whose} holds no quantized model: config.json with a quantization_config is missing")
        if method != "bitsandbytes":
            raise UserError(f"{whose} is quantized by {method}; those of bitsandbytes and GGUF are read as they are")
        check_headers(weight_files(self.place), whose, packed=True)

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
        stored = shapes(self.place)
        for name, parameter in model.named_parameters():
            size = stored.get(name)
            if size is None or parameter.numel() not in size:
                found = "is missing" if size is None else "has another shape"
                raise UserError(f"{SETTING}={self.path}: {name} {found}; give the float model that it was made from")


def check_gguf(file: Path, whose: str) -> None:
    """Raise UserError for a file that is not there, or does not begin as GGUF does."""
    if file.is_file():
        with file.open("rb") as stream:
            if stream.read(len(MAGIC)) == MAGIC:
                return
    raise UserError(f"{whose} is no GGUF file; give one, or a folder with bitsandbytes' weights")


def weight_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the numbers of weights that each tensor of a folder can stand for: codes of 4 bits are two in a byte."""
    from safetensors import safe_open

    sizes: dict[str, int] = {}
    for file in weight_files(folder):
        with safe_open(file, framework="pt") as tensors:
            sizes |= {name: prod(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    return {name: (2 * size, 2 * size - 1) if f"{name}.absmax" in sizes else (size,) for name, size in sizes.items()}


def encode(quant: Checkpoint, model: "nn.Module") -> "dict[str, Tensor]":
    """Return the tensors of the checkpoint as they are, under the names of quant=nf4 and quant=int8_bnb."""
    import torch
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for file in weight_files(quant.place):
        tensors |= load_file(file)
    if in_eight_bits := [name.removesuffix(".SCB") for name in tensors if name.endswith(".SCB")]:
        quantization = read_config(quant.place, SETTING)["quantization_config"]
        tensors[THRESHOLD] = torch.tensor(float(quantization.get("llm_int8_threshold", 6.0)))
    for name in in_eight_bits:
        tensors[f"{name}.CB"] = tensors.pop(f"{name}.weight")
        tensors.pop(f"{name}.weight_format", None)
    return tensors


def decode(quant: Checkpoint, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    """Build the model with bitsandbytes' layers; the other parameters are computed in float32."""
    if THRESHOLD not in tensors:
        return decode_four_bit_layers(skeleton, tensors)
    threshold = float(tensors.pop(THRESHOLD))
    floats = {name: one.float() if one.is_floating_point() else one for name, one in tensors.items()}
    return decode_int8(Int8Bnb(name="int8_bnb", threshold=threshold), skeleton, floats)


@lowers(Checkpoint, "torch")
def checkpoint_to_torch(quant: Checkpoint) -> TensorLowering | None:
    if quant.path is None or quant.is_gguf:
        return None
    return TensorLowering(
        applies_to=("linear",),
        expected_kernels=("_int_mm", "int8_linear_matmul", "igemm", "gemv_4bit", "gemm_4bit"),
        capability=(7, 5),
        compute_dtype="bfloat16",
        tolerance=0.50,
        encode=encode,
        decode=decode,
        move=move_int8,
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
