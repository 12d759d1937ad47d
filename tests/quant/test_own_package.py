"""A number format and a runtime from a package of the user's own run without any change to effcomp."""

from pathlib import Path

import pytest

from tests.conftest import Ran, run_effcomp

MODULES = {
    "own_format.py": '''
from effcomp.quant.base import Quant
from effcomp.quant.lowering import OnnxLowering, TensorLowering, lowers
from effcomp.quant.tensors import load_floats, stored_state


class Rounded(Quant):
    """Weights rounded to a multiple of `step`."""

    step: float


def encode(quant, model):
    tensors = stored_state(model)
    return {name: (t / quant.step).round() * quant.step if t.ndim == 2 else t for name, t in tensors.items()}


def decode(quant, skeleton, tensors):
    load_floats(skeleton, tensors)
    return skeleton


def rewrite(quant, file, samples):
    import onnx
    from onnx import numpy_helper

    model = onnx.load(file)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.ndim == 2 and values.dtype == "float32":
            rounded = (values / quant.step).round() * quant.step
            tensor.CopyFrom(numpy_helper.from_array(rounded.astype("float32"), tensor.name))
    onnx.save(model, file)


SHARED = {"applies_to": ("embeddings", "linear", "head"), "compute_dtype": "float32", "tolerance": 0.05}


@lowers(Rounded, "torch")
def to_torch(quant):
    return TensorLowering(**SHARED, encode=encode, decode=decode)


@lowers(Rounded, "onnxruntime")
def to_onnx(quant):
    return OnnxLowering(**SHARED, expected_kernels=("MatMul", "Gemm"), rewrite=rewrite)
''',
    "own_runtime.py": '''
from effcomp.quant.floats import Float, to_torch
from effcomp.quant.lowering import lowers
from effcomp.runtimes.torch import Torch


class Own(Torch):
    """PyTorch, with a name and a library of its own."""

    packages = ("own_engine",)


lowers(Float, "own")(to_torch)
''',
    "own_engine.py": "",
    "own_engine-1.2.dist-info/METADATA": "Metadata-Version: 2.1\nName: own-engine\nVersion: 1.2\n",
    "conf/quant/rounded.yaml": "_target_: own_format.Rounded\nname: rounded\nstep: 0.001\n",
    "conf/runtime/own.yaml": "_target_: own_runtime.Own\nname: own\n",
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside effcomp with a format, a runtime and their configs."""
    folder = tmp_path_factory.mktemp("own")
    for name, text in MODULES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def run_own(own: Path, *overrides: str) -> Ran:
    return run_effcomp("--config-dir", str(own / "conf"), *overrides, cwd=own, own=own)


@pytest.mark.parametrize(("quant", "runtime"), [("rounded", "torch"), ("rounded", "onnxruntime"), ("none", "own")])
def test_it_runs_end_to_end(quant: str, runtime: str, own: Path, tiny: list[str]) -> None:
    ran = run_own(own, f"quant={quant}", f"runtime={runtime}", "device=cpu", "tracking=none", *tiny)
    assert ran.code == 0, ran.stderr
    assert ran.record["config"]["choices"]["quant"] == quant
    assert ran.record["config"]["choices"]["runtime"] == runtime
    assert ran.record["versus_baseline"]["flipped_share"] <= 0.05
    assert ran.record["truth"]["software"]["libraries"].get("own_engine") == ("1.2" if runtime == "own" else None)


def test_a_pair_without_a_lowering_is_refused(own: Path, tiny: list[str]) -> None:
    ran = run_own(own, "quant=int3", "runtime=own", *tiny)
    assert ran.code == 2
    assert "quant=int3 does not run on runtime=own; it runs on: torch, compile, cuda_graphs" in ran.stderr
