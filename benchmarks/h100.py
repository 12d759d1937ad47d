"""h100.md from what lies in h100/:  python benchmarks/h100.py >benchmarks/h100.md"""

import json
from pathlib import Path
from typing import Any

from tables import page

HERE = Path(__file__).resolve().parent / "h100"
INTRODUCTION = """# Compression on an H100

`benchmarks/h100.sh TABLE ...` measures, on a machine with such a card; the Records are in `h100/TABLE.jsonl`, and
`python -m effcomp.report benchmarks/h100/gpt2.jsonl` draws them. Random weights in the published shapes, sequences of
128 tokens, against eager float32 PyTorch, called in turn, in two processes. Brackets are 95 % intervals. This page is
written by `python benchmarks/h100.py`. Rows are called noisy for the work of their own compiler: what a process had
used that had ended was counted as another's then. The floor of int8_bnb is that of int8 products and the floor of
int8_scratch that of float32, though both multiply in bfloat16 here. What loading took and added under cuda_graphs has
the import of the compiler in it, which is left out since. Fine-tuning (`benchmarks/h100.sh finetuning`) is still to be
measured: the machine was there for half an hour.

At batch 1 eager PyTorch waits for its own launches: that is why bfloat16 alone gives so little there.
`runtime=cuda_graphs` compiles the block that a model repeats (about 10 s for all shapes) and records the whole call:
one launch.
"""
TABLES = {
    "distilbert": "## DistilBERT (66 M parameters, a classifier)\n",
    "gpt2": "## GPT-2 (124 M parameters, a classifier)\n",
}


def interval(found: dict[str, float], digits: int) -> str:
    return f"{found['value']:.{digits}f} [{found['low']:.{digits}f}, {found['high']:.{digits}f}]"


def bitnet(result: dict[str, Any]) -> str:
    """One line for each shape and way of computing it."""
    lines = [
        "## BitNet b1.58 2B4T, to the logits of the last token",
        "",
        "| texts x tokens | weights | runtime | latency, ms | on the GPU, ms | against float16, eager | weights, GB |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        weights, runtime = row["what"].split(", ")
        eager = "1" if runtime == "torch" else f"{interval(row['speedup']['float16, torch'], 1)} x"
        on_gpu = f"{row['gpu_ms']:.2f}" if "gpu_ms" in row else "-"
        size = result["weights_bytes"].get(row["what"], result["weights_bytes"]["float16, torch"]) / 1e9
        shape = f"{row['rows']} x {row['tokens']}"
        latency = interval(row["latency_ms"], 2)
        lines.append(f"| {shape} | {weights} | {runtime} | {latency} | {on_gpu} | {eager} | {size:.2f} |")
    floor, peak = result["packed_floor_ms_of_one_token"], result["packed_peak_gpu_bytes"] / 1e9
    text = f"""
Two bits a weight, {peak:.2f} GB in all at the peak of PyTorch's tensors, and our own kernels with exact sums: weights
are read packed, and become int8 in registers. Layers that read the same input are one product, and a kernel starts
while the one before it ends. Reading the weights once takes {floor:.2f} ms at the bandwidth that this card reaches.
{result["device"]}; {result["date"]}."""
    return "\n".join([*lines, text])


if __name__ == "__main__":
    print(page(INTRODUCTION, TABLES, HERE), bitnet(json.loads((HERE / "bitnet.json").read_text())), sep="\n")
