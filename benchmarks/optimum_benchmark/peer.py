"""Measure the same model folder by optimum-benchmark: the latency of its PyTorch backend on the CPU.

    python peer.py FOLDER 1x128 8x128 --threads 1        (a shape is batch size x sequence length)

Needs an environment of its own, with optimum-benchmark 0.6.0. One JSON line for each shape on standard
output. Each shape runs in a fresh process, which optimum-benchmark's process launcher spawns: so this
has to be a file, and what only the parent may do stands in `main`.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "LOG_LEVEL": "ERROR", "LOG_TO_FILE": "0"}  # read when it is imported

from optimum_benchmark import Benchmark, BenchmarkConfig, InferenceConfig, ProcessConfig, PyTorchConfig


def measure(folder: Path, batch_size: int, length: int, threads: int, seconds: int) -> dict[str, float]:
    """Milliseconds of one forward call in a fresh process, float32 and eager, on random ids without padding."""
    backend = PyTorchConfig(
        model=str(folder),
        library="transformers",
        task="text-classification",
        device="cpu",
        torch_dtype="float32",
        attn_implementation="sdpa",
        no_weights=False,
        # 0.6.0 hands inter_op to torch.set_num_threads and intra_op to torch.set_num_interop_threads: give it both.
        inter_op_num_threads=threads,
        intra_op_num_threads=threads,
    )
    scenario = InferenceConfig(
        input_shapes={"batch_size": batch_size, "sequence_length": length},
        warmup_runs=50,
        iterations=50,
        duration=seconds,
    )
    config = BenchmarkConfig(name="peer", backend=backend, scenario=scenario, launcher=ProcessConfig())
    latency = Benchmark.launch(config).forward.latency
    for child in multiprocessing.active_children():  # the launcher does not wait until it has ended
        child.join()
    return {
        "calls": latency.count,
        "latency_p50_ms": round(latency.p50 * 1000, 4),
        "latency_mean_ms": round(latency.mean * 1000, 4),
        "latency_stdev_ms": round(latency.stdev * 1000, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="written by save_pretrained")
    parser.add_argument("shapes", nargs="+", help="BATCHxLENGTH")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=10, help="of timed calls, for each shape")
    asked = parser.parse_args()
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(asked.threads))  # the child inherits it
    # The launcher waits for its child in a loop around poll(), which takes a whole core from what it measures.
    Connection.poll.__defaults__ = (1.0,)  # seconds; the child has its own, unchanged
    libraries = {name: version(name) for name in ("optimum-benchmark", "torch", "transformers")}
    with tempfile.TemporaryDirectory() as scratch:  # the launcher leaves a file behind in each run
        os.environ["TMPDIR"] = tempfile.tempdir = scratch
        for shape in asked.shapes:
            batch_size, length = map(int, shape.split("x"))
            # a relative path would be looked up as the name of a repository
            found = measure(asked.folder.resolve(strict=True), batch_size, length, asked.threads, asked.seconds)
            about = {"batch_size": batch_size, "length": length, "threads": asked.threads}
            print(json.dumps(about | found | {"libraries": libraries}), flush=True)


if __name__ == "__main__":
    main()
