"""Time the same GGUF file by llama.cpp's own server (xllamacpp): the prompt, and the tokens after it.

    python llama_server.py FILE.gguf --prompt 128 --new 32 --threads 2 --repeats 9

Runs in a fresh process. One JSON line on standard output, with medians in milliseconds.
"""

import argparse
import json
import random
import statistics

import xllamacpp


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--prompt", type=int, default=128, help="tokens of the prompt")
    parser.add_argument("--new", type=int, default=32, help="tokens after it")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9, help="timed requests, after one that warms up")
    asked = parser.parse_args()
    params = xllamacpp.CommonParams()
    params.model.path = asked.file
    params.n_ctx, params.n_parallel = asked.prompt + asked.new + 8, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = asked.threads
    server, draw, timings = xllamacpp.Server(params), random.Random(0), []
    for _ in range(asked.repeats + 1):
        request = {
            "prompt": [draw.randrange(100, 1000) for _ in range(asked.prompt)],
            "n_predict": asked.new,
            "cache_prompt": False,
            "ignore_eos": True,
            "temperature": 0,
        }
        answer = server.handle_completions(request)
        timings.append(answer["timings"])
    counted = timings[1:]
    assert {one["prompt_n"] for one in counted} == {asked.prompt}, "every prompt is read anew"
    print(
        json.dumps(
            {
                "prefill_ms": statistics.median(one["prompt_ms"] for one in counted),
                "decode_ms_per_token": statistics.median(one["predicted_per_token_ms"] for one in counted),
            }
        )
    )


if __name__ == "__main__":
    main()
