"""llama.cpp called by itself: the same GGUF files in a bare loop of llama_decode and its own greedy sampler.

    python benchmarks/writing/alone.py >benchmarks/writing/alone.json

The files are those of the records beside this script, read from multirun/store. All are called in turn, in one process,
with libgomp's own settings for threads that wait.
"""

import ctypes
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from effcomp.core import machine
from effcomp.core.statistics import median_interval
from effcomp.quant.ggml import PACKAGE, VERSION
from effcomp.report.sources import find_records
from effcomp.runtimes.llama_library import Capacity, Context, Model, Settings, llama

RECORDS = Path(__file__).resolve().parent / "smollm2_bbc_news.jsonl"
STORE = Path("multirun/store/artifact")
VOCABULARY, PROMPT, NEW, TURNS = 49152, 128, 16, 8


class Alone:
    """One file with a context of its own."""

    def __init__(self, file: Path, threads: int) -> None:
        self.context = Context(Model(file), Capacity(1, PROMPT + NEW, 1), Settings(VOCABULARY, False, threads, "f16"))
        library = llama()
        library.llama_sampler_init_greedy.restype = ctypes.c_void_p
        library.llama_sampler_sample.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32]
        self.sampler = ctypes.c_void_p(library.llama_sampler_init_greedy())

    def read(self, tokens: np.ndarray, place: int) -> int:
        """Return the likeliest token after these."""
        count = len(tokens)
        wanted = np.arange(count) == count - 1
        self.context.call(tokens, np.arange(place, place + count), np.zeros(count, dtype=int), wanted)
        return int(llama().llama_sampler_sample(self.sampler, self.context.handle, -1))

    def turn(self, prompt: np.ndarray) -> list[float]:
        """Return the milliseconds of the prompt, then of each new token."""
        self.context.clear()
        times, tokens, place = [], prompt, 0
        for _ in range(1 + NEW):
            start = time.perf_counter()
            token = self.read(tokens, place)
            times.append(1000 * (time.perf_counter() - start))
            place, tokens = place + len(tokens), np.array([token], dtype=np.int32)
        return times


def main() -> None:
    records = [record for record in find_records(RECORDS) if record.choices["quant"] == "gguf"]
    files = {name_of(record.config["quant"]): STORE / record.truth.artifact / "model.gguf" for record in records}
    threads = len(os.sched_getaffinity(0))
    loaded = {name: Alone(file, threads) for name, file in files.items() if file.exists()}
    generator = np.random.default_rng(0)
    times: dict[str, list[list[float]]] = {name: [] for name in loaded}
    for turn in range(TURNS + 1):
        prompt = generator.integers(0, VOCABULARY, PROMPT, dtype=np.int32)
        for name, one in loaded.items():
            found = one.turn(prompt)
            if turn > 0:  # the first is the warm-up
                times[name].append(found)
    measured = {}
    for name, rows in times.items():
        prefill, decode = np.array(rows)[:, :1], np.array(rows)[:, 1:]
        measured[name] = {
            "prefill_ms": median_interval(prefill, 0).model_dump(),
            "decode_ms_per_token": median_interval(decode, 0).model_dump(),
        }
    found = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": f"{machine.cpu_info()[0]}, {threads} threads",
        "library": f"{PACKAGE} {VERSION}",
        "prompt_tokens": PROMPT,
        "new_tokens": NEW,
        "turns": TURNS,
        "measured": measured,
    }
    print(json.dumps(found, indent=1))


def name_of(quant: dict[str, Any]) -> str:
    """Return the type of a file, with its importance matrix where it has one."""
    return quant["type"] + (" with importance" if quant["samples"] else "")


if __name__ == "__main__":
    main()
