"""A model of the Hugging Face Hub, pinned to a commit."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from effcomp.core import hub
from effcomp.core.code_key import source_key
from effcomp.core.store import Store
from effcomp.models.base import WAYS_ON, Model


class HubModel(Model):
    id: ClassVar[str] = "model/hub"
    repository: str
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    """A commit, never a branch: a branch can change under a measurement."""

    def check_source(self) -> None:
        self.fetch()

    def source(self, store: Store) -> Path:
        return self.fetch()

    def fetch(self) -> Path:
        return hub.model_folder(self.repository, self.revision, f"model={self.name}: {WAYS_ON}")


class PackedBitNet(HubModel):
    """BitNet's published ternary weights; unpacked once into float, and kept in the store."""

    id: ClassVar[str] = "model/packed_bitnet"

    def source(self, store: Store) -> Path:
        from effcomp.models import bitnet

        packed = self.fetch()
        key = {"repository": self.repository, "revision": self.revision, "code": source_key(bitnet.__name__)}
        return store.get("converted", key, lambda folder: bitnet.unpack_folder(packed, folder)).path
