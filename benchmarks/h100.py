"""h100.md from what lies in h100/:  python benchmarks/h100.py >benchmarks/h100.md"""

import json
from pathlib import Path
from typing import Any

from tables import page

from effcomp.core.interval import Interval
from effcomp.record import BatchSpeed
from effcomp.report.rows import rows, spread
from effcomp.report.sources import find_records

HERE = Path(__file__).resolve().parent / "h100"
INTRODUCTION = """# Compression on an H100

`benchmarks/h100.sh TABLE ...` measures, on a machine with such a card; the Records are in `h100/TABLE.jsonl`, and
`python -m effcomp.report benchmarks/h100/gpt2.jsonl` draws them. Random weights in the published shapes, sequences of
128 tokens, against eager float32 PyTorch, called in turn, in two processes. Brackets are 95 % intervals; of eight
turns, in DistilBERT's and GPT-2's tables and the products', they reach from the slowest turn to the fastest. This page
is written by `python benchmarks/h100.py`. The four tables take 22.5 minutes (8, 9, 1.6 and 3.8), the products at the
end five more.

At batch 1 eager PyTorch waits for its own launches: that is why bfloat16 alone gives so little there.
`runtime=cuda_graphs` compiles the block that a model repeats (about 10 s for all shapes) and records the whole call:
one launch.
"""
TABLES = {
    "distilbert": "## DistilBERT (66 M parameters, a classifier)\n",
    "gpt2": "## GPT-2 (124 M parameters, a classifier)\n",
}

BOTH_RUNS = """## How far the ratios hold

Two runs of these tables on one day, on two such machines; each cell: the first, the second. The first is in
`h100/earlier`, made by the `h100.sh` of commit 506ddfe, with two turns more and without three of the formats.

At batch 32 the speed-ups agree within a tenth, but for DistilBERT's nf4 and eager bfloat16. At batch 1 they do not:
eager float32 waits for its processor there, and took DistilBERT between 2.4 and 4.8 ms, GPT-2 between 4.9 and 10.9 ms.
The latencies of `cuda_graphs` agree better, within a tenth but for GPT-2's bf16 (a sixth). So these are compared as
they are by `--recommend` and in plots. Their standard deviation from run to run is 3.6 %; the intervals of these tables
are within one pair of processes and do not have it.
"""
TRIED = """
## What was tried

- **fp8** multiplies in fp8, and needs the least energy at batch 32 in GPT-2; in DistilBERT int3 and ternary need as
  little. It is not faster than bfloat16 in these two models, whose layers are narrow: rounding the inputs takes what
  the product saves. In the wide layers of the table above it is 1.5 to 2 times as fast.
- **int8_bnb, int8_scratch, int4, nf4 and fp4 multiply in bfloat16**: their codes are read packed and unpacked in the
  compiled kernels (int3: unpacked once, at load). An int8 product would be slower in narrow layers, and hardly faster
  in wide ones. ternary does multiply in int8.
- **2:4 sparsity**: from 32 texts on the card's own sparse products are 1.1 to 1.4 times as fast, but in one of the two
  narrow layers 0.9 times for 32 texts; for one text they are slower in every layer. Pruned matrices stay dense here.
- **float32 on cuda_graphs** is in the tables to show what the runtime gives alone. At batch 32 its products are still
  float32's, so eager bfloat16 is faster.
"""


def interval(found: dict[str, float], digits: int) -> str:
    return spread(Interval(**found), digits)


def bitnet(result: dict[str, Any]) -> str:
    """One line for each shape and way of computing it."""
    lines = [
        "\n## BitNet b1.58 2B4T, to the logits of the last token",
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


def writing(result: dict[str, Any]) -> str:
    """Return one line for each model, format, runtime and shape."""
    lines = [
        "\n## Decoders that write\n",
        "| model | quant | runtime | texts x context | prefill, ms | ms a token | reading the weights, ms | speed-up |",
        "|---|---|---|---|---:|---:|---:|---:|",
    ]
    for row in result["rows"]:
        words = f"{row['model']} | {row['quant']} | {row['runtime']} | {row['rows']} x {row['context_tokens']:,}"
        times = f"{interval(row['prefill_ms'], 2)} | {interval(row['decode_ms_per_token'], 3)} | {row['floor_ms']:.2f}"
        speedup = f"{interval(row['decode_speedup'], 1)} x" if "decode_speedup" in row else "-"
        lines.append(f"| {words} | {times} | {speedup} |")
    text = f"""
Greedy text of 64 tokens with a cache, each token on the host; `benchmarks/h100.sh writing`, random weights. The
speed-up is that of a token against eager PyTorch in the same type, called in turn. A token is one launch: attention
is one kernel that stores the token too, a few tokens' products read each weight once, with the activation and the sum
behind them, and the host launches a step before it reads the token of the step before. 4 bits take three quarters of
bfloat16's time, and three times that of reading them.
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


def both_runs() -> str:
    """The rows that were measured twice: earlier, later."""
    lines = [
        BOTH_RUNS,
        "| | latency at batch 1, ms | the baseline's | speed-up at batch 1 | speed-up at batch 32 |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in TABLES:
        first, later = (speeds(folder / f"{name}.jsonl") for folder in (HERE / "earlier", HERE))
        for row in later:
            if row in first:
                one, many = ([run[row][size] for run in (first, later)] for size in (1, 32))
                cells = (
                    joined([speed.latency_p50_ms.value for speed in one], 2),
                    joined([speed.baseline_latency_p50_ms for speed in one], 2),
                    joined([speed.speedup.value for speed in one], 1),
                    joined([speed.speedup.value for speed in many], 1),
                )
                lines.append(f"| {name}, {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


def speeds(file: Path) -> dict[str, dict[int, BatchSpeed]]:
    """Return the speeds of each row, by batch size."""
    return {row.name: row.record.speed.by_batch_size for row in rows(find_records(file))}


def joined(values: list[float], digits: int) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)


def products(result: dict[str, Any]) -> str:
    """One line for each layer and number of tokens."""
    kinds = list(result["rows"][0]["gpu_us"])
    lines = [
        "\n## Would other products be faster than bfloat16's?\n",
        f"| layer | tokens | {kinds[0]}, us | {' | '.join(kinds[1:])} |",
        f"|---|---:|---:|{'---:|' * len(kinds[1:])}",
    ]
    for row in result["rows"]:
        layer = f"{row['in_features']} to {row['out_features']} | {row['tokens']:,}"
        ratios = " | ".join(f"{interval(row['speedup'][kind], 2)} x" for kind in kinds[1:])
        lines.append(f"| {layer} | {interval(row['gpu_us'][kinds[0]], 1)} | {ratios} |")
    text = f"""
Single linear layers, as wide as DistilBERT's and GPT-2's and as those of a decoder of 8 billion parameters, for 1, 32
and 256 texts of 128 tokens: the time of bfloat16's product on the GPU, and how many times as fast the others are. 2:4
by cuSPARSELt's default algorithm; int8 and fp8 with the rounding of their inputs, in compiled kernels, int8's tuned.
`benchmarks/h100.sh products`,
{result["device"]}; {result["date"]}."""
    return "\n".join([*lines, text])


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / name).read_text())
    return found


if __name__ == "__main__":
    models = bitnet(read("bitnet.json")), writing(read("writing.json")), finetuning(read("finetuning.json"))
    parts = (page(INTRODUCTION, TABLES, HERE), both_runs(), *models, products(read("products.json")), TRIED)
    print(*parts, sep="\n", end="")
