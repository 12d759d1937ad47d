"""Parts: checked when built, described as JSON, built again from that, and nothing else is."""

import pytest
from pydantic import ValidationError

from effcomp.core.component import from_spec
from effcomp.quant.base import Quant
from effcomp.quant.bnb import FourBit
from effcomp.quant.int8 import Int8Scratch


def test_a_part_survives_its_description() -> None:
    part = FourBit(name="nf4", values="nf4", block_size=64, double_quant=True)
    assert from_spec(part.spec(), Quant) == part


@pytest.mark.parametrize(
    "name", ["os.path.join", "effcomp.core.store.Store", "effcomp.runtimes.torch.Torch", "effcomp.core.component.x"]
)
def test_only_classes_of_the_kind_are_built(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no Quant of effcomp"):
        from_spec({"class": name, "fields": {}}, Quant)


def test_fields_are_checked_and_frozen() -> None:
    with pytest.raises(ValidationError, match="granularity"):
        Int8Scratch(name="int8_scratch", activations="float32", granularity="per_row")
    with pytest.raises(ValidationError, match="Extra inputs"):
        Int8Scratch(name="int8_scratch", activations="float32", granularity="per_tensor", bits=4)
    with pytest.raises(ValidationError, match="frozen"):
        Int8Scratch(name="int8_scratch", activations="float32", granularity="per_tensor").name = "other"  # type: ignore[misc]


def test_the_key_changes_with_every_field_and_holds_the_source() -> None:
    first = Int8Scratch(name="int8_scratch", activations="float32", granularity="per_tensor").key()
    second = Int8Scratch(name="int8_scratch", activations="float32", granularity="per_channel").key()
    assert first != second
    assert first["source"] == second["source"]
    assert len(first["source"]) == 64
