"""quant=mixed: the file fits the budget, and the layers that matter get the bits."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig

from effcomp.artifact.description import read_description
from effcomp.artifact.folder import Compression, Trained, load_artifact, write_artifact
from effcomp.artifact.safetensors import weights_file
from effcomp.core.errors import UserError
from effcomp.core.interval import Interval
from effcomp.models.base import load_checkpoint
from effcomp.models.heads import empty_model
from effcomp.prune.base import NoPrune
from effcomp.record.cost import LayerCandidate
from effcomp.runtimes.torch import Torch
from tests.conftest import compose_parts

HEAD = "sequence_classification"
BITS = (2, 3, 4, 8)
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
        Compression(NoPrune(name="none"), quant, Torch(name="torch").file_format),
        samples,
        [],
        folder,
    )
    layers = read_description(folder).layer_map
    assert layers is not None
    return {name: bits for name, forms in layers.items() for bits in BITS if forms[f"int{bits}"]["chosen"]}


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


@pytest.mark.parametrize(
    "settings", [["embeddings=int4", "budget=weights_bytes:0.01"], ["budget=weights_bytes:0.01"], ["budget=bits:1"]]
)
def test_a_budget_that_is_too_small_names_the_smallest(settings: list[str], tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        written(tiny_bert, tmp_path / "refused", *settings)
    asked, smallest = settings[-1], str(refused.value).rpartition(" at least ")[2]
    assert str(refused.value) == f"quant.{asked}: 2 bits in every layer take more; give at least {smallest}"
    with pytest.raises(UserError) as early:
        quant = compose_parts("quant=mixed", *(f"quant.{one}" for one in settings)).quant
        quant.check_shapes(empty_model(HEAD, AutoConfig.from_pretrained(tiny_bert)))
    assert str(early.value) == str(refused.value)
    bits = written(tiny_bert, tmp_path / "kept", *settings[:-1], f"budget={smallest}")
    assert set(bits.values()) == {2}


def test_the_artifact_says_what_each_layer_could_have(tiny_bert: Path, tmp_path: Path) -> None:
    for sensitivity in ("measured", "gradient"):
        folder = tmp_path / sensitivity
        chosen = written(tiny_bert, folder, "budget=bits:4", f"sensitivity={sensitivity}", "group_size=32")
        stored, layers = load_file(weights_file(folder)), read_description(folder).layer_map
        assert layers is not None
        for name, forms in layers.items():
            candidates = {form: LayerCandidate(**one) for form, one in forms.items()}
            assert list(candidates) == ["int2", "int3", "int4", "int8"]
            assert [form for form, one in candidates.items() if one.chosen] == [f"int{chosen[name]}"]
            took = sum(stored[f"{name}.{part}"].nbytes for part in ("codes", "scale", "zero_point"))
            assert candidates[f"int{chosen[name]}"].bytes == took
            for one in candidates.values():
                assert isinstance(one.harm, Interval) == (sensitivity == "measured")
                assert not isinstance(one.harm, Interval) or one.harm.low <= one.harm.value <= one.harm.high


@pytest.mark.parametrize("sensitivity", ["measured", "gradient"])
def test_predictions_that_are_not_finite_are_refused(sensitivity: str, tiny_bert: Path) -> None:
    quant = compose_parts("quant=mixed", "quant.samples=1", f"quant.sensitivity={sensitivity}").quant
    model, tokenizer = load_checkpoint(tiny_bert, HEAD)
    with torch.no_grad():
        model.bert.embeddings.LayerNorm.weight[0] = torch.nan
    with pytest.raises(UserError, match="predictions on the calibration examples hold NaN or infinity"):
        quant.round_layers(model.eval(), [dict(tokenizer(TEXTS[0], return_tensors="np"))])
