"""Would products in int8 or fp8, or 2:4 sparse ones, be faster than bfloat16's?

    python benchmarks/h100/products.py        (on a machine with an NVIDIA GPU that multiplies fp8)

Linear layers one at a time, as wide as DistilBERT's and GPT-2's and as those of a decoder of 8 billion parameters:
bfloat16 dense; bfloat16 pruned 2:4, by cuSPARSELt's default algorithm; and effcomp's own layers that scale and round
each token's activations before an int8 and an fp8 product, compiled by Inductor (int8's product is the fastest that it
finds, fp8's that of the libraries). A recorded call goes through so many layers that their weights come out of memory,
not out of a cache, as in a model; the kinds are called in turn. The time of one layer on the GPU with a 95 % interval,
and paired ratios. Writes products.json beside this file, and prints it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gpu import GPU, gpu_ms, save
from torch import Tensor, nn

from effcomp.core.statistics import median_interval, ratio_interval
from effcomp.prune.semi_structured import GROUP, ZEROS
from effcomp.quant.fp8_linear import Fp8Linear, quantize_fp8
from effcomp.quant.int8_linear import Int8Linear, quantize

SIDES = ((768, 3072), (3072, 768), (4096, 14336))
TOKENS = (128, 32 * 128, 256 * 128)
CODES_BYTES = 100e6
"""Bytes of the layers of one call: twice the cache."""
TURNS, CALLS, WARM_UPS = 8, 5, 3
BASELINE = "bfloat16"

Layer = Callable[[Tensor], Tensor]


def sparse(dense: nn.Linear) -> nn.Linear:
    """The smaller half of each four weights taken out, and stored without them."""
    layer = nn.Linear(dense.in_features, dense.out_features, device=dense.weight.device, dtype=dense.weight.dtype)
    layer.load_state_dict(dense.state_dict())
    groups = layer.weight.data.unflatten(1, (-1, GROUP))
    groups.scatter_(2, groups.abs().argsort(dim=2)[..., :ZEROS], 0)
    layer.weight = nn.Parameter(torch.sparse.to_sparse_semi_structured(layer.weight.data), requires_grad=False)
    return layer


def layers(sides: tuple[int, int]) -> dict[str, list[Layer]]:
    """Return equal layers of each kind."""
    count = int(np.ceil(CODES_BYTES / (sides[0] * sides[1])))
    dense = [nn.Linear(*sides, device=GPU.torch_name, dtype=torch.bfloat16).requires_grad_(False) for _ in range(count)]
    kinds: dict[str, list[Layer]] = {BASELINE: list(dense), "bfloat16, 2:4": [sparse(layer) for layer in dense]}
    int8 = [Int8Linear(*quantize(layer.weight, "per_channel"), layer.bias) for layer in dense]
    fp8 = [Fp8Linear(*quantize_fp8(layer.weight), layer.bias) for layer in dense]
    for layer in int8:
        layer.compile(dynamic=False, mode="max-autotune-no-cudagraphs")
    for layer in fp8:
        layer.compile(dynamic=False)  # the libraries' product is the fastest: trying all others takes a minute a shape
    return {**kinds, "int8": list(int8), "fp8": list(fp8)}


def recorded(kind: list[Layer], tokens: Tensor) -> torch.cuda.CUDAGraph:
    """A call of each layer with the same tokens."""
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for layer in kind:
            layer(tokens)
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph):
        for layer in kind:
            layer(tokens)
    return graph


def measured(sides: tuple[int, int], count: int) -> dict[str, Any]:
    """One layer of these sides with so many tokens, of each kind."""
    torch._dynamo.reset()
    tokens, kinds = torch.randn(count, sides[0], device=GPU.torch_name, dtype=torch.bfloat16), layers(sides)
    graphs = {name: recorded(kind, tokens) for name, kind in kinds.items()}
    times: dict[str, list[list[float]]] = {name: [] for name in graphs}
    for graph in graphs.values():
        for _ in range(WARM_UPS):
            gpu_ms(graph)
    for turn in range(TURNS):
        for name in sorted(graphs, reverse=turn % 2 == 1):
            times[name].append([1000 * gpu_ms(graphs[name]) / len(kinds[name]) for _ in range(CALLS)])
    found = {name: np.array(rows) for name, rows in times.items()}
    return {
        "in_features": sides[0],
        "out_features": sides[1],
        "tokens": count,
        "gpu_us": {name: median_interval(rows, 0).model_dump() for name, rows in found.items()},
        "speedup": {
            name: ratio_interval(found[BASELINE], rows).model_dump() for name, rows in found.items() if name != BASELINE
        },
    }


@torch.inference_mode()
def main() -> None:
    save("products", {"rows": [measured(sides, count) for sides in SIDES for count in TOKENS]})


if __name__ == "__main__":
    main()
