"""Compare what two checkouts compute: artifacts byte for byte, predictions value for value.

    python benchmarks/same_results.py BEFORE AFTER FOLDER [OVERRIDE ...]

Each configuration runs in both checkouts with the same seed, on this machine, with this Python; what they write goes
into FOLDER. The overrides are added to every configuration, say model.path=FOLDER to compare on another model.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

CONFIGURATIONS = (
    ("quant=none",),
    ("quant=bf16",),
    ("quant=int8_scratch",),
    ("quant=int8_dynamic",),
    ("quant=nf4",),
    ("quant=int8_dynamic", "runtime=onnxruntime"),
    ("quant=int8_static", "runtime=openvino", "quant.samples=16"),
    ("quant=none", "prune=structured"),
)
SMALL = (
    *("finetune.train_samples=64", "finetune.epochs=1", "device=cpu", "device.threads=1", "tracking=none"),
    *("bench.turns=6", "bench.seconds=0", "bench.turn_ms=5", "bench.warmup_turns=1", "bench.batch_sizes=[1]"),
)
"""A short training; speed is not compared."""
NOT_COMPARED = {"artifact.json", "manifest.json", "signature.json"}
"""Names and keys of the code, which may change, and a file that older checkouts do not write."""
OLDER_NAMES = {"codes.safetensors": "model.safetensors"}
"""Names that older checkouts give to the same contents."""


def main() -> None:
    before, after, folder = (Path(argument).resolve() for argument in sys.argv[1:4])
    alike = True
    for configuration in CONFIGURATIONS:
        overrides = [*SMALL, *configuration, *sys.argv[4:]]
        old, new = (
            run(checkout, folder / name, overrides) for checkout, name in ((before, "before"), (after, "after"))
        )
        differing = sorted(name for name in old[0].keys() | new[0].keys() if old[0].get(name) != new[0].get(name))
        same = old[1].shape == new[1].shape and np.array_equal(old[1], new[1])
        alike = alike and same and not differing
        files = f"{len(old[0])} files equal" if not differing else f"differ: {', '.join(differing)}"
        distance = "equal" if same else f"differ by up to {np.abs(old[1] - new[1]).max():.3g}"
        print(f"{' '.join(configuration)}: artifact: {files}; predictions {old[1].shape}: {distance}", flush=True)
    sys.exit(0 if alike else 1)


def run(checkout: Path, folder: Path, overrides: list[str]) -> tuple[dict[str, bytes], np.ndarray[Any, Any]]:
    """Run one configuration; return the contents of the artifact's files, and the predictions of the variant."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "effcomp.run", *overrides],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    hash_ = json.loads(done.stdout.splitlines()[-1])["truth"]["artifact"]
    store = folder / "multirun" / "store"
    files = {
        OLDER_NAMES.get(file.name, file.name): file.read_bytes()
        for file in (store / "artifact" / hash_).iterdir()
        if file.is_file() and file.name not in NOT_COMPARED
    }
    found = [
        entry.parent
        for entry in (store / "outputs").glob("*/manifest.json")
        if json.loads(entry.read_text())["key"]["artifact"] == hash_
    ]
    (predictions,) = (load_file(entry / "outputs.safetensors")["outputs"] for entry in found)
    return files, predictions


if __name__ == "__main__":
    main()
