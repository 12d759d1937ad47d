"""real_data.md from the records beside it:  python benchmarks/real_data.py >benchmarks/real_data.md"""

from pathlib import Path

from tables import page

HERE = Path(__file__).resolve().parent
INTRODUCTION = """# On real data

Each table is one sweep of `benchmarks/real_data.sh DATA TABLE`, its Records in `real_data/TABLE.jsonl` (`python -m
effcomp.report benchmarks/real_data/TABLE.jsonl` draws them). Brackets are 95 % intervals. On the H100 fewer turns were
measured than the script asks for; each Record holds its own settings. This page is written by `python
benchmarks/real_data.py`. nf4 stored all that is not in 4 bits as float32 then; it is bfloat16 since.
"""
TABLES = {
    "sst2": """## MiniLM on SST-2

The whole of train (67,349), tested on dev (872); 3 epochs, products in bfloat16. On one core.
""",
    "sst2_h100": """## MiniLM on SST-2, on an H100

The same, products in float32 in training; it starts from MiniLM's weights rounded to float16. 90.3 %; peers report
90.1 % for this model, and 872 sentences tell no difference of that size. On a GPU eager PyTorch spends its time on
launching kernels, not in them: no format is faster here without a compiler, and the share of the floor says so.
""",
    "ag_news": """## MiniLM on AG News

A subset of train (37,937 of 120,000), the whole test (7,600); 2 epochs. On one core.
""",
    "xnli": """## MiniLM on XNLI

A subset of MultiNLI's train (27,238 of 392,702), tested on XNLI's whole test in each language (5,010 pairs); 2
epochs. MiniLM was trained on English: it carries something over to German, Spanish and French (chance is 33.3 %),
and hardly anything to Chinese. On one core; while the first row was measured another process was at work, and the
table says so.
""",
    "wikitext2_h100": """## SmolLM2-135M on WikiText-2

The whole test, in blocks of 256 tokens, as it comes (its published weights are 4-bit GGUF, turned into float32). On
an H100. Eight bits by channel cost a thousandth of a nat, four bits (nf4) a quarter of one: a coarser grid on top
of a 4-bit one.
""",
    "gsm8k_h100": """## SmolLM2-135M on GSM8K

Loss and perplexity of question and worked answer, the whole test (1,319), as it comes. On an H100.
""",
    "smollm2_sst2": """## SmolLM2-135M with LoRA on SST-2

A subset of train (2,000 of 67,349), 1 epoch, tested on dev (872). On one core.
""",
}


if __name__ == "__main__":
    print(page(INTRODUCTION, TABLES, HERE / "real_data"), end="")
