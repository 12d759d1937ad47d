"""BitNet b1.58 2B4T's shape on this processor: how fast it writes, from two bits a weight and from eight.

    python benchmarks/bitnet_cpu.py          (about three minutes and 6 GB on 2 cores)

The codes are random: speed and memory do not depend on them. Each way of multiplying has a process of its own with the
artifact of quant=ternary quant.embeddings=int8 in runtime=torch; the processes write in turn after one prompt. Writes
bitnet_cpu.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file
from transformers import BitNetConfig

from effcomp.artifact.description import ARTIFACT_FILE, SCHEMA, Description, skeleton
from effcomp.core import machine
from effcomp.core.device import Device
from effcomp.core.memory import rss_bytes
from effcomp.core.statistics import median_interval, ratio_interval
from effcomp.quant import integer_products
from effcomp.quant.tensors import CODES, SCALE, body_layers, tables
from effcomp.quant.ternary import LINES, Ternary
from effcomp.runtimes.torch import Torch

ROOT = Path(__file__).resolve().parent.parent
PROMPT, NEW, TURNS = 128, 32, 7
WAYS = {
    "the processor's best": {},
    "AVX2": {"forget": "avx512_vnni"},
    "PyTorch's _int_mm, 8 bits a weight": {"CC": "/no/compiler"},
}


def write_artifact(folder: Path) -> None:
    """Write what quant=ternary writes of this shape, with random codes."""
    quant = Ternary(name="ternary", embeddings="int8")
    shape = OmegaConf.to_container(OmegaConf.load(ROOT / "conf/model/bitnet.yaml").architecture)
    assert isinstance(shape, dict)
    BitNetConfig(**{str(key): value for key, value in shape.items() if key != "model_type"}).save_pretrained(folder)
    description = Description(SCHEMA, "causal_lm", quant.spec(), {}, 0, 0, {})
    (folder / ARTIFACT_FILE).write_text(json.dumps(asdict(description)))
    model, generator = skeleton(folder), torch.Generator().manual_seed(0)
    tensors = {name: torch.ones(tensor.shape) for name, tensor in model.state_dict().items() if tensor.ndim == 1}
    for name, layer in body_layers(model).items():
        low, high = torch.randint(0, 3, (2, layer.out_features, layer.in_features // 4), generator=generator)
        tensors[name + LINES] = (low | low << 2 | high << 4 | high << 6).to(torch.uint8)
        tensors[name + SCALE] = torch.tensor(layer.in_features**-0.5)
    for name, table in tables(model).items():
        size = (table.num_embeddings, table.embedding_dim)
        tensors[f"{name}.weight{CODES}"] = torch.randint(-127, 128, size, generator=generator, dtype=torch.int8)
        tensors[f"{name}.weight{SCALE}"] = torch.full((len(table.weight), 1), 1 / 127)
    save_file(tensors, folder / "model.safetensors")


def serve(folder: Path, threads: int, forget: str | None) -> None:
    """Load the artifact, and time a text for each line of standard input."""
    if forget:
        integer_products.INSTRUCTIONS.pop(forget)
    runtime, device = Torch(name="torch"), Device(name="cpu", kind="cpu", threads=threads)
    runtime.start(folder, device)
    model = runtime.load(folder, device)
    ids = np.random.default_rng(0).integers(0, 128256, (1, PROMPT))
    for _ in sys.stdin:
        written = model.decode({"input_ids": ids, "attention_mask": np.ones_like(ids)}, NEW + 1)
        print(json.dumps({"ns": written.step_ns, "tokens": written.tokens[0], "rss_bytes": rss_bytes()}), flush=True)


def measure(folder: Path, threads: int) -> list[dict[str, Any]]:
    """Let each way write in turn; return for each its times, its memory, and how many times faster it is than the last
    way, with intervals over turns."""
    device = Device(name="cpu", kind="cpu", threads=threads)
    with ExitStack() as stack:
        servers = []
        for way in WAYS.values():
            command = [sys.executable, __file__, "--serve", str(folder), "--threads", str(threads)]
            command += ["--forget", way["forget"]] if "forget" in way else []
            own = {name: value for name, value in way.items() if name != "forget"}
            environment = {**os.environ, **device.environment(), **own}
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            servers.append(stack.enter_context(subprocess.Popen(command, text=True, env=environment, **pipes)))
        for server in servers:
            ask(server)
        turns = [[ask(server) for server in servers] for _ in range(TURNS)]
        for server in servers:
            server.stdin.close()
    times = np.array([[answer["ns"] for answer in turn] for turn in turns]) / 1e6  # (turns, ways, 1 + new tokens)
    if any(answer["tokens"] != turns[0][0]["tokens"] for turn in turns for answer in turn):
        raise SystemExit("the ways write different texts")
    return [
        {
            "way": way,
            "threads": threads,
            "prefill_ms": median_interval(times[:, number, :1], seed=0).model_dump(),
            "decode_ms_per_token": median_interval(times[:, number, 1:], seed=0).model_dump(),
            "decode_speedup": ratio_interval(times[:, -1, 1:], times[:, number, 1:]).model_dump(),
            "rss_mib": round(turns[-1][number]["rss_bytes"] / 2**20),
        }
        for number, way in enumerate(WAYS)
    ]


def ask(server: "subprocess.Popen[str]") -> dict[str, Any]:
    """Return the times, the text and the memory of one text."""
    server.stdin.write("\n")
    server.stdin.flush()
    answer: dict[str, Any] = json.loads(server.stdout.readline())
    return answer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", type=Path)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--forget")
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.threads, arguments.forget)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_artifact(folder)
        measured = measure(folder, os.cpu_count() or 1)
        size = sum(file.stat().st_size for file in folder.iterdir())
    processor, flags = machine.cpu_info()
    result = {
        "command": "python benchmarks/bitnet_cpu.py",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor,
        "flags": flags,
        "prompt_tokens": PROMPT,
        "new_tokens": NEW,
        "artifact_mib": round(size / 2**20),
        "measured": measured,
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
