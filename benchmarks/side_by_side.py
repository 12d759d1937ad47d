"""Do others find the same numbers as effcomp for the same weights, shapes and threads, within 5 %?

    python benchmarks/side_by_side.py benchmark_app                  (OpenVINO's own, from the same package; 5 minutes)
    python benchmarks/side_by_side.py lm_eval --rounds 1 --peer PYTHON --data DATA
        (needs `pip install lm_eval==0.4.13` there; DATA holds sst2/ and wikitext2/; 10 minutes)
    python benchmarks/side_by_side.py >benchmarks/side_by_side.md    (the page of all results; measures nothing)

effcomp and the other measure one after the other, --rounds times, each in fresh processes; nothing else should be at
work. Further words are overrides of effcomp. side_by_side.json beside this file keeps for each comparison the numbers
of each round, and the geometric mean of effcomp / other with its interval over rounds. lm_eval needs an environment
of its own, as does optimum-benchmark, whose comparison is optimum_benchmark/compare.py. llama.cpp called by itself is
in writing/.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from effcomp.core import machine
from effcomp.core.device import Device
from effcomp.core.interval import Interval
from effcomp.core.pairs import AND_A_REPEAT, pairs_interval
from effcomp.pipeline.compose import build, composed
from effcomp.record.quantity import exact

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "side_by_side.json"
WITHIN = 0.05
LENGTH, BATCH_SIZES = 128, (1, 8)
TEXTS, ARTICLES = 40, 5
Numbers = dict[str, float]


class Asked(NamedTuple):
    scratch: Path
    threads: int
    peer: str
    """Python of the other's environment."""
    data: Path
    """Folder of the published data sets."""
    overrides: tuple[str, ...]


def record(asked: Asked, *overrides: str) -> dict[str, Any]:
    """Return the Record of a configuration, measured anew."""
    words = [
        *("device=cpu", f"device.threads={asked.threads}", "tracking=none", "remeasure=true", *overrides),
        *asked.overrides,
        *(f"store={asked.scratch / 'store'}", f"hydra.run.dir={asked.scratch / 'run'}"),
    ]
    done = output([sys.executable, "-m", "effcomp.run", *words])
    found: dict[str, Any] = json.loads(done.splitlines()[-1])
    return found


def output(command: list[str]) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=HERE.parent).stdout


def artifact(asked: Asked, found: dict[str, Any]) -> Path:
    """Return the artifact folder of a Record."""
    return asked.scratch / "store/artifact" / found["truth"]["artifact"]


def last_line(asked: Asked, script: str, *words: str) -> dict[str, Any]:
    """Return the numbers that a script of side_by_side/ prints in the other's environment."""
    said = output([asked.peer, str(HERE / "side_by_side" / script), *words])
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def benchmark_app(asked: Asked) -> tuple[Numbers, Numbers]:
    """Compare the median latency of MiniLM in float32 with that of OpenVINO's benchmark_app, in ms."""
    model = ("model=minilm", "finetune.train_samples=500", "task.test_size=200", "runtime=openvino")
    found = record(asked, *model, f"bench.fixed_length={LENGTH}", f"bench.batch_sizes={list(BATCH_SIZES)}")
    program, graph = Path(sys.executable).parent / "benchmark_app", artifact(asked, found) / "openvino_model.xml"
    speeds, ours, theirs = found["speed"]["by_batch_size"], Numbers(), Numbers()
    for size in BATCH_SIZES:
        arrays = {"input_ids": 2000, "attention_mask": 1, "token_type_ids": 0}
        for name, value in arrays.items():
            np.save(asked.scratch / f"{name}.npy", np.full((size, LENGTH), value))
        said = output(
            [
                *(
                    str(program),
                    "-m",
                    str(graph),
                    "-d",
                    "CPU",
                    "-infer_precision",
                    "f32",
                    "-t",
                    "10",
                    "-inference_only",
                ),
                *("-hint", "none", "-api", "sync", "-nstreams", "1", "-nthreads", str(asked.threads), "-pin", "NO"),
                *("-data_shape", ",".join(f"{name}[{size},{LENGTH}]" for name in arrays)),
                *("-i", ",".join(f"{name}:{asked.scratch / name}.npy" for name in arrays)),
            ]
        )
        median = re.search(r"Median:\s+([\d.]+) ms", said)
        assert median is not None, said
        theirs[f"latency p50, batch {size}, ms"] = float(median[1])
        ours[f"latency p50, batch {size}, ms"] = speeds[str(size)]["latency_p50_ms"]["value"]
    return ours, theirs


def lm_eval(asked: Asked) -> tuple[Numbers, Numbers]:
    """Compare quality with that of lm-evaluation-harness: the accuracy of MiniLM on SST-2, and the bits per byte of
    SmolLM2 on news and on WikiText-2, all in float32."""
    task = ("task=sst2", f"task.data_dir={asked.data / 'sst2'}")
    ours, theirs = classified(asked, ["model=minilm", *task, "finetune.train_samples=2000", "finetune.epochs=1"])
    for name, words in {
        "news": ["task=bbc_news_lm", f"task.test_size={TEXTS}"],
        "WikiText-2": ["task=wikitext2", f"task.data_dir={first_articles(asked)}"],
    }.items():
        mine, other = scored(asked, ["model=smollm2", *words, "finetune=none"])
        ours[f"bits per byte, {name}"], theirs[f"bits per byte, {name}"] = mine, other
    return ours, theirs


def first_articles(asked: Asked) -> Path:
    """Write WikiText-2 with the first articles of its test alone; return the folder."""
    folder = asked.scratch / "wikitext2"
    folder.mkdir(exist_ok=True)
    whole = build(composed(["task=wikitext2", f"task.data_dir={asked.data / 'wikitext2'}"])).task.load()
    for name, texts in (("wiki.train.tokens", whole.train.texts[:1]), ("wiki.test.raw", whole.test.texts[:ARTICLES])):
        (folder / name).write_text("".join(f" {line} \n" for text in texts for line in text.split("\n")))
    return folder


