"""cpu.md from the records beside it:  python benchmarks/cpu.py >benchmarks/cpu.md

python benchmarks/cpu.py class prints the class of this machine's processor.
"""

import sys
from pathlib import Path
from textwrap import fill

from tables import page

from effcomp.core.machine import cpu_info
from effcomp.record import Record, VersusBaseline
from effcomp.report.page.render import circumstances
from effcomp.report.rows import rows
from effcomp.report.sources import find_records
from effcomp.report.table.comparison import compare, to_markdown
from effcomp.report.table.terminal import LINE

HERE = Path(__file__).resolve().parent
INTRODUCTION = """# Compression on a processor

Each table is made by `benchmarks/cpu.sh DATA MODEL TABLE`, its Records are in `cpu/TABLE.jsonl` (`python -m
effcomp.report benchmarks/cpu/TABLE.jsonl` draws them). Sequences of 128 tokens, batches of 1 and 32 (SmolLM2: 1 and 8),
2 threads; every configuration and eager float32 PyTorch are called in turn, in two processes. Brackets are 95 %
intervals. This page is written by `python benchmarks/cpu.py`.
"""
TABLES = {
    "minilm_sst2": """## MiniLM on SST-2

Fine-tuned on the whole of train (67,349 sentences, 3 epochs, float32, on an H100), tested on dev (872).
""",
    "minilm_sst2_since": """## What changed since

nf4 and fp4 keep all that is not in 4 bits as bfloat16, and loading for `compile` has no import of the compiler in it.
""",
    "minilm_sst2_pruned": """## MiniLM on SST-2, pruned

Structured: half of the heads and of the neurons of each layer, first-order importance, recovered for 2 epochs by
distillation from the model before pruning. The other two are not recovered: they keep the shape of the matrices, so
they buy no time.
""",
    "distilbert_random": """## The shape of DistilBERT (66 M parameters, random weights: speed and memory alone)
""",
    "smollm2_bbc_news": """## SmolLM2-135M on BBC News

The logits of the last token of 128, one and eight prompts at a time; prefill and decode are those of one prompt of 128
tokens and of the 16 behind it; perplexity over 53 articles in blocks of 256. This model's activations differ so much
between tokens that one scale for a call (`int8_dynamic` in PyTorch) ruins it, while one for each token (`int8_scratch`)
or for 32 values (OpenVINO) does not.
""",
}
CLASSES = {
    "amx_int8": "amx",
    "avx512_vnni": "avx512_vnni",
    "avx512f": "avx512",
    "avx_vnni": "avx_vnni",
    "avx2": "avx2",
    "i8mm": "i8mm",
    "asimddp": "dotprod",
    "asimd": "neon",
}
"""Classes of processors by the flag that tells them, the most capable first."""
COLUMNS = (
    "configuration",
    "accuracy difference, points",
    "verdict",
    "speed-up, batch 1",
    "speed-up, batch 32",
    "artifact, MiB",
    "notes",
)
"""Columns of the tables of classes."""
LOSSES = (0.3, 1.0)
"""Losses of accuracy, in points, for which the fastest configuration is named."""
BY_CLASS = """## By class of processor: MiniLM on Rotten Tomatoes

`benchmarks/cpu.sh - - class` fine-tunes MiniLM on Rotten Tomatoes (1,500 test sentences) and measures, on whatever
machine runs it, what may pay there; each class of processors has a table. Pruned: half of the heads and neurons of each
layer, recovered for 2 epochs. The tables above are of the class avx512_vnni."""
FASTEST = 3
OPERATORS = 4


def time_goes(records: list[Record]) -> str:
    """The fastest configurations' operators and how near each comes to the floor."""
    named = sorted(rows(records), key=lambda row: -row.record.speed.by_batch_size[32].speedup.value)
    lines = []
    for row in [row for row in named if row.name == "none (baseline)"][:1] + named[:FASTEST]:
        kernels = row.record.truth.kernels.executed[:OPERATORS]
        shares = "; ".join(f"`{kernel.name}` {100 * kernel.share:.0f} %" for kernel in kernels)
        floors = [
            f"batch {size}: {floor.floor_ms:.1f} of {speed.latency_p50_ms.value:.1f} ms, {100 * floor.share:.0f} %"
            for size, speed in row.record.speed.by_batch_size.items()
            if (floor := speed.floor) is not None
        ]
        lines.append(f"- **{row.name}**: the floor is at {'; at '.join(floors)}. One call at batch 1: {shares}.")
    return "\n".join(lines)


