"""Decoders that write on one GPU: how long does a token take?

    python benchmarks/h100/writing.py        (on a machine with an NVIDIA GPU; needs no network)

The published shapes with random weights, recorded (runtime=cuda_graphs); GPT-2 also in eager PyTorch with its cache,
in turn. A row is the median over TURNS texts of NEW_TOKENS tokens, with its 95 % interval over texts: the first
token after the prompt is the prefill, the others are a step each, all on the host. `floor_ms` is the time that reading
the weights of the decoder's layers and its head once takes at the bandwidth that this GPU reaches.
Writes writing.json beside this file, and prints it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu import GPU, save
from omegaconf import OmegaConf
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from effcomp.core.batches import Batch
from effcomp.core.statistics import median_interval, ratio_interval
from effcomp.measure import roofline
from effcomp.models.bitnet import BitNetForCausalLM
from effcomp.models.linear import unify_linear
from effcomp.quant.fused_linear import ByGroup, placed
from effcomp.quant.grouped_tensors import Packed
from effcomp.quant.tensors import body_layers
from effcomp.quant.ternary_gpu import pack_layers
from effcomp.runtimes.cuda_graphs import CudaGraphs, GraphedModel
from effcomp.runtimes.torch import TorchModel

ROOT = Path(__file__).resolve().parent.parent.parent
PLACE, GROUP, SCALE = GPU.torch_name, 64, 0.002
TURNS, NEW_TOKENS = 12, 64


def built(name: str) -> nn.Module:
    """Return the architecture of conf/model/NAME.yaml in bfloat16 with random weights."""
    architecture: Any = OmegaConf.to_container(OmegaConf.load(ROOT / f"conf/model/{name}.yaml").architecture)
    config = AutoConfig.for_model(**architecture, pad_token_id=0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(PLACE):
        model = BitNetForCausalLM(config) if name == "bitnet" else AutoModelForCausalLM.from_config(config)
        unify_linear(model)
    torch.set_default_dtype(torch.float32)
    return model.eval()


def four_bits(model: nn.Module) -> nn.Module:
    """Put random 4-bit codes in the place of the blocks' linear layers, as quant=int4 has them."""
    layers = {}
    for name, layer in body_layers(model).items():
        codes = torch.randint(0, 256, (layer.out_features, layer.in_features // 2), dtype=torch.uint8, device=PLACE)
        scale = torch.full((layer.out_features, layer.in_features // GROUP), SCALE, device=PLACE)
        layers[name] = ByGroup(Packed(codes, scale, None, GROUP), layer.bias, layer.in_features)
    return placed(model, layers)


def two_bits(model: nn.Module) -> nn.Module:
    """Put random ternary codes in the place of the blocks' linear layers, as quant=ternary has them."""
    scale = torch.full((), SCALE, device=PLACE)
    shapes = {name: layer.weight.shape for name, layer in body_layers(model).items()}
    codes = {name: torch.randint(-1, 2, shape, dtype=torch.int8, device=PLACE) for name, shape in shapes.items()}
    pack_layers(model, {name: (of_one, scale, None) for name, of_one in codes.items()})
    return model


SUBJECTS: list[tuple[str, str, Callable[[nn.Module], nn.Module], tuple[tuple[int, int], ...]]] = [
    ("gpt2", "bf16", lambda model: model, ((1, 128), (8, 128), (32, 128), (1, 896))),
    ("gptneo", "bf16", lambda model: model, ((1, 128), (8, 128))),
    ("gptneo", "int4", four_bits, ((1, 128),)),
    ("bitnet", "ternary", two_bits, ((1, 128), (1, 4032))),
]


def prompts(rows: int, tokens: int, vocabulary: int) -> Batch:
    ids = np.random.default_rng(rows * tokens).integers(1, vocabulary, (rows, tokens))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def weights_bytes(model: nn.Module) -> int:
    """Return the bytes that a step reads: all but the tables of embeddings that are not the head."""
    head = model.get_output_embeddings().weight.data_ptr()
    tables = {module.weight.data_ptr() for module in model.modules() if isinstance(module, nn.Embedding)} - {head}
    stored = (*model.parameters(), *(buffer for buffer in model.buffers() if buffer.dtype != torch.bool))  # no masks
    tensors = {tensor.data_ptr(): tensor.nbytes for tensor in stored}
    return sum(size for place, size in tensors.items() if place not in tables)


def in_turn(models: dict[str, TorchModel], batch: Batch) -> dict[str, np.ndarray[Any, Any]]:
    """Return the milliseconds of each token, (turns, tokens), of each model; they write one text each in turn."""
    times: dict[str, list[list[float]]] = {name: [] for name in models}
    for turn in range(TURNS + 1):
        for name in sorted(models, reverse=turn % 2 == 1):
            step_ns = models[name].decode(batch, NEW_TOKENS).step_ns
            if turn > 0:  # the first compiles and records
                times[name].append([ns / 1e6 for ns in step_ns])
    return {name: np.array(of_one) for name, of_one in times.items()}


def rows(rates: dict[str, float]) -> Iterator[dict[str, Any]]:
    for name, quant, coded, shapes in SUBJECTS:
        model = coded(built(name))
        size, vocabulary = weights_bytes(model), model.config.vocab_size
        models: dict[str, TorchModel] = {}
        if name == "gpt2":
            models["torch"] = TorchModel(built(name), "causal_lm", PLACE)
        model.config.use_cache = False
        models["cuda_graphs"] = GraphedModel(CudaGraphs(name="cuda_graphs").prepared(model), "causal_lm", PLACE)
        for shape in shapes:
            times = in_turn(models, prompts(*shape, vocabulary))
            for runtime, own in times.items():
                row = {
                    "model": name,
                    "quant": quant,
                    "runtime": runtime,
                    "rows": shape[0],
                    "context_tokens": shape[1],
                    "prefill_ms": median_interval(own[:, :1], 0).model_dump(),
                    "decode_ms_per_token": median_interval(own[:, 1:], 0).model_dump(),
                    "weights_bytes": size,
                    "floor_ms": 1000 * size / rates["bytes_per_s"],
                }
                if runtime != "torch" and "torch" in times:
                    row["decode_speedup"] = ratio_interval(times["torch"][:, 1:], own[:, 1:]).model_dump()
                print(row, flush=True)
                yield row
        del model, models
        torch.cuda.empty_cache()


def main() -> None:
    rates = roofline.machine_rates(GPU)
    save("writing", {"rows": list(rows(rates)), "machine_rates": rates})


if __name__ == "__main__":
    main()
