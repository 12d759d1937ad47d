"""Measure the quality that four, three and two bits cost, by rounding method; accuracy and perplexity, no timing.

One table: train or load the model, write the artifact of each variant, and compare its answers with the float32
model's on the same test. Each variant is kept in four_bits.json as soon as it is known; a table that was cut goes on
where it stopped, and several processes may fill it. The overrides are those of `python -m effcomp.run`; with
finetune=none model.path=CHECKPOINT, finetune.KEY=VALUE are of the variants that go on training it (`--only qat`).

python benchmarks/four_bits.py TABLE [--only int4,learned] OVERRIDE ...     (four_bits.json)
python benchmarks/four_bits.py >benchmarks/four_bits.md
"""

import argparse
import fcntl
import json
import logging
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cells import averaged, line

from effcomp.artifact.description import read_description
from effcomp.artifact.folder import artifact_bytes
from effcomp.core import machine
from effcomp.core.interval import Interval
from effcomp.measure.client import Side, Worker
from effcomp.pipeline.compose import build, composed
from effcomp.pipeline.compressed import artifact
from effcomp.pipeline.predictions import Predictions, predictions_of
from effcomp.pipeline.prepare import Run, prepare
from effcomp.pipeline.scores import judge
from effcomp.pipeline.tokens import TOKENS_FILE, tokens
from effcomp.pipeline.training import checkpoint
from effcomp.record import LanguageQuality, LanguageVersus, Quality, VersusBaseline
from effcomp.record.quantity import MIB
from effcomp.report.rows import spread

HERE = Path(__file__).resolve().parent
KEPT = HERE / "four_bits.json"
METHODS = ("nearest", "hqq", "gptq", "awq", "learned")
GROUPS = {"int4": 64, "int3": 64, "int2": 32}
OF_QUANT = ("group_size", "rounding", "zero_point", "embeddings", "type")
CHOICES = ("quant", *OF_QUANT, "finetune")
"""Names of the settings in which variants differ."""
SEEDS = range(3)
Row = dict[str, Any]
"""Settings and numbers of a variant, as four_bits.json holds them."""


def variant(quant: str, group_size: int, rounding: str, **others: bool | str) -> Row:
    """Return the settings of a variant; None: the format's own, and no training.

    Args:
        others: zero_point, embeddings or finetune.
    """
    return chosen({"quant": quant, "group_size": group_size, "rounding": rounding} | others)


def gguf(type_: str) -> Row:
    """Return the settings of a variant in a type of llama.cpp's, with the importance matrix of quant=gguf."""
    return chosen({"quant": "gguf", "type": type_})


def chosen(row: Row) -> Row:
    """Return the settings of a row."""
    return {name: row.get(name) for name in CHOICES}


MINILM = [variant(name, size, rounding) for name, size in GROUPS.items() for rounding in METHODS]
ONE_OF_SEEDS = [
    *(variant(name, size, one) for name, size in GROUPS.items() for one in ("nearest", "gptq", "awq", "learned")),
    *(variant(name, 32, "learned", zero_point=True, embeddings="int4") for name in ("int4", "int3")),
    *(variant(name, size, "nearest", finetune="qat", embeddings="int4") for name, size in GROUPS.items()),
]
DECODER = [variant(name, 64, one) for name in ("int4", "int3") for one in METHODS]
SMOLLM2 = [
    *(variant("int4", 64, one) for one in ("nearest", "hqq", "gptq", "awq")),
    *(variant("int4", 32, "nearest", zero_point=True, embeddings=one) for one in ("int8", "int4")),
    variant("int4", 32, "gptq", zero_point=True, embeddings="int8"),
    *map(gguf, ("q4_0", "iq4_nl", "q4_1", "q4_k_m")),
]
TABLES = {
    "minilm_sst2": (
        MINILM,
        "MiniLM on SST-2, the whole dev set (872 sentences). The float model is the checkpoint of `python -m "
        "effcomp.run model=minilm task=sst2 task.data_dir=data/sst2 finetune.epochs=1 finetune.learning_rate=1e-4 "
        "finetune.precision=fp32`, fine-tuned on the whole of train",
    ),
    "smollm2_bbc": (
        SMOLLM2,
        "SmolLM2-135M on BBC News. Its published weights are 4-bit GGUF (Q4_1), turned into float32: a second grid on "
        "top of the first",
    ),
    **{
        f"minilm_sst2_seed{seed}": (
            ONE_OF_SEEDS,
            "MiniLM on SST-2, fine-tuned three times in float32 (`benchmarks/four_bits.sh`)",
        )
        for seed in SEEDS
    },
    "decoder_wikitext2": (
        DECODER,
        "A decoder of 6 layers and 384 features, trained from random weights on WikiText-2 in float32 "
        "(`benchmarks/four_bits.sh`)",
    ),
    "small": (MINILM, "A few sentences, to try the script"),
}
INTRODUCTION = """# Four bits and fewer

The linear layers in 4, 3 or 2 bits, by the method that chooses the codes (docs/formats.md); the rest in bfloat16,
unless the row names a type of the embeddings. Differences are paired on the same examples, in points of accuracy or as
a ratio of perplexities; brackets are 95 % intervals. Calibration is the time from the float model to the written file,
an upper bound: one thread, beside other work (`minilm_sst2`: the learned variants three at a time, paused for up to a
minute; on the GPU: up to twenty processes at once; `smollm2_bbc`: up to three, its gptq in groups of 64 with
device=cuda on an NVIDIA H200, its gptq in groups of 32, hqq and gguf on an Intel Xeon with AMX, gguf beside as many).
Rows of hqq and gptq, but for those of `smollm2_bbc`, are older than hqq's care for large weights and gptq's for errors
of the layers before (GPTAQ): in `smollm2_bbc` gptq's ratio was 1.105 [1.095, 1.118] in groups of 64 and 1.050 [1.042,
1.059] in groups of 32 then. Fitted on the H200, with embeddings in groups of 32, a file of 90.7 MiB, the latter came
to 1.034 [1.027, 1.040]. A GGUF file holds the embeddings in 8 bits.
Written by `python benchmarks/four_bits.py` from four_bits.json.
"""


