"""Tensors as the number format encodes them, for PyTorch.

model.safetensors holds floating-point weights under transformers' own names, so that from_pretrained reads it;
codes.safetensors holds anything else: from_pretrained finds no weights then, where it would put random ones in the
place of tensors that it does not know.
"""

import json
from pathlib import Path
from typing import ClassVar

from effcomp.artifact.description import skeleton
from effcomp.artifact.file_format import FileFormat, Source
from effcomp.core.batches import Batch
from effcomp.quant.base import Quant
from effcomp.quant.lowering import TensorLowering, writer

WEIGHTS_FILE, CODES_FILE = "model.safetensors", "codes.safetensors"


class Safetensors(FileFormat):
    """Tensors by name, in one file."""

    name: ClassVar[str] = "safetensors"

    def write(self, source: Source, quant: Quant, samples: list[Batch], folder: Path) -> None:
        from safetensors.torch import save_file

        known = source.model.state_dict().keys()
        tensors = writer(quant, TensorLowering).encode(quant, source.model)
        plain = tensors.keys() <= known and all(tensor.is_floating_point() for tensor in tensors.values())
        save_file(tensors, folder / (WEIGHTS_FILE if plain else CODES_FILE))

    def files(self, folder: Path) -> list[Path]:
        return [weights_file(folder)]

    def bytes_read(self, folder: Path) -> int:
        from torch import nn

        model = skeleton(folder)
        tables = [name for name, module in model.named_modules() if isinstance(module, nn.Embedding)]
        if model.get_output_embeddings() is not None and model.config.tie_word_embeddings:
            shared = model.get_input_embeddings()
            tables = [name for name in tables if model.get_submodule(name) is not shared]
        with weights_file(folder).open("rb") as stored:  # the length of a header, and a header of places
            header = json.loads(stored.read(int.from_bytes(stored.read(8), "little")))
        header.pop("__metadata__", None)
        places = [entry["data_offsets"] for name, entry in header.items() if not name.startswith(tuple(tables))]
        return sum(end - start for start, end in places)


def weights_file(folder: Path) -> Path:
    """Return the file of an artifact's tensors.

    Raises:
        ValueError: the artifact was written for another runtime.
    """
    for name in (CODES_FILE, WEIGHTS_FILE):
        if (folder / name).exists():
            return folder / name
    raise ValueError(f"{folder} holds no weights for PyTorch; effcomp.load(folder) loads it with the runtime it is for")
