"""Every number format: its artifact loads in a fresh process and says what the model said, within its tolerance."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from effcomp.artifact.description import read_description
from effcomp.artifact.folder import Compression, Trained, export_graph, load_artifact, write_artifact
from effcomp.artifact.safetensors import weights_file
from effcomp.core.batches import pack
from effcomp.core.device import Device
from effcomp.core.template import Template
from effcomp.measure.client import Side, Worker
from effcomp.models.base import load_checkpoint
from effcomp.models.bitnet import ternary
from effcomp.pipeline.compose import choices
from effcomp.prune.base import NoPrune
from effcomp.quant.base import Quant
from effcomp.quant.lowering import TensorLowering, lowerings
from effcomp.quant.tensors import body_layers
from effcomp.quant.ternary import Ternary
from effcomp.runtimes.base import Runtime
from effcomp.runtimes.torch import Torch
from tests.conftest import MOVIES, compose_parts
from tests.training import new_setup

HEAD = "sequence_classification"
TEXTS = ["a warm and funny film", "every scene is a chore from start to finish", "dull"]
DATA = [f"task.data_dir={MOVIES}", "task.test_size=20"]
CPU = Device(name="cpu", kind="cpu", threads=1)
CUDA = Device(name="cuda", kind="cuda", threads=1)
TORCH = Torch(name="torch")

RUNTIMES = {runtime.name: runtime for runtime in choices("runtime", Runtime)}
QUANTS = {quant.name: quant for quant in choices("quant", Quant)}
TENSOR_QUANTS = [
    name for name, quant in QUANTS.items() if any(isinstance(one, TensorLowering) for one in lowerings(quant).values())
]
PAIRS = [(name, runtime) for name, quant in QUANTS.items() for runtime in lowerings(quant)]
COMPILED = "int8_dynamic"
"""torch.compile takes half a minute a format on a processor. There this one stands for all whose lowering is that
of eager PyTorch, which is tested (and tests/runtimes/test_decoding.py for float32). It answers one text at a time: a
batch of another size is compiled again, and padded batches are in test_decoding.py."""
GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")]


def measured_on() -> Iterator[object]:
    """Yield every pair with each device that executes it."""
    for name, runtime in PAIRS:
        devices = {*lowerings(QUANTS[name])[runtime].devices} & {*RUNTIMES[runtime].devices}
        if "cpu" in devices and (runtime != "compile" or name == COMPILED):
            yield pytest.param(name, runtime, CPU, id=f"{name}-{runtime}-cpu")
        if "cuda" in devices:
            yield pytest.param(name, runtime, CUDA, marks=GPU, id=f"{name}-{runtime}-cuda")


def quant_named(name: str, *overrides: str) -> Quant:
    return compose_parts(f"quant={name}", *overrides).quant


def trained(tiny_bert: Path) -> Trained:
    torch.manual_seed(0)
    model, tokenizer = load_checkpoint(tiny_bert, HEAD)
    with torch.no_grad():
        model.classifier.weight.normal_(0, 1)
    return Trained(model, tokenizer, HEAD)


@pytest.fixture(scope="module")
def graphs(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Float32 graphs, a folder for each file format: all number formats begin with them, as in a run."""
    folder = tmp_path_factory.mktemp("graphs")
    for form in {runtime.file_format.name: runtime.file_format for runtime in RUNTIMES.values()}.values():
        if form.exports:
            (folder / form.name).mkdir()
            export_graph(trained(tiny_bert), form, [], folder / form.name)
    return folder


