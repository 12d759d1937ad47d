"""quant=checkpoint: a model that was quantized elsewhere computes what it computed there."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BitsAndBytesConfig

from effcomp.artifact.folder import Compression, Trained, load_artifact, write_artifact
from effcomp.artifact.safetensors import Safetensors
from effcomp.core.errors import Skipped, UserError
from effcomp.models.base import load_checkpoint
from effcomp.models.heads import empty_model
from effcomp.pipeline.checks import check
from effcomp.prune.base import NoPrune
from effcomp.quant.bnb import quiet
from effcomp.quant.checkpoint import Checkpoint, encode
from effcomp.quant.fused_linear import FusedLinear
from effcomp.quant.tensors import body_layers
from tests.conftest import compose_parts
from tests.quant.packing import Known, awq, compressed_tensors, gptq, random_layer

HEAD = "sequence_classification"
IDS = torch.arange(6, 30)[None]
METHODS = {
    "nf4": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", llm_int8_skip_modules=["classifier"]),
    "fp4 of 4-bit scales, head as well": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_use_double_quant=True),
    "int8": BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=2.0),
}


@pytest.fixture(scope="module")
def classifier(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_pretrained(tiny_bert).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(folder)
    return folder


def quantized(classifier: Path, method: str, folder: Path) -> "torch.nn.Module":
    """Write the classifier as transformers quantizes it, and return it."""
    quiet()
    model = AutoModelForSequenceClassification.from_pretrained(
        classifier, quantization_config=METHODS[method], device_map="cpu"
    )
    model.save_pretrained(folder)
    return model.eval()


def checkpoint(folder: Path | None) -> Checkpoint:
    return Checkpoint(name="checkpoint", path=folder)


def artifact_of(quant: Checkpoint, classifier: Path, folder: Path) -> "torch.nn.Module":
    """Check the checkpoint against the classifier, write the artifact, and return the classifier in float32."""
    model, tokenizer = load_checkpoint(classifier, HEAD)
    quant.check(changes=False)
    quant.check_config(model.config)
    quant.check_shapes(empty_model(HEAD, model.config))
    folder.mkdir()
    write_artifact(
        Trained(model, tokenizer, HEAD), Compression(NoPrune(name="none"), quant, Safetensors()), [], [], folder
    )
    return model


@pytest.mark.parametrize("method", METHODS)
def test_the_artifact_computes_what_the_quantized_model_computes(method: str, classifier: Path, tmp_path: Path) -> None:
    theirs = quantized(classifier, method, tmp_path / "theirs")
    model = artifact_of(checkpoint(tmp_path / "theirs"), classifier, tmp_path / "artifact")
    shutil.rmtree(tmp_path / "theirs")
    with torch.no_grad():
        ours = load_artifact(tmp_path / "artifact")(input_ids=IDS).logits
        assert not torch.allclose(ours, model(input_ids=IDS).logits, atol=1e-4), "the float model's"
        if method == "fp4 of 4-bit scales, head as well":  # bitsandbytes' own kernel fails on a head of two outputs
            theirs.classifier.support_avx512bf16_for_cpu = False
        assert torch.allclose(ours, theirs(input_ids=IDS).logits.float(), atol=0.02)


ORDER = torch.randperm(128, generator=torch.Generator().manual_seed(0))
"""Activation order of the layers of 128 inputs."""
IN_WORDS = {
    "gptq in activation order": (4, {"quant_method": "gptq", "bits": 4}),
    "gptq in 3 bits": (3, {"quant_method": "gptq", "bits": 3, "format": "gptq_v2"}),
    "awq": (4, {"quant_method": "awq", "bits": 4, "version": "GEMM"}),
    "compressed-tensors in 8 bits": (
        8,
        {
            "quant_method": "compressed-tensors",
            "format": "pack-quantized",
            "version": "0.20.1",  # of the library
            "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "int"}, "input_activations": None}},
        },
    ),
}


def packed(known: Known, name: str) -> dict[str, torch.Tensor]:
    if name.startswith("gptq"):
        return gptq(known, less=int("order" in name))
    return awq(known) if name == "awq" else compressed_tensors(known, zeros="none")


@pytest.mark.parametrize("name", IN_WORDS)
def test_codes_in_words_stand_for_the_published_weights(name: str, classifier: Path, tmp_path: Path) -> None:
    bits, quantization = IN_WORDS[name]
    theirs, _ = load_checkpoint(classifier, HEAD)
    tensors = {key: tensor.half() for key, tensor in theirs.state_dict().items()}
    for layer_name, layer in body_layers(theirs).items():
        group_of = torch.arange(layer.in_features) // 32
        if "order" in name and layer.in_features == len(ORDER):
            group_of = group_of[ORDER]
        known = random_layer(bits, group_of, layer.out_features)
        if bits == 8:
            known.zeros.fill_(128)  # none is stored
        known.scale /= 2**bits
        del tensors[f"{layer_name}.weight"]
        layer.weight.data = known.weight
        tensors |= {f"{layer_name}.{key}": part.contiguous() for key, part in packed(known, name).items()}
    tensors["bert.encoder.layer.0.rotary_emb.inv_freq"] = torch.ones(4)  # a buffer, as older libraries stored it
    (tmp_path / "theirs").mkdir()
    save_file(tensors, tmp_path / "theirs" / "model.safetensors")
    config = json.loads((classifier / "config.json").read_text()) | {"quantization_config": quantization}
    (tmp_path / "theirs" / "config.json").write_text(json.dumps(config))
    model = artifact_of(checkpoint(tmp_path / "theirs"), classifier, tmp_path / "artifact")
    shutil.rmtree(tmp_path / "theirs")
    on_cpu, on_gpu = (load_artifact(tmp_path / "artifact", runtime) for runtime in ("torch", "cuda_graphs"))
    assert any(isinstance(layer, FusedLinear) for layer in on_gpu.modules()) == (bits in {2, 4})
    with torch.no_grad():
        ours, fused, published, floats = (
            one(input_ids=IDS, output_hidden_states=True).hidden_states[-1].float()
            for one in (on_cpu, on_gpu, theirs, model)
        )
    assert (ours - published).abs().mean() < 0.02
    assert (fused - published).abs().mean() < 0.02
    assert (ours - floats).abs().mean() > 0.2


def test_a_layer_without_its_scales_is_refused(classifier: Path, tmp_path: Path) -> None:
    model, _ = load_checkpoint(classifier, HEAD)
    known = random_layer(4, torch.zeros(64, dtype=torch.int64), 64)
    parts = {f"bert.pooler.dense.{key}": part.contiguous() for key, part in awq(known).items() if key != "scales"}
    save_file(parts, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "quantization_config": IN_WORDS["awq"][1]}))
    with pytest.raises(UserError, match="a layer has no scales; fetch it again"):
        encode(checkpoint(tmp_path), model)


def test_the_key_is_of_the_contents(classifier: Path, tmp_path: Path) -> None:
    quantized(classifier, "nf4", tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    first = checkpoint(tmp_path / "one").key()
    assert checkpoint(tmp_path / "other").key() == first
    (tmp_path / "other" / "notes.txt").write_text("other contents")
    assert checkpoint(tmp_path / "other").key() != first


def test_another_model_is_refused(classifier: Path, tmp_path: Path) -> None:
    quantized(classifier, "int8", tmp_path / "theirs")
    config = load_checkpoint(classifier, HEAD)[0].config
    config.intermediate_size = 256
    with pytest.raises(UserError, match=r"encoder\.layer\.0\.intermediate\.dense\.weight has another shape; give the"):
        checkpoint(tmp_path / "theirs").check_shapes(empty_model(HEAD, config))
    weights = tmp_path / "theirs" / "model.safetensors"
    save_file(load_file(weights) | {"bert.encoder.layer.2.output.dense.weight": torch.ones(64, 128)}, weights)
    with pytest.raises(UserError, match=r"layer\.2\.output\.dense\.weight, a layer more than its config\.json has"):
        checkpoint(tmp_path / "theirs").check_shapes(empty_model(HEAD, load_checkpoint(classifier, HEAD)[0].config))
    config.id2label = {0: "no", 1: "yes"}
    with pytest.raises(UserError, match="has the labels LABEL_0, LABEL_1, and the model no, yes, in this order"):
        checkpoint(tmp_path / "theirs").check_config(config)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "holds no quantized model: config.json with a quantization_config is missing"),
        (
            {"quantization_config": {"quant_method": "hqq"}},
            "is quantized by hqq, which is not read; these are: bitsand",
        ),
        (
            {"quantization_config": {"quant_method": "awq", "bits": 4, "version": "gemv"}},
            "by awq gemv, which is not read",
        ),
        (
            {"quantization_config": IN_WORDS["compressed-tensors in 8 bits"][1] | {"kv_cache_scheme": {"num_bits": 8}}},
            "quantizes keys and values too .kv_cache_scheme., which is not read; give a model without",
        ),
    ],
)
def test_a_folder_that_holds_none_is_refused(fields: dict[str, object], message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", **fields}))
    with pytest.raises(UserError, match=message):
        checkpoint(tmp_path).check(changes=False)


def test_damaged_files_are_refused(classifier: Path, tmp_path: Path) -> None:
    quantized(classifier, "nf4", tmp_path / "theirs")
    weights = tmp_path / "theirs" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"model\.safetensors of quant\.path=.* is damaged .*: save or fetch"):
        checkpoint(tmp_path / "theirs").check(changes=False)
    (tmp_path / "theirs" / "config.json").write_text("{bad")
    with pytest.raises(UserError, match=r"its config\.json is no JSON \(Expecting property name"):
        checkpoint(tmp_path / "theirs").check(changes=False)
    (tmp_path / "a.gguf").write_bytes(b"none")
    with pytest.raises(UserError, match=r"a\.gguf is no GGUF file; give one"):
        checkpoint(tmp_path / "a.gguf").check(changes=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([], "quant=checkpoint needs quant.path"),
        (["quant.path=/", "finetune=full"], "measured as they are; give finetune=none prune=none"),
        (["quant.path=/", "finetune=none", "prune=structured"], "measured as they are; give finetune=none prune=none"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check(compose_parts("quant=checkpoint", *settings))


def test_it_runs_in_pytorch_alone(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        '{"model_type": "bert", "quantization_config": {"quant_method": "bitsandbytes"}}'
    )
    parts = compose_parts("quant=checkpoint", f"quant.path={tmp_path}", "finetune=none", "runtime=openvino")
    with pytest.raises(Skipped, match="quant=checkpoint does not run on runtime=openvino; it runs on: torch"):
        check(parts)