def measure(table: str, only: Sequence[str], overrides: Sequence[str]) -> None:
    """Measure the variants of a table that four_bits.json does not have yet.

    Args:
        only: choices of the variants to measure, say int4 and learned; empty: all.
    """
    of_quant = [one for one in overrides if one.startswith("quant.")]
    of_training = [one for one in overrides if one.startswith("finetune.")]
    apart = {*of_quant, *(of_training if "finetune=none" in overrides else [])}
    of_run = ["tracking=none", *(one for one in overrides if one not in apart)]
    float_run = prepare(build(composed(of_run))).baseline()
    before, file = answered(float_run)
    here = keep(
        table,
        command=shlex.join(["python", "benchmarks/four_bits.py", table, *overrides]),
        machine=machine.device_name(float_run.device),
        date=datetime.now(UTC).date().isoformat(),
        float=described(float_run, file, before, before),
    )
    for settings in TABLES[table][0]:
        if settings in map(chosen, here["rows"]) or not set(only) <= {str(value) for value in settings.values()}:
            continue
        given = [f"quant.{name}={settings[name]}" for name in OF_QUANT if settings[name] is not None]
        quantized = [f"quant={settings['quant']}", *given, *of_quant]
        if settings["finetune"] is None:
            runtime = ["runtime=llama_cpp"] if settings["quant"] == "gguf" else []
            parts = build(composed([*of_run, *quantized, *runtime]))
            compressed = replace(float_run.components, quant=parts.quant, runtime=parts.runtime)
            run = replace(float_run, components=compressed)
        else:
            how = [f"finetune={settings['finetune']}", *of_training]
            same = [one for one in of_run if not one.startswith("finetune=")]
            run = prepare(build(composed([*same, *quantized, *how])))
        after, file = answered(run)
        row = settings | described(run, file, before, after)
        here = keep(table, row)
        print(json.dumps(row), flush=True)


def keep(table: str, *rows: Row, **about: Any) -> dict[str, Any]:
    """Add rows to a table of four_bits.json, with what is known about a new one; return it. Other processes may
    do so too."""
    with KEPT.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        kept = json.loads(KEPT.read_text() or "{}")
        here: dict[str, Any] = kept.setdefault(table, about | {"rows": []})
        here["rows"] += [row for row in rows if chosen(row) not in map(chosen, here["rows"])]
        file.truncate(0)
        file.write(json.dumps(kept, indent=1) + "\n")
    return here


def answered(run: Run) -> tuple[Predictions, Path]:
    """Return the answers to the test of the artifact in a fresh process on the CPU, and its folder."""
    built, inputs, parts = artifact(run, checkpoint(run)), tokens(run), run.components
    on_cpu = replace(run, device=build(composed(["device=cpu"])).device.resolved())
    with Worker(Side(built.path, parts.runtime, parts.quant), inputs.path / TOKENS_FILE, on_cpu.device) as worker:
        worker.wait_until_started()
        worker.load()
        return predictions_of(on_cpu, worker, built, inputs), built.path


def described(run: Run, folder: Path, before: Predictions, after: Predictions) -> Row:
    """Return the quality and size of an artifact, and what its calibration cost."""
    judged, calibration = judge(run, before, after), read_description(folder).calibration
    row: Row = {"bytes": artifact_bytes(folder)}
    if isinstance(judged.quality, Quality) and isinstance(judged.versus, VersusBaseline):
        row |= {"accuracy": numbers(judged.quality.accuracy), "difference": numbers(judged.versus.accuracy_difference)}
    if isinstance(judged.quality, LanguageQuality) and isinstance(judged.versus, LanguageVersus):
        ratio = judged.versus.perplexity_ratio
        row |= {"perplexity": numbers(judged.quality.perplexity), "ratio": numbers(ratio)}
    if calibration is not None:
        row |= {"calibration_s": calibration.seconds, "samples": calibration.samples}
    return row


