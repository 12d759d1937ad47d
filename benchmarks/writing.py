"""writing.md from the records beside it:  python benchmarks/writing.py >benchmarks/writing.md"""

import json
from pathlib import Path

from tables import page

from effcomp.core.interval import Interval
from effcomp.report.rows import spread

HERE = Path(__file__).resolve().parent
INTRODUCTION = """# Decoders that write

Each table is made by `benchmarks/writing.sh TABLE`, its Records are in `writing/TABLE.jsonl`. One prompt of 128 tokens
and the 16 after it, 2 threads; every configuration and eager float32 PyTorch are called in turn, in two processes.
Brackets are 95 % intervals. This page is written by `python benchmarks/writing.py`.
"""
TABLES = {
    "smollm2_bbc_news": """## SmolLM2-135M on BBC News

Perplexity over 23 articles in blocks of 256. The package has the weights in 4 bits (Q4_1), so that formats of 4 bits
lose less here than they would lose of the published weights. `quant.samples=32`: with an importance matrix of 32
training texts.
""",
}
ALONE = """## llama.cpp called by itself

The same files in a bare loop of `llama_decode` and llama.cpp's own greedy sampler, without effcomp, in one process and
in turn (`benchmarks/writing.sh alone`; {library}, {device}, {time}).

| file | prefill, ms | a token, ms |
| --- | ---: | ---: |
"""


def alone(file: Path) -> str:
    """Return the table of the files that were called without effcomp."""
    found = json.loads(file.read_text())
    lines = [
        f"| {name} | {interval(one['prefill_ms'])} | {interval(one['decode_ms_per_token'])} |"
        for name, one in found["measured"].items()
    ]
    return ALONE.format(**found) + "\n".join(lines) + "\n"


def interval(value: dict[str, float]) -> str:
    return spread(Interval(**value), 1)


if __name__ == "__main__":
    print(page(INTRODUCTION, TABLES, HERE / "writing"))
    print(alone(HERE / "writing/alone.json"), end="")
