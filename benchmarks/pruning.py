"""pruning.md from pruning.jsonl and pruning_epyc.jsonl:  python benchmarks/pruning.py >benchmarks/pruning.md"""

from collections import defaultdict
from pathlib import Path

from cells import averaged, line

from effcomp.core.interval import Interval
from effcomp.record import Record, VersusBaseline
from effcomp.record.quantity import MIB
from effcomp.report.page.render import circumstances
from effcomp.report.rows import spread
from effcomp.report.sources import find_records

HERE = Path(__file__).resolve().parent
INTRODUCTION = """# How far pruning goes

MiniLM on SST-2: `benchmarks/pruning.sh teacher` fine-tunes it on the whole of train (67,349 sentences, 3 epochs),
`benchmarks/pruning.sh train` prunes it and lets it teach what is left, on a GPU, with two seeds; `benchmarks/pruning.sh
measure` compresses the students on the processor and compares each with the unpruned model in eager float32 PyTorch,
called in turn: sequences of 128 tokens, 2 threads. Students of `prune=budget` keep a share of the operations of the
layers: heads, neurons and layers leave in three steps, each followed by 7 epochs of distillation (logits and hidden
states). Students of `prune=cofi` learn for 7 epochs what to keep of the same share, and are taught for 14 more. `depth`
is the smaller model that everybody can make: three of six layers, taught for the same 21 epochs. Students were carried
as float16. `unpruned` says what the number format alone gives on this processor. Rows of int4 are the smallest files:
they have also lost the tokens that train does not need (`prune=vocabulary prune.general=0`), and their embeddings have
4 bits.

The difference of the accuracy on dev (872 sentences) is the mean over the seeds, which share dev: its interval is as
wide as a seed's on average. Speed and size are those of the first seed. Brackets are 95 % intervals. This page is
written by `python benchmarks/pruning.py`.
"""
EARLIER = """## Nine epochs, on a processor without AMX

The table of 2026-11-29: three seeds, 3 epochs in the place of 7 (`cofi`: 6 and 3; `depth`: 9), logits for half of the
loss in the place of nine tenths. All of these students have lost the tokens that train does not need; `vocabulary` has
lost nothing else.
"""
HEADING = ("format", "student", "accuracy, points", "each seed", "speed-up, batch 1", "speed-up, batch 32", "file, MiB")


def table(records: list[Record]) -> str:
    """Return a row for each format and student, the slowest first, and the circumstances."""
    groups: dict[tuple[str, str], dict[int, Record]] = defaultdict(dict)
    for record in records:
        alone = "unpruned-seed0" if record.choices["prune"] == "none" else f"{record.choices['prune']}-seed0"
        student, _, seed = Path(record.config["prune"].get("path", alone)).name.rpartition("-seed")
        groups[student, f"{record.choices['quant']} on {record.choices['runtime']}"][int(seed)] = record
    lines = [line(HEADING), line(["---"] * 2 + ["---:"] * 5)]
    slowest_first = sorted(groups.items(), key=lambda group: (group[0][1], speedup(group[1], 1).value))
    lines += [line([form, named(student), *numbers(seeds)]) for (student, form), seeds in slowest_first]
    return "\n".join(lines) + f"\n\n{circumstances(records)}\n"


def named(student: str) -> str:
    method, share = student.rstrip("0123456789."), student.lstrip("abcdefghijklmnopqrstuvwxyz")
    return f"{method}, {100 * float(share):.0f} % of the operations" if share else student


def numbers(seeds: dict[int, Record]) -> list[str]:
    """Return the cells of a student in a format.

    Args:
        seeds: its record for each seed.
    """
    differences = [difference(seeds[seed]) for seed in sorted(seeds)]
    value, low, high = averaged(differences)
    first = seeds[min(seeds)]
    return [
        spread(Interval(value=value, low=low, high=high), 1, 100, sign="+"),
        ", ".join(f"{100 * value:+.1f}" for value, *_ in differences),
        *(f"{spread(speedup(seeds, size), 1)} x" for size in (1, 32)),
        f"{first.cost.size.artifact_bytes / MIB:.1f}",
    ]


def speedup(seeds: dict[int, Record], batch_size: int) -> Interval:
    """Return the speed-up of the first seed."""
    return seeds[min(seeds)].speed.by_batch_size[batch_size].speedup


def difference(record: Record) -> tuple[float, float, float]:
    """Return the accuracy difference from the unpruned model and the ends of its interval."""
    assert isinstance(record.versus_baseline, VersusBaseline), "SST-2 has classes"
    found = record.versus_baseline.accuracy_difference
    return found.value, found.low, found.high


if __name__ == "__main__":
    for text, name in ((INTRODUCTION, "pruning"), (f"\n{EARLIER}", "pruning_epyc")):
        print(f"{text}\n{table(find_records(HERE / f'{name}.jsonl'))}", end="")
