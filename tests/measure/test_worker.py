"""The measured process: fresh, its memory its own, its end reported."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file
from transformers import AutoTokenizer

from effcomp.core.batches import pack
from effcomp.core.device import Device
from effcomp.core.process import ProcessFailed
from effcomp.core.template import Template
from effcomp.measure.client import KeptTemplate, Side, Worker, template
from effcomp.quant.floats import Float
from effcomp.runtimes.onnxruntime import OnnxRuntime
from effcomp.runtimes.torch import Torch
from tests.small_artifacts import write_small

HEAD = "sequence_classification"
CPU = Device(name="cpu", kind="cpu", threads=1)
EAGER = Torch(name="torch")
FLOAT32 = Float(name="none", dtype="float32")


@pytest.fixture(scope="module")
def folder(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worker")
    write_small(tiny_bert, folder / "artifact", HEAD)
    encoded = AutoTokenizer.from_pretrained(tiny_bert)(["a warm film", "dull"])
    pack({name: encoded[name] for name in encoded}, dict.fromkeys(encoded, 0)).save(folder / "tokens")
    return folder


def start(folder: Path, template: Template | None) -> Worker:
    return Worker(Side(folder / "artifact", EAGER, FLOAT32), folder / "tokens", CPU, template=template)


@pytest.fixture(scope="module")
def worker(folder: Path) -> Iterator[Worker]:
    ballast = bytearray(b"\1" * (500 * 2**20))  # of this process; it must not show in the worker's memory
    with start(folder, None) as worker:
        worker.wait_until_started()
        worker.load()
        assert worker.loaded["peak_rss"] < psutil.Process().memory_info().rss
        del ballast
        yield worker
    assert worker.process.returncode == 0


def test_it_reports_what_loading_took_and_added(worker: Worker) -> None:
    assert worker.loaded["load_ns"] > 0
    assert 0 < worker.loaded["rss"] - worker.loaded["library_rss"] < 200 * 2**20


def test_it_times_each_call_and_names_what_really_ran(worker: Worker) -> None:
    times = worker.ask("turn", batches=[[0], [1], [0, 1]])["ns"]
    assert len(times) == 3
    assert min(times) > 0
    assert any(kernel["name"].startswith("aten::") for kernel in worker.ask("kernels", batch=[0])["kernels"])


def test_a_peak_between_two_readings_is_seen(worker: Worker) -> None:
    resting = worker.ask("reset_peak")["rss"]
    worker.ask("turn", batches=[[0, 1] * 2000])
    assert worker.ask("peak")["peak_rss"] > resting + 20 * 2**20


def test_the_measuring_process_sleeps_while_it_waits(worker: Worker) -> None:
    before = time.process_time()
    measured = worker.ask("turn", batches=[[0, 1] * 2000] * 10)["ns"]
    used_s, waited_s = time.process_time() - before, sum(measured) / 1e9
    assert used_s < 0.2 * waited_s


def test_a_forked_one_answers_as_one_that_started_afresh_and_holds_as_much(
    folder: Path, worker: Worker, torch_template: Template, tmp_path: Path
) -> None:
    with start(folder, torch_template) as forked:
        forked.wait_until_started()
        assert psutil.Process(torch_template.process.pid).num_threads() == 1
        forked.load()
        for one, file in ((worker, "fresh"), (forked, "forked")):
            one.finite("predict", file=str(tmp_path / file), batch_size=2)
        assert forked.loaded["library_rss"] == pytest.approx(worker.loaded["library_rss"], rel=0.03)
        assert forked.loaded["rss"] == pytest.approx(worker.loaded["rss"], rel=0.03)
    fresh, own = (load_file(tmp_path / file)["outputs"] for file in ("fresh", "forked"))
    np.testing.assert_array_equal(own, fresh)


def test_a_template_serves_two_processes_with_the_same_libraries_on_a_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert template((EAGER, OnnxRuntime(name="onnxruntime")), CPU) is None
    assert template((EAGER, EAGER), Device(name="cuda", kind="cuda", threads=1)) is None
    monkeypatch.setattr("effcomp.core.template.PAGEMAP", tmp_path / "a system without it")
    assert template((EAGER, EAGER), CPU) is None


def test_a_kept_template_serves_one_run_after_another_until_the_device_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Torch, "libraries", ())  # which would take seconds
    with KeptTemplate() as kept:
        first = kept.on(CPU)
        assert first is not None and kept.on(CPU) is first
        second = kept.on(CPU.model_copy(update={"threads": 2}))
        assert second is not None and second is not first
        assert first.process.returncode is not None and second.process.poll() is None
        assert kept.on(Device(name="cuda", kind="cuda", threads=1)) is None
    assert second.process.returncode is not None


def test_it_runs_on_the_cores_that_it_was_given(folder: Path, torch_template: Template) -> None:
    core = min(os.sched_getaffinity(0))
    pinned = Device(name="cpu", kind="cpu", cores=[core], threads=1)
    with Worker(
        Side(folder / "artifact", EAGER, FLOAT32), folder / "tokens", pinned, template=torch_template
    ) as worker:
        worker.wait_until_started()
        assert os.sched_getaffinity(worker.pid) == {core}


def test_an_exception_in_it_comes_back_with_its_words(folder: Path, torch_template: Template, tmp_path: Path) -> None:
    with (
        pytest.raises(ProcessFailed, match=r"FileNotFoundError.*artifact\.json"),
        Worker(Side(tmp_path, EAGER, FLOAT32), folder / "tokens", CPU, template=torch_template) as worker,
    ):
        worker.wait_until_started()
        worker.load()


def test_its_death_is_reported_and_not_waited_for(folder: Path, torch_template: Template) -> None:
    with start(folder, torch_template) as worker:
        worker.wait_until_started()
        worker.load()
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(ProcessFailed, match="killed by signal 9"):
            worker.ask("peak")


def test_it_ends_with_its_block_even_when_that_raises(folder: Path, torch_template: Template) -> None:
    with pytest.raises(RuntimeError, match="stop"), start(folder, torch_template) as worker:
        raise RuntimeError("stop")
    assert worker.process.poll() is not None