def numbers(interval: Interval) -> list[float]:
    return [interval.value, interval.low, interval.high]


def page(kept: dict[str, Any]) -> str:
    """Return the page of these tables."""
    of_seeds = [name for name in kept if name.rpartition("_seed")[2].isdigit()]
    parts = [INTRODUCTION]
    if of_seeds:
        parts.append(over_seeds([kept[name] for name in of_seeds], TABLES[of_seeds[0]][1]))
    for table, here in kept.items():
        if table in of_seeds:
            continue  # in `over_seeds`
        language = "perplexity" in here["float"]
        heading = ["format", "rounding", "group", "zero point", "embeddings", "training"]
        heading += ["perplexity", "ratio"] if language else ["accuracy, %", "difference, points"]
        rows = [{"quant": "float32"} | here["float"]]
        rows += sorted(here["rows"], key=lambda row: TABLES[table][0].index(chosen(row)))
        lines = [line([*heading, "file, MiB", "calibration, s"]), line(["---"] * 6 + ["---:"] * 4)]
        lines += [line(cells(row, language)) for row in rows]
        about = f"{here['machine']}, {here['date']}: `{here['command']}`"
        parts.append(f"## {table}\n\n{TABLES[table][1]}.\n\n" + "\n".join(lines) + f"\n\n{about}\n")
    return "\n".join(parts)


def over_seeds(tables: Sequence[dict[str, Any]], text: str) -> str:
    """Return the part of the page for a model that was fine-tuned several times, each seed a table of the same rows."""
    heading = ["format", "rounding", "group", "zero point", "embeddings", "training"]
    heading += ["accuracy, %", "difference, points", "of each seed", "file, MiB", "calibration, s"]
    lines = [line(heading), line(["---"] * 6 + ["---:"] * 5)]
    of_float = [{"quant": "float32"} | table["float"] for table in tables]
    for of_seed in [of_float, *([found(table, one) for table in tables] for one in ONE_OF_SEEDS)]:
        average = {name: averaged([row[name] for row in of_seed]) for name in ("accuracy", "difference")}
        *others, bytes_, calibration = cells(of_seed[0] | average, language=False)
        each = ", ".join(f"{100 * row['difference'][0]:+.1f}" for row in of_seed)
        lines.append(line([*others, "-" if of_seed is of_float else each, bytes_, calibration]))
    intro = (
        f"{text}. Means over {len(tables)} seeds, which share the test: an interval is as wide as a seed's on average"
    )
    about = f"{tables[0]['machine']}, {tables[0]['date']}: `benchmarks/four_bits.sh DATA FOLDER seeds`"
    return f"## Three seeds\n\n{intro}.\n\n" + "\n".join(lines) + f"\n\n{about}\n"


def found(table: dict[str, Any], settings: Row) -> Row:
    """Return the row of a table with these settings."""
    row: Row = next(row for row in table["rows"] if chosen(row) == settings)
    return row


def cells(row: Row, language: bool) -> list[str]:
    """Return the cells of a row of the page."""
    choices = [str(row.get(name) or "-") for name in ("quant", "rounding", "group_size")]
    if row["quant"] == "gguf":
        choices[:2] = f"gguf, {row['type']}", f"importance of {row['samples']} texts"
    zero_point = "-" if row.get("zero_point") is None else str(row["zero_point"]).lower()
    embeddings = {"float32": "-", "gguf": "in the format"}.get(row["quant"], "bfloat16")
    choices += [zero_point, row.get("embeddings") or embeddings]
    choices.append(row.get("finetune") or "-")
    if language:
        measured = [spread(interval(row["perplexity"]), 2), spread(interval(row["ratio"]), 3)]
    else:
        measured = [spread(interval(row["accuracy"]), 1, 100), spread(interval(row["difference"]), 1, 100, sign="+")]
    if row["quant"] == "float32":  # compared with itself
        measured[1] = "-"
    calibration = f"{row['calibration_s']:.0f}" if "calibration_s" in row else "-"
    return [*choices, *measured, f"{row['bytes'] / MIB:.1f}", calibration]


def interval(values: Sequence[float]) -> Interval:
    value, low, high = values
    return Interval(value=value, low=low, high=high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", nargs="?", choices=list(TABLES))
    parser.add_argument("--only", default="", help="choices of the variants to measure: int4,learned")
    parser.add_argument("overrides", nargs="*")
    asked = parser.parse_intermixed_args()
    if asked.table is None:
        print(page(json.loads(KEPT.read_text())), end="")
        return
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    measure(asked.table, [one for one in asked.only.split(",") if one], asked.overrides)


if __name__ == "__main__":
    main()
