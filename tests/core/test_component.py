"""Components: checked when built, described as JSON under a stable id, and built again from that alone."""

from importlib import import_module
from pathlib import Path

import pytest
from pydantic import ValidationError

from effcomp.core.class_paths import IDS
from effcomp.core.component import foreign_modules, from_spec, modules_by_id
from effcomp.prune.base import Prune
from effcomp.quant.base import Quant
from effcomp.quant.bnb import FourBit
from effcomp.quant.int8 import Int8Scratch
from tests.conftest import ROOT, compose_parts

NF4 = FourBit(name="nf4", values="nf4", block_size=64, double_quant=True)


def test_a_component_survives_its_description() -> None:
    assert NF4.spec()["id"] == "quant/four_bit"
    assert from_spec(NF4.spec(), Quant) == NF4


def test_a_component_inside_another_survives_with_it() -> None:
    prune = compose_parts("prune=structured", "finetune@prune.recovery=distill").prune
    assert prune.spec()["fields"]["recovery"]["id"] == "finetune/distill"
    assert from_spec(prune.spec(), Prune) == prune


def test_every_component_of_the_configs_has_an_id_that_one_module_declares() -> None:
    targets = {
        line.split(":")[1].strip()
        for file in (ROOT / "conf").rglob("*.yaml")
        for line in file.read_text().splitlines()
        if line.strip().startswith("_target_: effcomp.") and "sweep" not in line
    }
    assert len(targets) > 30
    for target in targets:
        module, _, name = target.rpartition(".")
        assert modules_by_id().get(getattr(import_module(module), name).id) == module, f"{target} needs an id"


def test_every_path_that_was_stored_leads_to_a_component() -> None:
    assert set(IDS.values()) <= modules_by_id().keys()


@pytest.mark.parametrize(
    "name", ["os.path.join", "effcomp.core.store.Store", "effcomp.runtimes.torch.Torch", "effcomp.core.component.x"]
)
def test_only_classes_of_the_kind_are_built(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no Quant of effcomp"):
        from_spec({"class": name, "fields": {}}, Quant)


def test_a_module_of_the_users_own_is_never_imported_because_a_file_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "named_by_a_file.py").write_text("raise SystemExit('it was imported')")
    monkeypatch.syspath_prepend(tmp_path)
    for identity in ("named_by_a_file:Mine", "named_by_a_file"):
        with pytest.raises(ValueError, match=r"of a module that is imported"):
            from_spec({"id": identity, "fields": {"name": "mine"}}, Quant)
    with pytest.raises(ValueError, match=r"of a module that is imported"):
        from_spec({"class": "named_by_a_file.Mine", "fields": {"name": "mine"}}, Quant)


OWN = """
from typing import ClassVar
from effcomp.quant.floats import Float

class Mine(Float):
    id: ClassVar[str] = "quant/float"
"""


def test_a_class_of_the_users_own_has_the_id_of_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_formats.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    mine = compose_parts("quant._target_=own_formats.Mine").quant
    assert mine.spec()["id"] == "own_formats:Mine", "whatever id it declares"
    assert from_spec(mine.spec(), Quant) == mine
    assert type(from_spec(mine.spec() | {"id": "quant/float"}, Quant)).__module__ == "effcomp.quant.floats"
    assert foreign_modules(mine, NF4) == ("own_formats",)


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
    assert first["code"] == second["code"]
    assert len(first["code"]) == 64


def test_a_path_may_begin_with_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    model = compose_parts("model.path='~/models/mine'").model
    assert model.path == Path("/home/me/models/mine")
