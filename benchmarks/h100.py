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
written by `python benchmarks/h100.py`. All four tables take 21 minutes: 7, 8.5, 1.6 and 3.8.

At batch 1 eager PyTorch waits for its own launches: that is why bfloat16 alone gives so little there.
`runtime=cuda_graphs` compiles the block that a model repeats (about 10 s for all shapes) and records the whole call:
one launch.
"""
TABLES = {
    "distilbert": "## DistilBERT (66 M parameters, a classifier)\n",
    "gpt2": "## GPT-2 (124 M parameters, a classifier)\n",
}


TRIED = """
## What was tried

- **fp8 multiplies in fp8** and needs the least energy of all at batch 32; it is not faster than bfloat16 at these
  sizes, where scaling its inputs takes what its products save.
- **int8_bnb, int8_scratch, int4, nf4 and fp4 multiply in bfloat16**: their codes are read packed and unpacked in the
  compiled kernels. Products in int8 were tried, and were slower than bfloat16 at batch 1, 32 and 256 alike.
- **2:4 sparsity** was tried as well, with the card's own sparse products: it never paid at these sizes, so pruned
  matrices stay dense here.
- **fp16, int3 and ternary** run under `cuda_graphs` as well, and were not timed on these two models.
- The trials of int8 products and of 2:4 were prototypes: no command here repeats them, so no figure is given.
"""


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


def finetuning(result: dict[str, Any]) -> str:
    """One line for each model and way of fine-tuning it."""
    lines = [
        "\n## Fine-tuning of large language models",
        "",
        "| model | finetune | parameters, billions | samples/s | tokens/s | peak GPU memory, GB |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        size, peak = f"{row['parameters'] / 1e9:.2f}", f"{row['peak_gpu_bytes'] / 1e9:.1f}"
        rate = f"{row['samples_per_s']:.1f} | {row['tokens_per_s']:,.0f}"
        lines.append(f"| {row['model']} | {row['finetune']} | {size} | {rate} | {peak} |")
    text = f"""
8 blocks of 256 random tokens a step, products in bfloat16, activations computed again in the backward pass; the rate is
that of steps 11 to 30 of one training. qlora and int8 train adapters on a base in 4 and 8 bits; bitnet trains all of
its float32 masters (weights, gradients and Adam's two moments are 16 bytes a parameter).
{result["rows"][0]["device"]}; {result["date"]}."""
    return "\n".join([*lines, text])


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / name).read_text())
    return found


if __name__ == "__main__":
    parts = (page(INTRODUCTION, TABLES, HERE), bitnet(read("bitnet.json")), finetuning(read("finetuning.json")))
    print(*parts, TRIED, sep="\n", end="")
