"""Measure the quality that four, three and two bits cost, by rounding method; accuracy and perplexity, no timing.

One table: train or load the model, write the artifact of each variant, and compare its answers with the float32
model's on the same test. Each variant is kept in four_bits.json as soon as it is known; a table that was cut goes on
where it stopped. The overrides are those of `python -m effcomp.run`; with
finetune=none model.path=CHECKPOINT, finetune.KEY=VALUE are of the variants that go on training it (`--only qat`).

python benchmarks/four_bits.py TABLE [--only int4,learned] OVERRIDE ...     (four_bits.json)
python benchmarks/four_bits.py >benchmarks/four_bits.md
"""

import argparse
import json
import logging
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from effcomp.artifact.description import read_description
from effcomp.artifact.folder import artifact_bytes
from effcomp.core import machine
from effcomp.core.interval import Interval
from effcomp.measure.client import Side, Worker
from effcomp.pipeline.compose import build, composed
from effcomp.pipeline.compressed import artifact
from effcomp.pipeline.predictions import Answers, answers
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
CHOICES = ("quant", "group_size", "rounding", "zero_point", "embeddings", "finetune", "seed")
"""Names of the settings in which variants differ."""
OF_QUANT = CHOICES[1:5]
SEEDS = range(3)
Row = dict[str, Any]
"""Settings and numbers of a variant, as four_bits.json holds them."""


def variant(quant: str, group_size: int, rounding: str, **others: bool | str | int) -> Row:
    """Return the settings of a variant; None: the format's own, and no training.

    Args:
        others: zero_point, embeddings, finetune or seed.
    """
    given = {"quant": quant, "group_size": group_size, "rounding": rounding} | others
    return {name: given.get(name) for name in CHOICES}


def trained(quant: str, group_size: int, **others: bool | str) -> list[Row]:
    """Return the variants that go on training the float model with the format's roundings, one a seed."""
    return [variant(quant, group_size, "nearest", finetune="qat", seed=seed, **others) for seed in SEEDS]


MINILM = [
    *(variant(name, size, rounding) for name, size in GROUPS.items() for rounding in METHODS),
    *(variant(name, 64, "learned", zero_point=True) for name in ("int4", "int3")),
    variant("int2", 32, "learned", zero_point=False),
    *(variant("int4", 64, "learned", embeddings=one) for one in ("int8", "int4")),
    variant("int3", 64, "learned", embeddings="int4"),
    *trained("int4", 64, embeddings="int4"),
    *trained("int3", 64, zero_point=True, embeddings="int4"),
    *trained("int2", 32, embeddings="int4"),
]
SMOLLM2 = [variant("int4", 64, one) for one in ("nearest", "hqq", "gptq", "awq")]
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
    "small": (MINILM, "A few sentences, to try the script"),
}
INTRODUCTION = """# Four bits and fewer

The linear layers in 4, 3 or 2 bits, by the method that chooses the codes (docs/formats.md); the rest in bfloat16,
unless the row names a type of the embeddings. Differences are paired on the same examples, in points of accuracy or as
a ratio of perplexities; brackets are 95 % intervals. Calibration is the time from the float model to the written file;
of MiniLM an upper bound: one thread, beside other work, and the learned variants three at a time, paused for up to a
minute. Written by `python benchmarks/four_bits.py` from four_bits.json.
"""


def measure(table: str, only: Sequence[str], overrides: Sequence[str]) -> None:
    """Measure the variants of a table that four_bits.json does not have yet.

    Args:
        only: choices of the variants to measure, say int4 and learned; empty: all.
    """
    of_quant = [one for one in overrides if one.startswith("quant.")]
    of_training = [one for one in overrides if one.startswith("finetune.")]
    apart = {*of_quant, *(of_training if "finetune=none" in overrides else [])}
    of_run = ["tracking=none", "device=cpu", *(one for one in overrides if one not in apart)]
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    here = kept.setdefault(table, {"rows": []})
    float_run = prepare(build(composed(of_run))).baseline()
    here["command"] = shlex.join(["python", "benchmarks/four_bits.py", table, *overrides])
    here["machine"] = machine.device_name(float_run.device)
    here["date"] = datetime.now(UTC).date().isoformat()
    before, file = answered(float_run)
    here["float"] = described(float_run, file, before, before)
    for settings in TABLES[table][0]:
        measured = [{name: row.get(name) for name in CHOICES} for row in here["rows"]]
        if settings in measured or not set(only) <= {str(value) for value in settings.values()}:
            continue
        given = [f"quant.{name}={settings[name]}" for name in OF_QUANT if settings[name] is not None]
        quantized = [f"quant={settings['quant']}", *given, *of_quant]
        if settings["finetune"] is None:
            quant = build(composed([*of_run, *quantized])).quant
            run = replace(float_run, components=replace(float_run.components, quant=quant))
        else:
            how = [f"finetune={settings['finetune']}", f"seed={settings['seed']}", *of_training]
            same = [one for one in of_run if not one.startswith("finetune=")]
            run = prepare(build(composed([*same, *quantized, *how])))
        after, file = answered(run)
        here["rows"].append(settings | described(run, file, before, after))
        KEPT.write_text(json.dumps(kept, indent=1) + "\n")
        print(json.dumps(here["rows"][-1]), flush=True)


def answered(run: Run) -> tuple[Answers, Path]:
    """Return the answers to the test of the artifact in a fresh process, and its folder."""
    built, inputs, parts = artifact(run, checkpoint(run)), tokens(run), run.components
    with Worker(Side(built.path, parts.runtime, parts.quant), inputs.path / TOKENS_FILE, run.device) as worker:
        worker.wait_until_started()
        worker.load()
        return answers(run, worker, built, inputs), built.path


def described(run: Run, folder: Path, before: Answers, after: Answers) -> Row:
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
    parts = [INTRODUCTION]
    for table, here in kept.items():
        language = "perplexity" in here["float"]
        heading = ["format", "rounding", "group", "zero point", "embeddings", "training"]
        heading += ["perplexity", "ratio"] if language else ["accuracy, %", "difference, points"]
        rows = [{"quant": "float32"} | here["float"], *here["rows"]]
        lines = [line([*heading, "file, MiB", "calibration, s"]), line(["---"] * 6 + ["---:"] * 4)]
        lines += [line(cells(row, language)) for row in rows]
        about = f"{here['machine']}, {here['date']}: `{here['command']}`"
        parts.append(f"## {table}\n\n{TABLES[table][1]}.\n\n" + "\n".join(lines) + f"\n\n{about}\n")
    return "\n".join(parts)


def line(words: Sequence[str]) -> str:
    return f"| {' | '.join(words)} |"


def cells(row: Row, language: bool) -> list[str]:
    """Return the cells of a row of the page."""
    choices = [str(row.get(name) or "-") for name in ("quant", "rounding", "group_size")]
    zero_point = "-" if row.get("zero_point") is None else str(row["zero_point"]).lower()
    choices += [zero_point, row.get("embeddings") or ("-" if row["quant"] == "float32" else "bfloat16")]
    choices.append(f"{row['finetune']}, seed {row['seed']}" if row.get("finetune") else "-")
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