def classified(asked: Asked, words: list[str]) -> tuple[Numbers, Numbers]:
    """Return the accuracy of a classifier by both."""
    found = record(asked, *words, "bench=quick", "bench.batch_sizes=[1]", "bench.quiet_wait_s=0")
    test = build(composed([*words, *asked.overrides])).task.load().test
    rows = [{"text": text, "label": label} for text, label in zip(test.texts, test.labels, strict=True)]
    said = last_line(asked, "lm_eval_peer.py", str(artifact(asked, found)), *written(asked, rows), "--classifier")
    return {"accuracy": found["quality"]["accuracy"]["value"]}, {"accuracy": said["acc"]}


def scored(asked: Asked, words: list[str]) -> tuple[float, float]:
    """Return the bits per byte of a language model by both, of all texts as one: effcomp cuts them into blocks so, and
    the harness would begin each text without what stands before it."""
    from transformers import AutoTokenizer

    found = record(
        asked,
        *words,
        "bench=quick",
        "bench.new_tokens=0",
        "bench.turns=6",
        "bench.batch_sizes=[1]",
        "bench.quiet_wait_s=0",
    )
    task = build(composed([*words, *asked.overrides])).task
    tokenizer = AutoTokenizer.from_pretrained(artifact(asked, found))
    rows = [{"text": tokenizer.eos_token.join(task.load().test.texts)}]
    length_words = ["--length", str(task.max_length), "--threads", str(asked.threads)]
    said = last_line(asked, "lm_eval_peer.py", str(artifact(asked, found)), *written(asked, rows), *length_words)
    return found["quality"]["bits_per_byte"]["value"], said["bits_per_byte"]


def written(asked: Asked, rows: list[dict[str, Any]]) -> list[str]:
    """Write examples for the other; return the file."""
    file = asked.scratch / "examples.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [str(file)]


COMPARISONS: dict[str, Callable[[Asked], tuple[Numbers, Numbers]]] = {
    "benchmark_app": benchmark_app,
    "lm_eval": lm_eval,
}


def measured(name: str, rounds: int, asked: Asked) -> dict[str, Any]:
    """Return the numbers of all rounds, and the ratio effcomp / other of each."""
    found = []
    for number in range(rounds):
        ours, theirs = COMPARISONS[name](asked)
        found.append({"effcomp": ours, name: theirs})
        print(number, found[-1], file=sys.stderr, flush=True)
    ratios = {key: [one["effcomp"][key] / one[name][key] for one in found] for key in found[0]["effcomp"]}
    return {
        "command": " ".join(
            [
                "python benchmarks/side_by_side.py",
                name,
                f"--rounds {rounds} --threads {asked.threads}",
                *asked.overrides,
            ]
        ),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": machine.device_name(Device(name="cpu", kind="cpu", threads=None)),
        "load_average": os.getloadavg()[1],
        "libraries": machine.library_versions() | {"openvino": version("openvino"), "xllamacpp": version("xllamacpp")},
        "rounds": found,
        "ratio": {key: over_rounds(ratio).model_dump() for key, ratio in ratios.items()},
    }


def over_rounds(ratios: list[float]) -> Interval:
    """Return the ratio with the confidence interval of the true one over rounds; of one round the ratio alone: answers
    do not change."""
    if len(ratios) == 1:
        return exact(ratios[0])
    found = pairs_interval(list(map(exact, ratios)))  # of a repeat
    low, high = (found.value * (end / found.value) ** AND_A_REPEAT**-0.5 for end in (found.low, found.high))
    return found.model_copy(update={"low": low, "high": high})


def page(results: dict[str, Any]) -> str:
    """Return the page of all results."""
    lines = [
        "# Side by side",
        "",
        "The same weights, shapes and threads, measured by effcomp and by another program in turn: means over rounds,",
        "and the geometric mean of effcomp / other with its 95 % confidence interval. *Agrees*: it lies within 5 % of",
        "1; *differs*: it lies outside; *undecided*: too few rounds, or too much other work, to say.",
        "",
        "| other | number | effcomp | other | ratio | within 5 % | rounds, load of the machine, date |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        rounds = result["rounds"]
        for key, ratio in result["ratio"].items():
            ours, theirs = (float(np.mean([one[side][key] for one in rounds])) for side in ("effcomp", name))
            shown = f"{ratio['value']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"
            about = f"{len(rounds)}, {result['load_average']:.0f}, {result['time'][:10]}"
            lines.append(f"| {name} | {key} | {ours:.3g} | {theirs:.3g} | {shown} | {word(ratio)} | {about} |")
    return "\n".join(lines)


def word(ratio: Numbers) -> str:
    if ratio["low"] >= 1 - WITHIN and ratio["high"] <= 1 + WITHIN:
        return "agrees"
    return "differs" if ratio["high"] < 1 - WITHIN or ratio["low"] > 1 + WITHIN else "undecided"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", choices=list(COMPARISONS))
    parser.add_argument("--peer", default=sys.executable, help="the Python of the other's environment")
    parser.add_argument("--data", type=Path, default=Path(), help="the folder of the published data sets")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    given, overrides = parser.parse_known_args()
    if given.name is not None:
        with tempfile.TemporaryDirectory() as scratch:
            asked = Asked(Path(scratch), given.threads, given.peer, given.data.resolve(), tuple(overrides))
            found = measured(given.name, given.rounds, asked)
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps(results | {given.name: found}, indent=1) + "\n")
    else:
        print(page(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
