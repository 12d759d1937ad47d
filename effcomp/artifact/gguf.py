"""model.gguf, for llama.cpp.

Token ids go in and logits come out; the tokenizer lies beside the file as in every artifact. A decoder's file has its
vocabulary too, for llama.cpp's own programs.
A classifier's last layers are not llama.cpp's: they stay float32, in head.safetensors.
"""

import logging
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from effcomp.artifact.file_format import FileFormat, Source
from effcomp.artifact.gguf_tensors import GgufArchitecture, check, named, settings, shapes, tensors
from effcomp.artifact.gguf_vocabulary import add_vocabulary
from effcomp.core.batches import Batch
from effcomp.core.errors import UserError
from effcomp.models.heads import Head
from effcomp.quant.base import Quant
from effcomp.quant.gguf import GgufLowering
from effcomp.quant.gguf_types import GgufType, Tensor, tensor_kind
from effcomp.quant.lowering import writer

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

log = logging.getLogger(__name__)
WEIGHTS_FILE, HEAD_FILE = "model.gguf", "head.safetensors"
TABLES = ("token_embd.weight", "position_embd.weight", "token_types.weight")
"""Tensors of which a call reads a few rows."""
FLOAT_TABLES = TABLES[1:]
"""llama.cpp adds these as they are: they stay float32."""
GGML_QUANT_VERSION = 2
ImportanceMatrix = dict[str, NDArray[np.float32]]
"""By a tensor's name in GGUF: (inputs,)."""


class GgufFile(FileFormat):
    """Weights and vocabulary in one GGUF file, for llama.cpp."""

    name: ClassVar[str] = "gguf"
    packages: ClassVar[tuple[str, ...]] = ("xllamacpp", "gguf")

    def write(self, source: Source, quant: Quant, samples: list[Batch], folder: Path) -> None:
        from safetensors.torch import save_file

        model, architecture = source.model, check(source.model.config, source.head)
        wanted = writer(quant, GgufLowering).source
        if isinstance(wanted, Path):
            check_made_from(wanted, model, architecture)
            shutil.copyfile(wanted, folder / WEIGHTS_FILE)
        else:
            importance = mean_squares(model, architecture, samples) if samples else {}
            write_gguf(source, architecture, wanted, importance, folder / WEIGHTS_FILE)
        if source.head == "sequence_classification":
            layers = tuple(layer for layer, _ in architecture.classifier)
            state = {
                name: tensor.contiguous() for name, tensor in model.state_dict().items() if name.startswith(layers)
            }
            save_file(state, folder / HEAD_FILE)

    def check_model(self, config: "PretrainedConfig", head: Head, reshaped: bool) -> None:
        check(config, head, reshaped)

    def files(self, folder: Path) -> list[Path]:
        return [file for name in (WEIGHTS_FILE, HEAD_FILE) if (file := folder / name).exists()]

    def bytes_read(self, folder: Path) -> int:
        from gguf import GGUFReader

        stored = {tensor.name: int(tensor.n_bytes) for tensor in GGUFReader(folder / WEIGHTS_FILE).tensors}
        classifier = (folder / HEAD_FILE).stat().st_size if (folder / HEAD_FILE).exists() else 0
        tied = "output.weight" not in stored and not classifier
        tables = TABLES[1:] if tied else TABLES
        return sum(size for name, size in stored.items() if name not in tables) + classifier


def check_made_from(file: Path, model: "PreTrainedModel", architecture: GgufArchitecture) -> None:
    """Raise UserError for a GGUF file that is damaged, lacks a tensor of this model, or holds it in another shape."""
    from gguf import GGUFReader

    try:
        found = GGUFReader(file).tensors
    except (ValueError, LookupError) as error:  # of its header, or of a place after the end of the file
        raise UserError(f"quant.path={file} is damaged ({error}); fetch or write it again") from error
    stored = {one.name: tuple(int(size) for size in reversed(one.shape)) for one in found}
    for name, tensor in tensors(model, architecture):
        if (shape := stored.get(name)) != tuple(tensor.shape):
            fault = "is missing" if shape is None else f"has the shape {shape}, the model's {tuple(tensor.shape)}"
            raise UserError(f"quant.path={file}: {name} {fault}; give the float model that it was made from")


def write_gguf(
    source: Source,
    architecture: GgufArchitecture,
    of_type: GgufType,
    importance: ImportanceMatrix,
    file: Path,
) -> None:
    """Write a model as one GGUF file. importance: see `mean_squares`; {} without one."""
    from gguf import GGMLQuantizationType, GGUFWriter

    from effcomp.quant.ggml import quantize

    model = source.model
    arch, found = settings(model.config, architecture)
    made = GGUFWriter(file, arch)
    for verb, value in found.items():
        getattr(made, f"add_{verb}")(value)
    decodes = source.head == "causal_lm"
    add_vocabulary(made, source.tokenizer if decodes else None, model.config.vocab_size)
    made.add_quantization_version(GGML_QUANT_VERSION)
    all_tensors = dict(tensors(model, architecture))
    tied, kinds = "output.weight" not in all_tensors, Counter[str]()
    grouped = model.config.num_attention_heads >= 4 * shapes(model.config)[0][0]
    for name, tensor in all_tensors.items():
        values, kind = tensor.numpy(), GGMLQuantizationType.F32
        if tensor.ndim == 2 and name not in FLOAT_TABLES:
            is_output = name == "output.weight" or (tied and name == "token_embd.weight")
            layers, width = model.config.num_hidden_layers, values.shape[1]
            matrix = Tensor(name, width, layers, grouped, bool(importance), is_output)
            kind = GGMLQuantizationType[tensor_kind(of_type, matrix)]
            kinds[kind.name] += 1
        codes = values if kind is GGMLQuantizationType.F32 else quantize(values, kind, importance.get(name))
        made.add_tensor(name, codes, raw_dtype=kind)
    made.write_header_to_file()
    made.write_kv_data_to_file()
    made.write_tensors_to_file()
    made.close()
    log.info("%s: %s", of_type, ", ".join(f"{count} matrices {kind}" for kind, count in kinds.most_common()))


def mean_squares(model: "PreTrainedModel", architecture: GgufArchitecture, samples: list[Batch]) -> ImportanceMatrix:
    """Return the mean square of each input of each linear layer over the tokens of some texts, by the weight's name in
    GGUF: the cost of an error of a weight (llama.cpp's importance matrix, tools/imatrix).

    Args:
        samples: batches of one.
    """
    import torch
    from torch import Tensor, nn

    sums: dict[str, Tensor] = {}
    tokens = sum(batch["input_ids"].size for batch in samples)
    in_gguf = named(model.config, architecture)

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def add(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            squares = inputs[0].double().square().flatten(0, -2).sum(dim=0)
            sums[name] = sums.get(name, 0) + squares

        return add

    hooks = [
        layer.register_forward_pre_hook(watch(name))
        for path, layer in model.base_model.named_modules(prefix=model.base_model_prefix)
        if isinstance(layer, nn.Linear) and (name := in_gguf(f"{path}.weight")) is not None
    ]
    try:
        with torch.inference_mode():
            for batch in samples:
                model.base_model(**{column: torch.from_numpy(ids) for column, ids in batch.items()})
    finally:
        for hook in hooks:
            hook.remove()
    return {name: (total / tokens).float().numpy() for name, total in sums.items()}