def rates(record: Record) -> str:
    """Return a sentence with the rates that the machine reaches on plain products."""
    found = record.truth.machine.rates or {}
    products = ", ".join(
        f"{name} {rate / 1e9:,.0f}" for name, rate in found.items() if "bytes" not in name and name != "float16"
    )
    return f"{products} G operations/s; memory {found['bytes_per_s'] / 1e9:.0f} GB/s"


def processor_class() -> str:
    """Return the class of this machine's processor."""
    _, flags = cpu_info()
    return next(name for flag, name in CLASSES.items() if flag in flags)


def of_class(file: Path) -> str:
    """Return the section of one class: its table, and the fastest configurations within each loss."""
    records = sorted(find_records(file), key=lambda record: -speedup(record, 1))
    shown = [f"### {file.stem.removeprefix('class_')}\n", to_markdown(compare(records).texts()[list(COLUMNS)])]
    named = rows(records)
    for loss in LOSSES:
        within = [row for row in named if points_lost(row.record) <= loss]
        best = [max(within, key=lambda row: speedup(row.record, size)).name for size in (1, 32)]
        sentence = f"- At most {loss:.1f} points lost on average: {best[0]} at batch 1, {best[1]} at batch 32."
        shown.append(fill(sentence, LINE, subsequent_indent="  "))
    return "\n".join([*shown, "", circumstances(records)])


def points_lost(record: Record) -> float:
    assert isinstance(record.versus_baseline, VersusBaseline), "Rotten Tomatoes has classes"
    return -100 * record.versus_baseline.accuracy_difference.value


def speedup(record: Record, batch_size: int) -> float:
    return record.speed.by_batch_size[batch_size].speedup.value


def main() -> None:
    if sys.argv[1:] == ["class"]:
        print(processor_class())
        return
    records = find_records(HERE / "cpu" / "minilm_sst2.jsonl")
    classes = [of_class(file) for file in sorted((HERE / "cpu").glob("class_*.jsonl"))]
    print(page(INTRODUCTION, TABLES, HERE / "cpu"), end="")
    print("\n\n".join([BY_CLASS, *classes]), end="\n\n")
    print(f"""## Where the time goes (MiniLM)

Plain products of 2048 x 2048 matrices with the same two threads: {rates(records[0])}. The floor of a call is its
arithmetic over the rate of its format, or the bytes of its weights over the bandwidth, whichever is longer.

{time_goes(records)}

{TRIED}""")


TRIED = """## What was tried

- **OpenVINO with fitted int8 is the fastest**: attention's two products are int8 too, and the steps between the
  products stay in int8. ONNX Runtime's fitted int8 goes back to float32 between any two products: no faster than
  its dynamic one.
- **OpenVINO's defaults are set aside**: it computes float32 models in bfloat16 where the processor can, and rounds
  the activations of compressed weights as it sees fit. A row says what it computes with.
- **ONNX Runtime's dynamic int8 has one scale for the activations of a whole call**: it is fast for one sequence,
  and its logits depend on what else is in the batch.
- **PyTorch's own float32 product is far from what the processor can do** (OpenVINO's is twice as fast, so is
  oneDNN's, which PyTorch does not use for float32 here): part of every engine's gain is that.
- **Our own int8 layer** (`int8_scratch`, activations int8) beats PyTorch's once its rounding is compiled into one
  loop, and it keeps SmolLM2 whole. torchao's int8, compiled, is the same idea; it was slower in a first try, so it
  is not a dependency.
- **4 bits save bytes, not time beside bfloat16, for a model of 22 M parameters**: every product unpacks its weights,
  and they were in the cache anyway.
- **Left out**: the fusion passes of `onnxruntime.transformers` and attention as one operator of its own, which
  gained nothing over what ONNX Runtime fuses when it loads a graph.
- **Zeros buy nothing**: 2:4 and unstructured pruning keep their matrices, and no kernel here skips a zero.
"""

if __name__ == "__main__":
    main()
