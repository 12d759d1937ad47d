"""model.safetensors: the tensors as the number format encodes them, for PyTorch."""

import json
from pathlib import Path
from typing import ClassVar

from effcomp.artifact.description import skeleton
from effcomp.artifact.file_format import Format, Source
from effcomp.core.batches import Batch
from effcomp.quant.base import Quant
from effcomp.quant.lowering import TensorLowering, writer

WEIGHTS_FILE = "model.safetensors"


class Safetensors(Format):
    name: ClassVar[str] = "safetensors"

    def write(self, source: Source, quant: Quant, samples: list[Batch], folder: Path) -> None:
        from safetensors.torch import save_file

        save_file(writer(quant, TensorLowering).encode(quant, source.model), folder / WEIGHTS_FILE)

    def files(self, folder: Path) -> list[Path]:
        return [folder / WEIGHTS_FILE]

    def bytes_read(self, folder: Path) -> int:
        from torch import nn

        model = skeleton(folder)
        tables = [name for name, module in model.named_modules() if isinstance(module, nn.Embedding)]
        if model.get_output_embeddings() is not None and model.config.tie_word_embeddings:
            shared = model.get_input_embeddings()
            tables = [name for name in tables if model.get_submodule(name) is not shared]
        with (folder / WEIGHTS_FILE).open("rb") as stored:  # the length of a header, and a header of places
            header = json.loads(stored.read(int.from_bytes(stored.read(8), "little")))
        header.pop("__metadata__", None)
        places = [entry["data_offsets"] for name, entry in header.items() if not name.startswith(tuple(tables))]
        return sum(end - start for start, end in places)
