"""Score the same model folder and examples by lm-evaluation-harness.

    python lm_eval_peer.py FOLDER TEXTS.jsonl --length 256 --threads 2       (a line of TEXTS is {"text": ...})
    python lm_eval_peer.py FOLDER EXAMPLES.jsonl --classifier                ({"text": ..., "label": 0 or 1})

Of a language model it computes bits per byte by rolling log-likelihood. A classifier answers as a language model that
gives a class's name the likelihood of that class; its accuracy is that of the harness's multiple choice.

Needs an environment of its own, with lm_eval 0.4.13. One JSON line on standard output. No file is fetched.
"""

import argparse
import json
import logging
import os
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}  # read when datasets is imported

CHOICE: dict[str, Any] = {
    "output_type": "multiple_choice",
    "doc_to_text": "{{text}}",
    "doc_to_choice": ["negative", "positive"],
    "doc_to_target": "{{label}}",
    "metric_list": [{"metric": "acc"}],
}
ROLLING: dict[str, Any] = {
    "output_type": "loglikelihood_rolling",
    "doc_to_text": "",
    "doc_to_target": "{{text}}",
    "metric_list": [{"metric": "bits_per_byte"}],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="written by save_pretrained")
    parser.add_argument("texts")
    parser.add_argument("--classifier", action="store_true")
    parser.add_argument("--length", type=int, default=256, help="tokens that the model reads at once")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    import torch
    from lm_eval import simple_evaluate
    from lm_eval.api.task import ConfigurableTask

    logging.getLogger().setLevel(logging.ERROR)
    torch.set_num_threads(asked.threads)
    data = {
        "task": "texts",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": asked.texts}},
        "test_split": "test",
    }
    if asked.classifier:
        model, how = classifier(asked.folder), CHOICE
    else:
        from lm_eval.models.huggingface import HFLM

        how = ROLLING
        model = HFLM(pretrained=asked.folder, device="cpu", dtype="float32", batch_size=4, max_length=asked.length)
    task = ConfigurableTask(config=data | how)
    found = simple_evaluate(model=model, tasks=[task], log_samples=False, bootstrap_iters=0)
    (metric,) = (one["metric"] for one in how["metric_list"])
    print(json.dumps({metric: found["results"]["texts"][f"{metric},none"]}))


def classifier(folder: str) -> Any:
    """Return a model of the harness that answers by transformers' classifier, one text at a time, unpadded."""
    import torch
    from lm_eval.api.model import LM
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    network = AutoModelForSequenceClassification.from_pretrained(folder, dtype="float32", use_safetensors=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    class Classifier(LM):
        def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
            answers = []
            for text, choice in (request.args for request in requests):
                inputs = tokenizer(text, truncation=True, return_tensors="pt")
                with torch.inference_mode():
                    likely = network(**inputs).logits[0].log_softmax(-1)
                label = CHOICE["doc_to_choice"].index(choice.strip())
                answers.append((float(likely[label]), bool(likely.argmax() == label)))
            return answers

        def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
            raise NotImplementedError("a classifier has no likelihood of a text")

        def generate_until(self, requests: list[Any]) -> list[str]:
            raise NotImplementedError("a classifier does not write")

    return Classifier()


if __name__ == "__main__":
    main()