def write(
    tiny_bert: Path, folder: Path, quant: Quant, runtime: Runtime = TORCH, graphs: Path | None = None
) -> tuple[np.ndarray, dict]:
    """The artifact, the logits of the float model it was made from, and the token ids."""
    folder.mkdir(exist_ok=True)
    model, tokenizer, *_ = trained(tiny_bert)
    if isinstance(quant, Ternary):  # it is for models that were trained so
        with torch.no_grad():
            for layer in body_layers(model).values():
                layer.weight.copy_(ternary(layer.weight))
    prune = NoPrune(name="none")
    encoded = tokenizer(TEXTS)
    samples = pack(dict(encoded), dict.fromkeys(encoded, 0))
    batches = [samples.batch([i % len(TEXTS)]) for i in range(quant.calibration_samples)]
    exported = graphs / runtime.file_format.name if graphs is not None and runtime.file_format.exports else None
    write_artifact(
        Trained(model, tokenizer, HEAD, exported),
        Compression(prune, quant, runtime.file_format),
        batches,
        batches[:1],
        folder,
    )
    with torch.inference_mode():
        logits = model.eval()(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits.numpy()
    return logits, encoded


@pytest.mark.parametrize("name", [name for name, runtime in PAIRS if runtime == "compile"])
def test_a_compiled_format_is_the_eager_one(name: str) -> None:
    found = lowerings(QUANTS[name])
    assert found["compile"] == found["torch"], "measure it by itself on a processor too"


@pytest.mark.parametrize(("name", "engine", "device"), measured_on())
def test_a_fresh_process_says_what_the_model_said(
    name: str, engine: str, device: Device, tiny_bert: Path, graphs: Path, torch_template: Template, tmp_path: Path
) -> None:
    runtime, quant = RUNTIMES[engine], quant_named(name, *(["quant.samples=6"] if name == "int8_static" else []))
    expected, encoded = write(tiny_bert, tmp_path / "artifact", quant, runtime, graphs)
    padding = dict.fromkeys(encoded, 0)
    pack({column: encoded[column] for column in encoded}, padding).save(tmp_path / "tokens")
    side, template = Side(tmp_path / "artifact", runtime, quant), torch_template if device == CPU else None
    with Worker(side, tmp_path / "tokens", device, template=template) as worker:
        worker.wait_until_started()
        worker.load()
        worker.ask("predict", file=str(tmp_path / "logits"), batch_size=1 if engine == "compile" else 2)
        ran = [one["name"] for one in worker.ask("kernels", batch=[0])["kernels"]]
        read = worker.ask("bytes_read")["bytes"]
    logits, lowered = load_file(tmp_path / "logits")["outputs"].numpy(), lowerings(quant)[engine]
    assert np.abs(logits - expected).max() <= lowered.tolerance * np.ptp(expected)
    assert not lowered.expected_kernels or any(
        re.search(part, one) for part in lowered.expected_kernels for one in ran
    ), ran
    tables = 4 * read_description(tmp_path / "artifact").parameters_by_kind["embeddings"]
    assert 0 < read < 4 * read_description(tmp_path / "artifact").parameters - tables + 100_000


@pytest.mark.parametrize(("name", "share"), [("bf16", 0.5), ("int8_scratch", 0.25)])
def test_the_file_has_the_size_that_the_format_promises(
    name: str, share: float, tiny_bert: Path, tmp_path: Path
) -> None:
    sizes = {}
    for quant in ("none", name):
        write(tiny_bert, tmp_path / quant, quant_named(quant))
        tensors = load_file(weights_file(tmp_path / quant))
        matrices = [tensor for tensor in tensors.values() if tensor.ndim == 2 and tensor.shape[1] > 1]
        sizes[quant] = sum(tensor.nbytes for tensor in matrices)
    assert sizes[name] == sizes["none"] * share


@pytest.mark.parametrize("name", ["int8_dynamic", "int8_bnb", "nf4"])
def test_linear_layers_shrink_and_the_embeddings_stay(name: str, tiny_bert: Path, tmp_path: Path) -> None:
    write(tiny_bert, tmp_path, quant_named(name))
    tensors = load_file(weights_file(tmp_path))
    linear = {key: tensor for key, tensor in tensors.items() if "encoder" in key and tensor.numel() >= 64 * 64 // 2}
    assert linear
    assert {tensor.dtype for tensor in linear.values()} <= {torch.int8, torch.uint8}
    kept = torch.bfloat16 if name in {"nf4", "fp4"} else torch.float32
    assert tensors["bert.embeddings.word_embeddings.weight"].dtype == kept


@pytest.mark.parametrize("name", ["none", "int8_scratch"])
def test_pruned_weights_are_zero_on_disk_and_after_loading(name: str, tiny_bert: Path, tmp_path: Path) -> None:
    parts = compose_parts(f"model.path={tiny_bert}", "prune=l1_unstructured", "prune.ratio=0.5", *DATA)
    setup = new_setup(parts, HEAD, tmp_path)
    parts.prune.apply(setup, 0.5)
    write_artifact(
        Trained(setup.model, setup.tokenizer, HEAD),
        Compression(parts.prune, quant_named(name), TORCH.file_format),
        [],
        [],
        tmp_path,
    )
    described = json.loads((tmp_path / "artifact.json").read_text())
    layers = [module for module in load_artifact(tmp_path).bert.modules() if isinstance(module, torch.nn.Linear)]
    zeros = sum(int((layer.weight == 0).sum()) for layer in layers)
    weights = sum(layer.weight.numel() for layer in layers)
    assert zeros >= 0.499 * weights
    if name == "none":
        assert described["parameters"] - described["nonzero_parameters"] >= zeros


def test_a_model_with_nan_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    model, tokenizer = load_checkpoint(tiny_bert, HEAD)
    with torch.no_grad():
        model.classifier.bias[0] = float("nan")
    for name in [name for name in TENSOR_QUANTS if QUANTS[name].calibration_samples == 0]:  # no sample is given
        with pytest.raises(ValueError, match=r"classifier\.bias holds NaN or infinity"):
            write_artifact(
                Trained(model, tokenizer, HEAD),
                Compression(NoPrune(name="none"), quant_named(name), TORCH.file_format),
                [],
                [],
                tmp_path,
            )


def test_tensors_that_are_missing_are_named(tiny_bert: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    write(tiny_bert, tmp_path, quant_named("none"))
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["classifier.bias"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"classifier\.bias"):
        load_artifact(tmp_path)
