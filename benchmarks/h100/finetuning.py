"""Measure time and memory of fine-tuning large models on one GPU.

    python benchmarks/h100/finetuning.py        (on a machine with an NVIDIA GPU; needs no network)

effcomp's own fine-tuning on random weights and random tokens, 8 blocks of 256 tokens a step, products in bfloat16,
activations computed again in the backward pass: GPT-Neo 2.7B with adapters on a 4-bit and on an 8-bit base, and BitNet
2B4T's float32 masters in full. Each in a fresh process. The rate is that of steps 11 to 30 by the training curve; the
memory is the peak of PyTorch's tensors on the GPU. Writes finetuning.json beside this file, and prints it.
"""

import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoConfig, PreTrainedTokenizerFast

from effcomp.core import machine, memory
from effcomp.finetune.base import TrainingSetup
from effcomp.finetune.full import FullFinetune
from effcomp.models.heads import model_class
from effcomp.pipeline.compose import build
from effcomp.tasks.base import Examples

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WAYS = (("gptneo", "qlora"), ("gptneo", "int8"), ("bitnet", "full"))
HEAD = "causal_lm"
BATCH, TOKENS, FIRST, STEPS = 8, 256, 10, 30
PAD = "[PAD]"


def train(model: str, way: str) -> dict[str, Any]:
    settings = {"batch_size": BATCH, "epochs": 1, "precision": "bf16", "gradient_checkpointing": "true"}
    overrides = [f"model={model}", f"finetune={way}", "device=cuda", "tracking=none"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        parts = build(compose("config", overrides=overrides + [f"finetune.{key}={settings[key]}" for key in settings]))
    finetune, device = parts.finetune, parts.device.resolved()
    assert isinstance(finetune, FullFinetune)
    assert parts.model.architecture is not None
    config = AutoConfig.for_model(**parts.model.architecture)
    config.pad_token_id, config.use_cache = 0, False
    with torch.device(device.torch_name):  # billions of random numbers take a processor half a minute
        network = model_class(HEAD, config)(config).to("cpu")
    parameters = sum(parameter.numel() for parameter in network.parameters())
    memory.release_gpu(device)
    memory.reset_gpu_peak(device)
    blocks = torch.randint(1, config.vocab_size, (BATCH * STEPS, TOKENS)).tolist()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({PAD: 0}, PAD)), pad_token=PAD)
    with tempfile.TemporaryDirectory() as scratch:
        setup = TrainingSetup(
            model=network,
            head=HEAD,
            tokenizer=tokenizer,
            examples=Examples((), ()),
            max_length=TOKENS,
            device=device,
            seed=0,
            scratch=Path(scratch),
        )
        _, curve = finetune.train_on(setup, [{"input_ids": block, "labels": block} for block in blocks], None)
    first, last = (next(row["seconds"] for row in curve if row["step"] == step) for step in (FIRST, STEPS))
    return {
        "model": model,
        "finetune": way,
        "parameters": parameters,
        "samples_per_s": BATCH * (STEPS - FIRST) / (last - first),
        "tokens_per_s": BATCH * TOKENS * (STEPS - FIRST) / (last - first),
        "peak_gpu_bytes": memory.gpu_peak_bytes(device),
        "losses": [row["loss"] for row in curve],
        "device": machine.device_name(device),
        "libraries": machine.library_versions(),
    }


def main() -> None:
    if sys.argv[1:]:
        print(json.dumps(train(*sys.argv[1:])))
        return
    command, today, rows = [sys.executable, __file__], datetime.now(UTC).date().isoformat(), []
    for way in WAYS:
        run = subprocess.run([*command, *way], stdout=subprocess.PIPE, text=True, check=True)
        rows.append(json.loads(run.stdout.splitlines()[-1]))
        text = json.dumps({"command": "benchmarks/h100.sh finetuning", "date": today, "rows": rows}, indent=1) + "\n"
        (HERE / "finetuning.json").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
