"""quant=mixed: the file fits the budget, and the layers that matter get the bits."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from effcomp.artifact.description import read_description
from effcomp.artifact.folder import Compression, Trained, load_artifact, write_artifact
from effcomp.artifact.safetensors import weights_file
from effcomp.core.errors import UserError
from effcomp.models.base import load_checkpoint
from effcomp.prune.base import NoPrune
from effcomp.quant.mixed import Mixed
from effcomp.runtimes.torch import Torch
from tests.conftest import compose_parts

HEAD = "sequence_classification"
TEXTS = ("a warm and funny film", "dull", "every scene is a chore from start to finish")


def written(tiny_bert: Path, folder: Path, *settings: str) -> dict[str, int]:
    """Write an artifact; return the bits of each layer."""
    quant = compose_parts("quant=mixed", "quant.samples=3", *(f"quant.{one}" for one in settings)).quant
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)  # of the head
    model, tokenizer = load_checkpoint(tiny_bert, HEAD)
    samples = [dict(tokenizer(text, return_tensors="np")) for text in TEXTS]
    write_artifact(
        Trained(model, tokenizer, HEAD),
        Compression(NoPrune(name="none"), quant, Torch(name="torch").format),
        samples,
        [],
        folder,
    )
    found = read_description(folder).bits_by_layer
    assert found is not None
    return found


@pytest.mark.parametrize("budget", [3.0, 4.5, 6.0])
def test_the_linear_layers_take_at_most_the_bits_of_the_budget(budget: float, tiny_bert: Path, tmp_path: Path) -> None:
    bits = written(tiny_bert, tmp_path, f"budget=bits:{budget}", "group_size=32")
    stored, model = load_file(weights_file(tmp_path)), load_artifact(tmp_path)
    weights = sum(model.get_submodule(name).weight.numel() for name in bits)
    took = sum(stored[f"{name}.{part}"].nbytes * 8 for name in bits for part in ("codes", "scale", "zero_point"))
    assert took <= budget * weights
    assert took > 0.8 * budget * weights, "the budget is used"
    for name, count in bits.items():
        assert stored[f"{name}.codes"].nbytes == model.get_submodule(name).weight.numel() * count / 8


def test_the_file_takes_at_most_its_share_of_the_float_weights(tiny_bert: Path, tmp_path: Path) -> None:
    model, _ = load_checkpoint(tiny_bert, HEAD)
    written(tiny_bert, tmp_path, "budget=weights_bytes:0.15", "embeddings=int8", "group_size=32")
    share = sum(one.nbytes for one in load_file(weights_file(tmp_path)).values()) / (4 * model.num_parameters())
    assert 0.12 < share <= 0.15


def test_other_methods_round_to_the_chosen_bits(tiny_bert: Path, tmp_path: Path) -> None:
    bits = written(tiny_bert, tmp_path / "one", "budget=bits:4", "rounding=gptq", "group_size=32")
    again = written(tiny_bert, tmp_path / "other", "budget=bits:4", "group_size=32")
    assert bits == again
    one, other = (load_file(weights_file(tmp_path / name)) for name in ("one", "other"))
    assert any((one[name] != other[name]).any() for name in one if name.endswith(".codes"))


def test_a_budget_below_the_fewest_bits_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"budget=bits:2: 2 bits in groups of 64 take 2\.28125 with their scales"):
        Mixed(name="mixed", budget="bits:2", group_size=64, zero_point=True)
    with pytest.raises(UserError, match=r"quant\.budget=weights_bytes:0\.01: 2 bits in every layer take more"):
        written(tiny_bert, tmp_path, "budget=weights_bytes:0.01")
