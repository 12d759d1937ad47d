"""BitNet 2B4T on one GPU: what do two bits a weight give?

    python benchmarks/h100/bitnet.py        (on a machine with an NVIDIA GPU; needs no network)

The published shape with random weights: dense float16 as PyTorch runs it, the same compiled and recorded
(runtime=cuda_graphs), and packed ternary weights in that runtime (quant=ternary). One token, and 8 prompts of 128; the
logits of the last token, on the host. The three are called in turn; medians with 95 % intervals, and paired ratios.
GPU time is that between CUDA events around the recorded call. Memory is the peak of PyTorch's tensors with the packed
model alone and one token. Writes bitnet.json beside this file, and prints it.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu import GPU, gpu_ms, save
from omegaconf import OmegaConf
from torch import nn
from transformers import AutoConfig

from effcomp.core.batches import Batch
from effcomp.core.statistics import median_interval, ratio_interval
from effcomp.measure import roofline as floor
from effcomp.models.bitnet import BitNetForCausalLM
from effcomp.models.linear import unify_linear
from effcomp.quant.tensors import body_layers
from effcomp.quant.ternary_gpu import pack_layers
from effcomp.runtimes.cuda_graphs import CudaGraphs, GraphedModel
from effcomp.runtimes.torch import TorchModel

ROOT = Path(__file__).resolve().parent.parent.parent
ARCHITECTURE = OmegaConf.to_container(OmegaConf.load(ROOT / "conf/model/bitnet.yaml").architecture)
PLACE, HEAD = GPU.torch_name, "causal_lm"
SHAPES = ((1, 1), (8, 128))
TURNS, CALLS, WARM_UPS = 15, 5, 3
SCALE = 0.02


def dense() -> nn.Module:
    """In float16, its ternary layers made ready once as an artifact has them."""
    config = AutoConfig.for_model(**ARCHITECTURE, pad_token_id=0)
    torch.set_default_dtype(torch.float16)
    with torch.device(PLACE):
        model = BitNetForCausalLM(config).eval()
        unify_linear(model)
    torch.set_default_dtype(torch.float32)
    return model


def packed(model: nn.Module) -> nn.Module:
    """Random codes in place of its linear layers; all else in bfloat16, as quant=ternary has it."""
    model.bfloat16()
    shapes = {name: layer.weight.shape for name, layer in body_layers(model).items()}
    scale = torch.full((), SCALE, device=PLACE)
    pack_layers(
        model,
        {
            name: (torch.randint(-1, 2, shape, dtype=torch.int8, device=PLACE), scale, None)
            for name, shape in shapes.items()
        },
    )
    return model


def batch(rows: int, length: int) -> Batch:
    ids = np.random.default_rng(rows * length).integers(0, ARCHITECTURE["vocab_size"], (rows, length))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def graphed(model: nn.Module) -> GraphedModel:
    model.config.use_cache = False
    return GraphedModel(CudaGraphs(name="cuda_graphs").prepared(model), HEAD, PLACE)


def weights_bytes(model: nn.Module) -> int:
    tensors = {tensor.data_ptr(): tensor.nbytes for tensor in (*model.parameters(), *model.buffers())}
    return sum(tensors.values())


def main() -> None:
    two_bits = packed(dense())
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    models: dict[str, TorchModel] = {"ternary, cuda_graphs": graphed(two_bits)}
    models["ternary, cuda_graphs"](batch(1, 1))
    peak_bytes = torch.cuda.max_memory_allocated()
    models["float16, torch"] = TorchModel(dense(), HEAD, PLACE)
    models["float16, cuda_graphs"] = graphed(dense())
    sizes = {
        "ternary, cuda_graphs": weights_bytes(two_bits),
        "float16, torch": weights_bytes(models["float16, torch"].forward),
    }
    rows: list[dict[str, Any]] = []
    for shape in SHAPES:
        prompts, times = batch(*shape), {name: [] for name in models}
        for model in models.values():
            for _ in range(WARM_UPS):
                model(prompts)
        for turn in range(TURNS):
            for name in sorted(models, reverse=turn % 2 == 1):
                times[name].append([])
                for _ in range(CALLS):
                    start = time.perf_counter()
                    models[name](prompts)
                    times[name][-1].append(1000 * (time.perf_counter() - start))
        for name, model in models.items():
            own = np.array(times[name])
            ratios = {other: ratio_interval(np.array(times[other]), own) for other in models if other != name}
            row = {
                "rows": shape[0],
                "tokens": shape[1],
                "what": name,
                "latency_ms": median_interval(own, 0).model_dump(),
                "speedup": {other: ratio.model_dump() for other, ratio in ratios.items()},
            }
            if isinstance(model, GraphedModel):
                last = list(model.recorded.values())[-1].graph
                row["gpu_ms"] = float(np.median([gpu_ms(last) for _ in range(TURNS * CALLS)]))
            rows.append(row)
    rates = floor.machine_rates(GPU)
    found = {
        "rows": rows,
        "weights_bytes": sizes,
        "packed_peak_gpu_bytes": peak_bytes,
        "packed_floor_ms_of_one_token": 1000 * sizes["ternary, cuda_graphs"] / rates["bytes_per_s"],
        "machine_rates": rates,
    }
    save("bitnet", found)


if __name__ == "__main__":
    main()
