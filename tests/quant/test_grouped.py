"""Rounding as a setting of the formats in groups: the artifact holds the codes that the method chose."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from effcomp.artifact.folder import Compression, Trained, load_artifact, write_artifact
from effcomp.artifact.safetensors import weights_file
from effcomp.core.code_key import closure, package_sources
from effcomp.core.errors import Skipped
from effcomp.models.base import load_checkpoint
from effcomp.prune.base import NoPrune
from effcomp.quant.grid import Grid
from effcomp.quant.grouped import CALIBRATED
from effcomp.quant.grouped_tensors import Packed
from effcomp.quant.groups import RoundedLinear, quantize_groups
from effcomp.quant.lowering import Lowering, lowering, lowerings
from effcomp.quant.rounding import learned
from effcomp.quant.rounding.methods import METHODS
from effcomp.quant.tensors import body_layers
from effcomp.runtimes.torch import Torch
from tests.architectures import write_model
from tests.conftest import compose_parts

HEAD = "sequence_classification"
ON_GPU = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")]
)


@pytest.mark.parametrize("kind", ["albert", "electra", "modernbert"])
@pytest.mark.parametrize("name", ["int4", "nf4", "int8_bnb", "mxfp4"])
def test_a_tied_head_of_any_name_keeps_its_weights(kind: str, name: str, tiny_bert: Path, tmp_path: Path) -> None:
    write_model(kind, "masked_lm", tiny_bert, tmp_path / "model")
    model, tokenizer = load_checkpoint(tmp_path / "model", "masked_lm")
    quant, form = compose_parts(f"quant={name}").quant, Torch(name="torch").file_format
    (tmp_path / "artifact").mkdir()
    trained = Trained(model, tokenizer, "masked_lm")
    write_artifact(trained, Compression(NoPrune(name="none"), quant, form), [], [], tmp_path / "artifact")
    shapes = [one.shape for one in load_file(weights_file(tmp_path / "artifact")).values()]
    assert model.get_input_embeddings().weight.shape in shapes
    loaded = load_artifact(tmp_path / "artifact")
    assert loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight


@pytest.mark.parametrize("zero_point", ["true", "false"])
@pytest.mark.parametrize("name", ["int4", "int3", "int2"])
@pytest.mark.parametrize("rounding", ["hqq", "gptq", "awq", "learned"])
@pytest.mark.parametrize("device", ["cpu", ON_GPU])
def test_the_artifact_holds_the_codes_that_were_chosen(
    name: str,
    rounding: str,
    zero_point: str,
    device: str,
    tiny_bert: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(learned, "STEPS", 5)
    settings = (f"quant.rounding={rounding}", f"quant.zero_point={zero_point}", "quant.samples=2")
    quant = compose_parts(f"quant={name}", *settings).quant
    assert quant.calibration_samples == (2 if rounding in CALIBRATED else 0)
    model, tokenizer = load_checkpoint(tiny_bert, HEAD)
    inputs = tokenizer("a warm and funny film", return_tensors="pt")
    samples = [{name: ids.numpy() for name, ids in inputs.items()}] * quant.calibration_samples
    write_artifact(
        Trained(model, tokenizer, HEAD),
        Compression(NoPrune(name="none"), quant, Torch(name="torch").file_format, device),
        samples,
        [],
        tmp_path,
    )
    stored = load_file(weights_file(tmp_path))
    layers = body_layers(model)
    for path, layer in layers.items():
        assert isinstance(layer, RoundedLinear)
        zero_point = stored.get(f"{path}.zero_point")
        assert (zero_point is not None) == quant.zero_point
        found = Packed(stored[f"{path}.codes"], stored[f"{path}.scale"], zero_point, quant.group_size)
        assert found.bits == quant.bits
        for got, chosen in zip(found.unpacked(), layer.coded, strict=True):
            assert torch.equal(got.to(chosen.dtype), chosen)
    for runtime in ("torch", "cuda_graphs"):
        with torch.inference_mode():  # the model now has the weights that the codes stand for
            expected, got = (one.eval()(**inputs).logits.float() for one in (model, load_artifact(tmp_path, runtime)))
        torch.testing.assert_close(got, expected, atol=0.02, rtol=0.02)


@pytest.mark.parametrize("rounding", ["gptq", "learned"])
def test_layers_are_fitted_to_coded_embeddings(
    rounding: str, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learned, "STEPS", 5)
    settings = (f"quant.rounding={rounding}", "quant.embeddings=int4", "quant.samples=1")
    quant = compose_parts("quant=int3", *settings).quant
    model, tokenizer = load_checkpoint(tiny_bert, HEAD)
    inputs = tokenizer("a warm and funny film", return_tensors="pt")
    samples = [{name: ids.numpy() for name, ids in inputs.items()}]
    write_artifact(
        Trained(model, tokenizer, HEAD),
        Compression(NoPrune(name="none"), quant, Torch(name="torch").file_format),
        samples,
        [],
        tmp_path,
    )
    artifact, table = load_artifact(tmp_path), "bert.embeddings.word_embeddings.weight"
    assert torch.equal(artifact.get_parameter(table), model.get_parameter(table).bfloat16())


def test_an_artifact_is_that_of_its_rounding() -> None:
    keys = [str(compose_parts("quant=int4", f"quant.rounding={one}").quant.key()) for one in METHODS]
    assert len(set(keys)) == 5


@pytest.mark.parametrize("name", ["int4", "int3"])
@pytest.mark.parametrize(("embeddings", "largest", "bits"), [("int8", 127, 8), ("int4", 7, 4)])
def test_embeddings_come_back_within_half_a_step(
    name: str, embeddings: str, largest: int, bits: int, tiny_gpt2: Path, tmp_path: Path
) -> None:
    quant = compose_parts(f"quant={name}", f"quant.embeddings={embeddings}").quant
    model, tokenizer = load_checkpoint(tiny_gpt2, "causal_lm")
    table = model.transformer.wte.weight.detach().clone()
    write_artifact(
        Trained(model, tokenizer, "causal_lm"),
        Compression(NoPrune(name="none"), quant, Torch(name="torch").file_format),
        [],
        [],
        tmp_path,
    )
    stored = load_file(weights_file(tmp_path))
    assert "transformer.wte.weight" not in stored
    assert stored["transformer.wte.codes"].nbytes == table.numel() * bits / 8
    group = table.shape[1] if bits == 8 else 32  # a scale for each row of int8
    _, scale, _ = quantize_groups(table, Grid(group, bits))
    assert stored["transformer.wte.scale"].shape == scale.shape
    step = scale.repeat_interleave(group, dim=1)
    for runtime in ("torch", "cuda_graphs"):
        loaded = load_artifact(tmp_path, runtime)
        error = (loaded.transformer.wte.weight.float() - table).abs()
        assert (error <= step * (0.51 + largest * 2**-7)).all(), "half a step, and what bfloat16 rounds off"
        assert loaded.lm_head.weight is loaded.transformer.wte.weight, "the head reads the same table"
    assert lowerings(quant)["torch"].applies_to == ("embeddings", "linear")


@pytest.mark.parametrize("setting", ["rounding=hqq", "rounding=awq", "rounding=learned", "embeddings=int8"])
def test_a_runtime_that_rounds_by_itself_does_not_read_chosen_codes(setting: str) -> None:
    with pytest.raises(Skipped, match=r"quant=int4 does not run on runtime=openvino; it runs on: torch, cuda_graphs$"):
        lowering(compose_parts("quant=int4", f"quant.{setting}").quant, "openvino", Lowering)


def test_a_change_of_a_method_makes_its_artifacts_stale() -> None:
    needed = closure(package_sources("effcomp"), frozenset({"effcomp.quant.int4"}))
    assert {f"effcomp.quant.rounding.{name}" for name in METHODS if name != "nearest"} <= needed
