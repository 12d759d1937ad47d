"""Score the same model folder and texts by lm-evaluation-harness: bits per byte by rolling log-likelihood.

    python lm_eval_peer.py FOLDER TEXTS.jsonl --length 256 --threads 2       (a line of TEXTS is {"text": ...})

Needs an environment of its own, with lm_eval 0.4.13. One JSON line on standard output. No file is fetched.
"""

import argparse
import json
import logging
import os

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}  # read when datasets is imported


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="written by save_pretrained")
    parser.add_argument("texts")
    parser.add_argument("--length", type=int, default=256, help="tokens that the model reads at once")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    import torch
    from lm_eval import simple_evaluate
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.models.huggingface import HFLM

    logging.getLogger().setLevel(logging.ERROR)
    torch.set_num_threads(asked.threads)
    task = ConfigurableTask(
        config={
            "task": "texts",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": asked.texts}},
            "test_split": "test",
            "output_type": "loglikelihood_rolling",
            "doc_to_text": "",
            "doc_to_target": "{{text}}",
            "metric_list": [{"metric": "bits_per_byte"}],
        }
    )
    model = HFLM(pretrained=asked.folder, device="cpu", dtype="float32", batch_size=4, max_length=asked.length)
    found = simple_evaluate(model=model, tasks=[task], log_samples=False, bootstrap_iters=0)
    print(json.dumps({"bits_per_byte": found["results"]["texts"]["bits_per_byte,none"]}))


if __name__ == "__main__":
    main()
